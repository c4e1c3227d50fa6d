// The interface of the kernels: one table of functions per instruction set and type. All matrices are row-major with
// unit column stride; `ld*` is the distance between rows in elements. No kernel allocates, throws or keeps state;
// inputs and outputs may be the same block where a comment says "in place", and otherwise do not overlap.
#pragma once

#include <cstdint>

#include "chainrule/names.h"
#include "chainrule/optimizers.h"
#include "inputs.h"
#include "sum_tree.h"

namespace chainrule {

enum class Start { zero, bias, c };  // what a tile's accumulators begin with: 0, the row vector bias, the old C

// a = g(z), in place if wanted.
template <class T>
using Activate = void (*)(Index m, Index n, const T* z, Index ldz, T* a, Index lda);
// dz = da * g', where `saved` is a = g(z) or z, as SlopeReads says; in place of da if wanted.
template <class T>
using ActivateBackward = void (*)(Index m, Index n, const T* saved, Index lds, const T* da, Index ldda, T* dz,
                                  Index lddz);

// Applied to a finished part of C while that is in the first-level cache: nothing, a = g(C), or C = C * g', where a
// holds what the slope reads. a has the shape of C.
template <class T>
struct Epilogue {
  Activate<T> activate = nullptr;
  ActivateBackward<T> activate_backward = nullptr;
  T* a = nullptr;
  Index lda = 0;
};

// Rows of a matrix to prefetch: every fetch_steps steps of k a tile requests a few of their cache lines, which arrive
// while it computes. More at once would wait for one another.
inline constexpr Index fetch_steps = 8;
template <class T>
struct RowFetch {
  const T* x = nullptr;
  Index row_stride = 0, cols = 0;
  const Index *rows = nullptr, *end = nullptr;  // rows still to fetch
  Index column = 0;                             // in the first of them
  Index lines = 0;                              // fetched at a time
};

// Position of element (i, p) of an operand with leading dimension ld: rows, x[i * ld + p]; columns, x[p * ld + i];
// packed, in the order in which the tiles read it (pack_panel), where ld is ignored.
enum class Layout { packed, rows, columns };

// C (m x n) = start + A (m x k) B (k x n), each element one chain of fma in the order of k. A has any layout, packed
// tile by tile as gemm_block splits its rows. B and C are in rows, or packed in panels of tile_columns columns, the
// last one padded to whole vectors; panels have b_rows or c_rows rows, of which the product uses those from b_first or
// c_first on.
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
  // Steps of k that all rows take before the next ones; if less than k, sums has m x tile_columns elements.
  Index depth = 1 << 30;
  T* sums = nullptr;
  bool fetch_b = false;  // packed B is beyond the second level: prefetch it a panel ahead
  RowFetch<T>* fetch = nullptr;
};

// C (m x n) = A (m x k) Bᵀ for few rows, B (n x k) read once and never packed.
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
  T* scratch = nullptr;           // 2 * n * lanes elements
  const T* parameters = nullptr;  // of the loss: see NetworkOptions
};

// n parameters, or n in each of m rows that are `stride` apart, also in the arrays of an optimizer; the rows of their
// gradients are gradient_stride apart.
struct Region {
  Index n, m = 1, stride = 0, gradient_stride = 0;
};

// Applied before every update: gradient = clamp(scale * gradient, -limit, limit).
template <class T>
struct Clip {
  T scale = 1, limit = static_cast<T>(__builtin_inf());
};

// The progress of an optimizer: the steps begun, and two numbers that it carries from step to step.
struct Progress {
  Index steps = 0;
  double first = 1, second = 1;
};

// The numbers of a step; each optimizer uses some of them (updates.h). First comes the decoupled weight decay, p = keep
// p. Differences are computed in double: 1 - 0.999f is off by 5e-5.
template <class T>
struct Update {
  T rate = 0, keep = 1;
  T rate_in = 1, momentum = 0;  // factors on the gradient and on the old velocity
  T beta1 = 0, one_minus_beta1 = 0, beta2 = 0, one_minus_beta2 = 0;
  T root_scale = 1, epsilon = 0;  // factor on the root of the squares; added to it
  bool nesterov = false, first = false;
};

