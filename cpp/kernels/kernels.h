// The interface of the kernels: one table of functions per instruction set and type. All matrices are row-major with
// unit column stride; `ld*` is the distance between rows in elements. No kernel allocates, throws or keeps state. An
// input and an output may be the same matrix where a comment says "in place"; otherwise they do not overlap.
#pragma once

#include <cstdint>

#include "chainrule/names.h"
#include "chainrule/optimizers.h"
#include "inputs.h"
#include "sum_tree.h"

namespace chainrule {

enum class Start { zero, bias, c };  // initial value of a tile's accumulators: 0, the row vector bias, or the old C

// a = g(z); a may be the same array as z.
template <class T>
using Activate = void (*)(Index m, Index n, const T* z, Index ldz, T* a, Index lda);
// dz = da * g'; dz may be the same array as da. `saved` is a = g(z) or z, depending on the activation's SlopeReads.
template <class T>
using ActivateBackward = void (*)(Index m, Index n, const T* saved, Index lds, const T* da, Index ldda, T* dz,
                                  Index lddz);

// a = g(z), then z = g'(z).
template <class T>
using ActivateWithSlope = void (*)(Index m, Index n, T* z, Index ldz, T* a, Index lda);

// Applied to a finished part of C while it is in the first-level cache: nothing; a = g(C), perhaps followed by
// C = g'(C); or C = C * g', for which a holds the saved a = g(z) or z. a has the shape of C.
template <class T>
struct Epilogue {
  Activate<T> activate = nullptr;
  ActivateBackward<T> activate_backward = nullptr;
  T* a = nullptr;
  Index lda = 0;
  ActivateWithSlope<T> activate_with_slope = nullptr;
};

// Rows of a matrix to prefetch. Every fetch_steps steps of k, a tile requests a few of their cache lines, which arrive
// while it computes. If it requested more at once, the requests would queue.
inline constexpr Index fetch_steps = 8;
template <class T>
struct RowFetch {
  const T* x = nullptr;
  Index row_stride = 0, cols = 0;
  const Index *rows = nullptr, *end = nullptr;  // numbers of the rows that are still to be fetched
  Index column = 0;                             // the next column of the first of these rows
  Index lines = 0;                              // cache lines per request
};

// Where element (i, p) of an operand is stored. rows: x[i * ld + p]. columns: x[p * ld + i]. packed: in the order in
// which the tiles read it (pack_panel); ld is ignored.
enum class Layout { packed, rows, columns };

// C (m x n) = start + A (m x k) B (k x n). Each element is one chain of fma in the order of k. A may have any layout;
// if it is packed, it is in the row tiles of gemm_block. B and C are stored by rows or in panels of tile_columns
// columns, of which the last one is padded to whole vectors. A panel of B has b_rows rows and the product uses those
// from b_first on; likewise c_rows and c_first for C.
template <class T>
struct GemmBlock {
  Index m = 0, n = 0, k = 0;
  const T* a = nullptr;
  Index lda = 0;
  Layout a_layout = Layout::packed;
  const T* b = nullptr;
  Index ldb = 0;
  Layout b_layout = Layout::packed;
  Index b_rows = 0, b_first = 0;
  T* c = nullptr;
  Index ldc = 0;
  Layout c_layout = Layout::rows;
  Index c_rows = 0, c_first = 0;
  const T* bias = nullptr;  // n values, for Start::bias
  Start start = Start::zero;
  Addends<T> addends{};
  Epilogue<T> epilogue{};  // only with C in rows and without addends
  // All rows complete this many steps of k before any row begins the next ones. If it is less than k, sums must have
  // m x tile_columns elements.
  Index depth = 1 << 30;
  T* sums = nullptr;
  bool fetch_b = false;  // B is packed and larger than the second-level cache: prefetch it one panel ahead
  RowFetch<T>* fetch = nullptr;
};

// C (m x n) = A (m x k) Bᵀ for few rows. B (n x k) is read once and never packed.
template <class T>
struct GemmFewRows {
  Index m, n, k;
  const T* a;
  Index lda;
  const T* b;
  Index ldb;
  T* c;
  Index ldc;
  Epilogue<T> epilogue{};
};

// The loss of m rows of n logits. The targets are y (m x n) or, if y is null, labels (m class numbers; softmax only).
// value[i] = weight[i] * L(row i); dz(row i) = weight[i] * scale * dL/dz, may be in place of z, and is not computed if
// dz is null. If weight is null, every weight is 1.
template <class T>
struct LossRows {
  Index m = 0, n = 0;
  const T* z = nullptr;
  Index ldz = 0;
  const T* y = nullptr;
  Index ldy = 0;
  const std::int32_t* labels = nullptr;
  const T* weight = nullptr;
  T scale = 1;
  T* value = nullptr;
  T* dz = nullptr;
  Index lddz = 0;
  T* scratch = nullptr;           // 2 * n * lanes elements
  const T* parameters = nullptr;  // of the loss: see NetworkOptions
  bool missing = false;           // see Targets; only if n > 1
};

// m rows of n parameters each. The rows are `stride` elements apart in the parameters and in the optimizer's arrays,
// and gradient_stride elements apart in the gradient.
struct Region {
  Index n, m = 1, stride = 0, gradient_stride = 0;
};

// Applied before every update: gradient = clamp(scale * gradient, -limit, limit).
template <class T>
struct Clip {
  T scale = 1, limit = static_cast<T>(__builtin_inf());
};

// The progress of an optimizer: the number of steps begun, and two numbers that it carries from one step to the next.
struct Progress {
  Index steps = 0;
  double first = 1, second = 1;
};

// The coefficients of a step; each optimizer uses some of them (updates.h). The decoupled weight decay, p = keep p, is
// applied first. Differences such as 1 - beta2 are computed in double: 1 - 0.999f has a relative error of 1e-5.
template <class T>
struct Update {
  T rate = 0, keep = 1;
  T rate_in = 1, momentum = 0;  // factors on the gradient and on the old velocity
  T beta1 = 0, one_minus_beta1 = 0, beta2 = 0, one_minus_beta2 = 0;
  T root_scale = 1, epsilon = 0;  // the denominator is root_scale sqrt(v) + epsilon
  bool nesterov = false, first = false;
};

// Which arrays an optimizer has, the initial value of v, and whether `mean` is an average of the parameters that
// replaces them at the end of training.
struct Arrays {
  bool m = false, v = false, mean = false;
  double v_start = 0;
  bool averages = false;
};

// The arrays of an optimizer, null if it does not use them: m, a mean of the gradients or a velocity; v, a mean or sum
// of their squares; mean, the mean gradient of centered RMSprop or the average of schedule-free AdamW.
template <class T>
struct Moments {
  T *m = nullptr, *v = nullptr, *mean = nullptr;
};

// The functions of an optimizer. arrays() returns which arrays it has; begin() counts a step and returns its
// coefficients; update() returns the coefficients of the same step for other schedule factors; apply() updates
// parameters. learning_rate and weight_decay are the factors of the schedules.
template <class T, class Optimizer>
struct OptimizerPass {
  Arrays (*arrays)(const Optimizer&);
  Update<T> (*begin)(const Optimizer&, Progress&, double learning_rate, double weight_decay);
  Update<T> (*update)(const Optimizer&, const Progress&, double learning_rate, double weight_decay);
  void (*apply)(Region, const Update<T>&, Clip<T>, const T* gradient, Moments<T>, T* parameters);
};
template <class T, class List>
struct OptimizerPasses;
template <class T, class... Optimizer>
struct OptimizerPasses<T, OptimizerList<Optimizer...>> : OptimizerPass<T, Optimizer>... {};

// The sliced schedule, for small networks: a team of threads trains many steps in one call. One thread takes a slice of
// the batch forward and backward through all layers while it is in the thread's cache, and computes the gradient of the
// slice. The gradients of a leaf's slices are added in order, and the leaves as a tree. Parameters, gradients and
// moments have a special layout: each layer stores Wᵀ, with rows padded with zeros to a multiple of slice_width, then
// the biases, padded likewise. The W of a last layer with one output is a single such row. All padding stays zero.
inline constexpr Index slice_width = 16;
[[gnu::always_inline]] constexpr Index padded_width(Index n) {
  return (n + slice_width - 1) / slice_width * slice_width;
}
inline constexpr Index slices_of_leaf = 8;                       // the last leaf may have fewer
inline constexpr Index slices_at_once = 8 * slices_of_leaf;      // their gradients are stored before they are added
inline constexpr Index whole_slice = sum_rows / slices_of_leaf;  // rows of a slice, except in the last leaf

// The backward pass of a layer with one output: computes dw (n) and db from the layer's dz (m) and inputs a, overwrites
// a with dz[i] w[p] g'(a(i, p)), and computes the column sums of the result. Rows of a, w and sums are padded to
// multiples of slice_width.
template <class T>
using OneOutputBackward = void (*)(Index m, Index n, const T* dz, const T* w, T* a, Index lda, T* dw, T* db, T* sums);

template <class T>
struct SliceLayer {
  Index n_in, n_out;
  Index offset, weight_count;  // of W in the layout; the biases follow
  Index width;                 // of a row of activations: n_out padded, or 1 for one output
  // The kernels of its activation; null in the last layer:
  Activate<T> activate;
  ActivateBackward<T> activate_backward;
  OneOutputBackward<T> one_output_backward;
  // Memory of one thread:
  T* a;        // rows of a slice x width: the activations, later overwritten with dL/dz
  T* weights;  // W (n_out x n_in, rows padded), for dL/d(inputs); null if that is not needed
};

// The examples, batch after batch: the ones whose indices are in rows, or all in order if rows is null.
template <class T>
struct SliceExamples {
  const T* x;
  Index x_row, x_col;
  const T* y;  // null: labels
  Index y_row, y_col;
  const std::int32_t* labels;
  const T* weights;  // null: every weight is 1
  const Index* rows;
  Index rows_end;  // length of rows
  bool far;        // x is larger than the second-level cache: prefetch the rows of the next batch
};

// (1/Σw) Σ_i w_i L_i + (l2/2) Σ_l ‖W[l]‖², and Σw.
struct BatchCost {
  double mean, weight;
};

template <class T>
struct SliceSteps {
  int size;  // of the team; every member makes the same call with its own layers and scratch
  const void* team;
  // Only called if size > 1. Returns this member's next item of `count`, or -1 when the items of all members are done.
  // The call after that begins another phase.
  Index (*next)(const void* team, Index count);
  bool (*poll)(const void* team);  // called between rounds of slices; if it returns false, all members leave the step

