// Matrix products: the cache-blocking loops around the kernels' register tile (Goto & van de Geijn 2008), and their
// naive twin, a good place to start reading. Every element of a result is one chain of fused multiply-adds in the order
// of k.
#pragma once

#include "chainrule/view.h"
#include "core/buffer.h"
#include "core/dispatch.h"
#include "core/parallel.h"

namespace chainrule {

// B (k x n) copied into panels of tile_columns columns, in blocks of at most block_depth rows. Packed once, then read
// by every thread.
template <class T>
class PackedMatrix {
 public:
  PackedMatrix() = default;
  PackedMatrix(Index k, Index n);

  Index k() const { return k_; }
  Index n() const { return n_; }
  Index panels() const;  // of tile_columns columns
  // Copies rows [k_begin, k_end) of panels [first, last) from b; threads may pack disjoint parts at once.
  void pack(MatrixView<const T> b, Index first, Index last, Index k_begin, Index k_end);
  void pack(MatrixView<const T> b) { pack(b, 0, panels(), 0, k_); }
  // The block of rows that begins at k_begin, a multiple of depth().
  const T* block(Index k_begin) const { return data_.data() + k_begin * padded_n_; }
  Index depth() const { return depth_; }  // rows in each block but the last

 private:
  Index k_ = 0, n_ = 0, padded_n_ = 0, depth_ = 1;
  Buffer<T> data_;
};

// Rows of A that are packed at a time, at most.
inline constexpr Index block_rows = 112;

// Elements that one thread needs for the products of a batch of so many rows, no matrix of which has more columns than
// widest.
template <class T>
Index gemm_scratch(Index rows, Index widest);

// C (m x n, rows ldc apart) = bias + A B for n columns of B, which begin with a panel; bias: n values or null for 0. A
// has any strides.
template <class T>
void gemm_packed(MatrixView<const T> a, const PackedMatrix<T>& b, Share columns, const T* bias, T* c, Index ldc,
                 T* scratch, Epilogue<T> epilogue = {});

// The same for at most block_rows rows of A, without packing B, which has unit column stride and is read where it lies.
template <class T>
void gemm_unpacked(MatrixView<const T> a, MatrixView<const T> b, const T* bias, T* c, Index ldc, T* scratch,
                   Epilogue<T> epilogue = {});

// C = A Bᵀ for at most few_rows rows; A and B (n x k) have unit column stride and are read where they lie.
template <class T>
void gemm_few_rows(MatrixView<const T> a, MatrixView<const T> b, T* c, Index ldc, Epilogue<T> epilogue = {});

// C = Aᵀ B, or C + Aᵀ B, over at most sum_rows rows of any strides. fetch: rows to be asked for meanwhile, or null.
template <class T>
void gemm_transposed(MatrixView<const T> a, MatrixView<const T> b, Finish finish, T* c, Index ldc, T* scratch,
                     RowFetch<T>* fetch = nullptr);

// C = A B of any strides in A and B, C with unit column stride; packs both by itself.
template <class T>
void gemm(MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> c, int threads);

template <class T>
void gemm_naive(MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> c);

}  // namespace chainrule