// The arrays that an optimizer has, the initial value of v, and whether `mean` is an average of the parameters, with
// which the network ends.
struct Arrays {
  bool m = false, v = false, mean = false;
  double v_start = 0;
  bool averages = false;
};

// The arrays of an optimizer, null where it has none: m a mean of gradients or a velocity, v a mean or sum of their
// squares, mean what RMSprop centers by.
template <class T>
struct Moments {
  T *m = nullptr, *v = nullptr, *mean = nullptr;
};

// An optimizer: its arrays; begin() counts a step and returns its numbers; update() returns the numbers of the same
// step with other factors; apply() updates parameters. learning_rate and weight_decay are the schedules' factors.
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

// The sliced schedule, for small networks: a team of threads trains many steps in one call. Each slice of a batch goes
// forward and backward through all layers in one thread's cache and yields its part of the gradients; those of a leaf
// are added in the order of the slices, and the leaves as a tree. Parameters, gradients and moments have their own
// layout: W of n_out > 1 outputs as Wᵀ, its rows padded with zeros to multiples of slice_width, W of one output (the
// last layer's) as one such row; after it the biases, padded likewise. All padding stays zero.
inline constexpr Index slice_width = 16;
inline constexpr Index slices_of_leaf = 8;                       // at most, and in every leaf but the last
inline constexpr Index slices_at_once = 8 * slices_of_leaf;      // whose gradients are kept until they are added
inline constexpr Index whole_slice = sum_rows / slices_of_leaf;  // rows

// The gradients of a layer of one output by its n weights and its bias, from its dz (m) and its inputs a. Replaces a by
// dz[i] w[p] g'(a(i, p)), and computes the sums of its columns. Rows of a, w and sums are padded to multiples of
// slice_width.
template <class T>
using OneOutputBackward = void (*)(Index m, Index n, const T* dz, const T* w, T* a, Index lda, T* dw, T* db, T* sums);

template <class T>
struct SliceLayer {
  Index n_in, n_out;
  Index offset, weight_count;  // of W in the layout; the biases follow
  Index width;                 // of a row of activations: n_out padded, or 1 for one output
  // By its activation; null in the last layer:
  Activate<T> activate;
  ActivateBackward<T> activate_backward;
  OneOutputBackward<T> one_output_backward;
  // Memory of one thread:
  T* a;        // slice rows x width: activations, then the gradient by z in their place
  T* weights;  // W (n_out x n_in, rows padded), for the gradient by the inputs; null where that is not needed
};

// The examples, batch after batch: those with the indices in rows, or, if that is null, all in order.
template <class T>
struct SliceExamples {
  const T* x;
  Index x_row, x_col;
  const T* y;  // or null: labels
  Index y_row, y_col;
  const std::int32_t* labels;
  const T* weights;  // or null: 1
  const Index* rows;
  Index rows_end;  // length of rows
  bool far;        // x is beyond the second-level cache: prefetch its next rows
};

// (1/Σw) Σ_i w_i L_i + (l2/2) Σ_l ‖W[l]‖², and Σw.
struct BatchCost {
  double mean, weight;
};

template <class T>
struct SliceSteps {
  int size;  // of the team, whose members all make the same call with their own layers and scratch
  const void* team;
  // For more than one member: the next of `count` items for this member, or -1 once all members' items are done; the
  // next call then begins another phase.
  Index (*next)(const void* team, Index count);
  bool (*poll)(const void* team);  // or null: called between rounds of slices; false: all leave the step

  const SliceLayer<T>* layers;
  Index layer_count;
  void (*loss)(const LossRows<T>&);
  const T* loss_parameters;