  const SliceLayer<T>* layers;
  Index layer_count;
  void (*loss)(const LossRows<T>&);
  const T* loss_parameters;

  SliceExamples<T> examples;
  Index m;                      // rows of a batch
  Index last_slice_rows;        // rows of each slice of the batch's last leaf: at most whole_slice
  Index loss_rows;              // number of rows whose losses are summed together: a divisor of whole_slice
  Index steps, first, advance;  // step s takes m examples from first + s * advance on

  T* parameters;
  Index parameter_count;
  T* partials;  // arrays of parameter_count elements: one per run of leaves, then one per slice. At the end of a step
                // the first one holds the gradient.
  double l2;
  bool l2_per_row;           // divide l2 by Σw of each batch
  const Update<T>* updates;  // one per step
  bool is_sgd;               // otherwise Adam
  Moments<T> moments;

  BatchCost* cost;  // of each step
  T* value;         // losses of the rows of slices_at_once slices
  // Memory of one thread for one slice: inputs (rows padded), targets, weights, labels, and a block of dL/da.
  T *x, *y, *weight, *da, *loss_scratch;
  std::int32_t* label;
};

template <class T>
struct Kernels {
  int lanes, tile_rows, tile_columns, few_rows;

  // dst[p * step + i] = src[i * stride_i + p * stride_k] for i < count, and 0 for count <= i < step; p < k.
  void (*pack_panel)(Index count, Index step, Index k, const T* src, Index stride_i, Index stride_k, T* dst);
  void (*gemm_block)(const GemmBlock<T>&);
  void (*gemm_few_rows)(const GemmFewRows<T>&);  // m <= few_rows

