// What the rest of the library sees of the kernels: one table of functions per instruction set and type. All matrices
// are row-major with unit column stride; `ld*` is the distance between rows in elements. No kernel allocates, throws or
// keeps state; inputs and outputs may be the same block where a comment says "in place", and else do not overlap.
#pragma once

#include <cstdint>

#include "chainrule/names.h"

namespace chainrule {

// Every sum over the rows of a batch (weight and bias gradients) is a chain of fused multiply-adds over at most this
// many rows, starting from 0; the chains are added in the order of the rows. A constant of the arithmetic contract:
// changing it changes results.
inline constexpr Index sum_rows = 512;

enum class Start { zero, bias, c };  // what a tile's accumulators begin with: 0, the row vector bias, the old C
enum class Finish { store, add };    // what becomes of them: C = acc, or C = C + acc

// a = g(z), in place if wanted.
template <class T>
using Activate = void (*)(Index m, Index n, const T* z, Index ldz, T* a, Index lda);
// dz = da * g'(z), given a = g(z); in place of da if wanted.
template <class T>
using ActivateBackward = void (*)(Index m, Index n, const T* a, Index lda, const T* da, Index ldda, T* dz, Index lddz);

// What a product does with a finished part of C while that is in the first-level cache: nothing, a = g(C), or
// C = C * g'(a). a has the shape of C.
template <class T>
struct Epilogue {
  Activate<T> activate = nullptr;
  ActivateBackward<T> activate_backward = nullptr;
  T* a = nullptr;
  Index lda = 0;
};

// C (m x n) = start + A (m x k) B (k x n), each element one chain of fma in the order of k.
// A: element (i, p) of the tile starting at row r is a[r * a_row + p * a_step + (i - r)]; packed, a_step is the
// number of rows of the tile. B likewise by columns: b[c * b_col + p * b_step + (j - c)]; packed in panels of
// tile_columns, b_step is the width of the panel, the last one's padded to whole vectors.
template <class T>
struct GemmBlock {
  Index m = 0, n = 0, k = 0;
  const T* a = nullptr;
  Index a_row = 0, a_step = 0;
  bool a_packed = false;
  const T* b = nullptr;
  Index b_col = 0, b_step = 0;
  bool b_packed = false;
  T* c = nullptr;
  Index ldc = 0;
  const T* bias = nullptr;  // n values, for Start::bias
  Start start = Start::zero;
  Finish finish = Finish::store;
  Epilogue<T> epilogue{};
};

// C (m x n) = bias + A (m x k) Wᵀ for few rows, W (n x k) read once and never packed. bias may be null: 0.
template <class T>
struct GemmFewRows {
  Index m, n, k;
  const T* a;
  Index lda;
  const T* w;
  Index ldw;
  const T* bias;
  T* c;
  Index ldc;
  Epilogue<T> epilogue{};
};

// The loss of m rows of n logits. Targets are y (m x n), or labels (m class numbers; softmax only) where y is null.
// value[i] = weight[i] * L(row i); dz (row i) = scale[i] * dL/dz, in place of z if wanted; dz may be null. weight may
// be null: 1.
template <class T>
struct LossRows {
  Index m = 0, n = 0;
  const T* z = nullptr;
  Index ldz = 0;
  const T* y = nullptr;
  Index ldy = 0;
  const std::int32_t* labels = nullptr;
  const T* weight = nullptr;
  T scale = 1;  // times weight[i]
  T* value = nullptr;
  T* dz = nullptr;
  Index lddz = 0;
  T* scratch = nullptr;  // 2 * n * lanes elements
};

template <class T>
struct SgdUpdate {
  T learning_rate, momentum;
  bool nesterov, first;  // first: the velocity begins with the gradient
};

template <class T>
struct AdamUpdate {
  T step_size;                                         // learning_rate / (1 - beta1^t)
  T root_scale;                                        // 1 / sqrt(1 - beta2^t)
  T one_minus_beta1, beta2, one_minus_beta2, epsilon;  // the differences taken in double: 1 - 0.999f is off by 5e-5
};

template <class T>
struct Kernels {
  int lanes, tile_rows, tile_columns, few_rows;

  // dst[p * step + i] = src[i * stride_i + p * stride_k] for i < count, and 0 for count <= i < step; p < k.
  void (*pack_panel)(Index count, Index step, Index k, const T* src, Index stride_i, Index stride_k, T* dst);
  void (*gemm_block)(const GemmBlock<T>&);
  void (*gemm_few_rows)(const GemmFewRows<T>&);  // m <= few_rows

  Activate<T> activate[activation_count];
  ActivateBackward<T> activate_backward[activation_count];

  // The output activation, in place if wanted; scratch: 2 * n * lanes elements.
  void (*predict[loss_count])(Index m, Index n, const T* z, Index ldz, T* a, Index lda, T* scratch);
  void (*loss[loss_count])(const LossRows<T>&);

  void (*column_sums)(Index m, Index n, const T* x, Index ldx, T* sums, Finish);  // m <= sum_rows
  double (*sum)(Index n, const T* x);  // by 16 interleaved chains in double, then a fixed tree
  double (*sum_of_squares)(Index n, const T* x);
  void (*axpy)(Index n, T alpha, const T* x, T* y);  // y = y + alpha * x, one fma each

  void (*sgd)(Index n, const SgdUpdate<T>&, const T* gradient, T* velocity, T* parameters);  // velocity null: none
  void (*adam)(Index n, const AdamUpdate<T>&, const T* gradient, T* m, T* v, T* parameters);

  void (*log)(Index n, const T* x, T* y);  // for normal random numbers

  // The vectorised elementary functions, for tests and benchmarks.
  struct Elementwise {
    const char* name;
    void (*apply)(Index n, const T* x, T* y);
  };
  Elementwise elementwise[6];

  // Runs independent chains of fma and returns the number of operations done: the arithmetic peak. sink: lanes
  // elements.
  double (*peak)(Index repeats, T* sink);
};

// One per compiled instruction set, defined in kernels.cpp.
#define CHAINRULE_DECLARE_KERNELS(isa)          \
  namespace isa {                               \
  extern const Kernels<float> kernels_float32;  \
  extern const Kernels<double> kernels_float64; \
  }
CHAINRULE_DECLARE_KERNELS(avx512)
CHAINRULE_DECLARE_KERNELS(avx2)
CHAINRULE_DECLARE_KERNELS(baseline)
#undef CHAINRULE_DECLARE_KERNELS

}  // namespace chainrule
