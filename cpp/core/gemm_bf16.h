// The products of core/gemm with operands that are rounded to bf16 while they are packed, and sums in T. The
// dot-product instruction adds two steps of k at once; the order of each sum depends only on the shapes.
#pragma once

#include "chainrule/view.h"
#include "core/buffer.h"
#include "core/dispatch.h"

namespace chainrule {

// Throws std::invalid_argument if bf16_kernels<T>() is null; the other functions of this file need it.
template <class T>
void require_bf16();

// B (k x n) as pairs of rows, in panels and in blocks of k. An odd last row is paired with zeros.
template <class T>
class PackedBf16 {
 public:
  PackedBf16() = default;
  PackedBf16(Index k, Index n);

  Index k() const { return k_; }
  Index n() const { return n_; }
  Index panels() const;
  // Packs panels [first, last) for steps [k_begin, k_end). k_begin must be even, and k_end must be even or k().
  void pack(MatrixView<const T> b, Index first, Index last, Index k_begin, Index k_end);
  void pack(MatrixView<const T> b) { pack(b, 0, panels(), 0, k_); }
  const Bf16Pair* block(Index k_begin) const { return data_.data() + k_begin / 2 * padded_n_; }
  Index depth() const { return depth_; }  // number of rows in each block but the last; even

 private:
  Index k_ = 0, n_ = 0, padded_n_ = 0, depth_ = 2;
  Buffer<Bf16Pair> data_;
};

// The scratch memory of one thread.
Buffer<Bf16Pair> bf16_scratch();

// C (m x n, rows ldc apart) = bias + A B. bias has n values; null means 0. A may have any strides.
template <class T>
void gemm_bf16_packed(MatrixView<const T> a, const PackedBf16<T>& b, const T* bias, T* c, Index ldc, Bf16Pair* scratch,
                      Epilogue<T> epilogue = {});

// C = Aᵀ B over at most sum_rows rows of any strides, added to the addends.
template <class T>
void gemm_bf16_transposed(MatrixView<const T> a, MatrixView<const T> b, Addends<T> addends, T* c, Index ldc,
                          Bf16Pair* scratch);

// C = A B. A and B may have any strides and are packed here. C has unit column stride.
template <class T>
void gemm_bf16(MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> c, int threads);

}  // namespace chainrule