  // out[i * step] = bias + Σ_p a(i, p) w[p] for m rows: 16 interleaved chains of fma, then a fixed tree.
  void (*dot_rows)(Index m, Index k, const T* a, Index lda, const T* w, T bias, T* out, Index step);
  void (*slice_steps)(const SliceSteps<T>&);

  Activate<T> activate[activation_count];
  ActivateBackward<T> activate_backward[activation_count];
  ActivateWithSlope<T> activate_with_slope[activation_count];  // null where the slope reads a
  OneOutputBackward<T> one_output_backward[activation_count];  // null where the slope reads z

  // x(i, j) and, unless y is null, y(i, j) times the factor of unit `column + j` in row `row + i`, for i < m and j < n.
  void (*drop)(const Dropout&, Index m, Index n, Index row, Index column, T* x, Index ldx, T* y, Index ldy);
  ActivateBackward<T> multiply;  // dz = a * da, where a holds slopes or dropout factors

  // The output activation; may be in place. scratch has 2 * n * lanes elements.
  void (*predict[loss_count])(Index m, Index n, const T* z, Index ldz, T* a, Index lda, T* scratch);
  void (*loss[loss_count])(const LossRows<T>&);

  void (*sparse_forward)(const SparseForward<T>&);
  void (*sparse_dot)(const SparseForward<T>&);  // for one output, summed as in dot_rows; ldw is ignored
  void (*sparse_gradient)(const SparseGradient<T>&);
  void (*binned_forward)(const SparseForward<T>&);  // without dropout, like binned_gradient
  void (*binned_gradient)(const SparseGradient<T>&);
  // Row i of y = row i - 1 of y + row i of x, for m x n elements.
  void (*running_sums)(Index m, Index n, const T* x, Index ldx, T* y, Index ldy);