  SliceExamples<T> examples;
  Index m;                      // rows of a batch
  Index last_slice_rows;        // of each slice of its last leaf: at most whole_slice
  Index loss_rows;              // whose losses are summed at a time: a divisor of whole_slice
  Index steps, first, advance;  // step s takes m examples from first + s * advance on

  T* parameters;
  Index parameter_count;
  T* partials;  // arrays of parameter_count: runs of leaves, then slices. The first one ends with the gradients of a
                // step
  double l2;
  bool l2_per_row;           // l2 is to be divided by Σw of each batch
  const Update<T>* updates;  // one per step
  bool is_sgd;               // otherwise Adam
  Moments<T> moments;

  BatchCost* cost;  // of each step
  T* value;         // losses of the rows of slices_at_once slices
  // Memory of one thread for one slice: inputs (rows padded), targets, weights, labels, a block of gradients by a.
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
  OneOutputBackward<T> one_output_backward[activation_count];  // null where the slope reads z

  // out(i, j) = the factor of unit `column + j` in row `row + i`, of m x n.
  void (*dropout_factors)(const Dropout&, Index m, Index n, Index row, Index column, T* out, Index ld);
  ActivateBackward<T> multiply;  // dz = a * da: the slope, or the factors, times da

  // The output activation, in place if wanted; scratch: 2 * n * lanes elements.
  void (*predict[loss_count])(Index m, Index n, const T* z, Index ldz, T* a, Index lda, T* scratch);
  void (*loss[loss_count])(const LossRows<T>&);

  void (*sparse_forward)(const SparseForward<T>&);
  void (*sparse_dot)(const SparseForward<T>&);  // for one output, summed as in dot_rows; ldw is ignored
  void (*sparse_gradient)(const SparseGradient<T>&);

  void (*column_sums)(Index m, Index n, const T* x, Index ldx, T* sums, Addends<T>);  // m <= sum_rows
  double (*sum)(Index n, const T* x);  // by 16 interleaved chains in double, then a fixed tree
  double (*sum_of_squares)(Index n, const T* x);
  double (*dot)(Index n, const T* x, const T* y);
  void (*column_squares)(Index m, Index n, const T* x, Index ldx, double* sums);  // Σ_i x(i, j)², in double
  void (*axpy)(Index n, T alpha, const T* x, T* y);                               // y = y + alpha * x, one fma each

  OptimizerPasses<T, PassOptimizers> optimizers;
  void (*average)(Region, T rate, const T* x, T* mean);  // mean = mean + rate (x - mean); x as a gradient

  // For schedules and normal random numbers: libm's results change with its version.
  void (*exp)(Index n, const T* x, T* y);
  void (*log)(Index n, const T* x, T* y);
  void (*cos)(Index n, const T* x, T* y);

  // Threefry-4x32-20 itself, for tests.
  void (*random_words)(const std::uint32_t (&counter)[4], const std::uint32_t (&key)[4], std::uint32_t (&words)[4]);

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

// Two neighbours along k of an operand in bf16, the first in the lower half.
using Bf16Pair = std::int32_t;

// C (m x n) = start + A (m x k) B (k x n), A and B packed as pairs, tile by tile as GemmBlock has them. k is in pairs.
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

// Used beside the table of an instruction set, with its lanes and tiles, if the CPU multiplies bf16.
template <class T>
struct Bf16Kernels {
  // dst[p * step + i] = the pair of src[i * stride_i + q * stride_k], q = 2 p and 2 p + 1, for i < count, and of 0 for
  // q >= k and for count <= i < step; p < (k + 1) / 2.
  void (*pack_panel)(Index count, Index step, Index k, const T* src, Index stride_i, Index stride_k, Bf16Pair* dst);
  void (*gemm_block)(const Bf16Block<T>&);
  double (*peak)(Index repeats, T* sink);  // as in Kernels
};

namespace avx512_bf16 {
extern const Bf16Kernels<float> kernels_bf16;  // defined in bf16.cpp
}

}  // namespace chainrule