  void (*column_sums)(Index m, Index n, const T* x, Index ldx, T* sums, Addends<T>);  // m <= sum_rows
  double (*sum)(Index n, const T* x);  // 16 interleaved chains in double, then a fixed tree
  double (*sum_of_squares)(Index n, const T* x);
  double (*dot)(Index n, const T* x, const T* y);
  void (*column_squares)(Index m, Index n, const T* x, Index ldx, double* sums);  // Σ_i x(i, j)², in double
  void (*axpy)(Index n, T alpha, const T* x, T* y);                               // y = y + alpha * x, one fma each

  OptimizerPasses<T, PassOptimizers> optimizers;
  void (*average)(Region, T rate, const T* x, T* mean);  // mean = mean + rate (x - mean); x has the gradient's strides

  // Used for schedules and normal random numbers, because the results of libm change with its version.
  void (*exp)(Index n, const T* x, T* y);
  void (*log)(Index n, const T* x, T* y);
  void (*cos)(Index n, const T* x, T* y);

  // The raw words of Threefry-4x32-20, for tests.
  void (*random_words)(const std::uint32_t (&counter)[4], const std::uint32_t (&key)[4], std::uint32_t (&words)[4]);

  // Runs independent chains of fma to measure the arithmetic peak; returns the number of operations. sink has `lanes`
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

// Two neighboring elements of an operand along k, in bf16; the first is in the lower half.
using Bf16Pair = std::int32_t;

// C (m x n) = start + A (m x k) B (k x n). A and B are packed into the tiles and panels of GemmBlock, as pairs; k
// counts pairs.
template <class T>
struct Bf16Block {
  Index m = 0, n = 0, k = 0;
  const Bf16Pair* a = nullptr;
  const Bf16Pair* b = nullptr;
  T* c = nullptr;
  Index ldc = 0;
  const T* bias = nullptr;  // n values, for Start::bias
  Start start = Start::zero;
  Addends<T> addends{};
  Epilogue<T> epilogue{};
};

// Kernels that supplement the table of an instruction set, with the same lanes and tiles, if the CPU multiplies bf16.
template <class T>
struct Bf16Kernels {
  // dst[p * step + i] = the pair of src[i * stride_i + q * stride_k] for q = 2 p and 2 p + 1; p < (k + 1) / 2. Elements
  // with q >= k or count <= i < step are 0.
  void (*pack_panel)(Index count, Index step, Index k, const T* src, Index stride_i, Index stride_k, Bf16Pair* dst);
  void (*gemm_block)(const Bf16Block<T>&);
  double (*peak)(Index repeats, T* sink);  // as in Kernels
};

namespace avx512_bf16 {
extern const Bf16Kernels<float> kernels_bf16;  // defined in bf16.cpp
}

}  // namespace chainrule
