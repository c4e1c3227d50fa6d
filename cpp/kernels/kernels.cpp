// The kernels of one instruction set. This file is compiled once per instruction set, with -DCHAINRULE_ISA=name and the
// flags of that set. Only the two tables have external linkage, and they are constants, so that an older CPU can load
// this object without executing any of its code.
#include "kernels.h"

#include "activations.h"
#include "binned.h"
#include "dot.h"
#include "gemm.h"
#include "losses.h"
#include "pack.h"
#include "random.h"
#include "slice.h"
#include "sparse.h"
#include "updates.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

// Only called for a few values, so the code is short rather than fast.
template <class T, Vec<T> (*F)(Vec<T>)>
void apply(Index n, const T* x, T* y) {
  for (Index j = 0; j < n; j += lanes<T>) {
    const Tail<T> tail(n - j < lanes<T> ? n - j : lanes<T>);
    store(y + j, F(load(x + j, tail)), tail);
  }
}

template <class T>
double peak(Index repeats, T* sink) {
  constexpr int chains = 12;  // at least latency times throughput on every known CPU, and fits 16 registers
  Vec<T> acc[chains];
  for (int i = 0; i < chains; ++i) acc[i] = splat(static_cast<T>(i));
  const Vec<T> x = splat(T(0.5)), y = splat(T(1));
  for (Index r = 0; r < repeats; ++r)
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i) acc[i] = fma(acc[i], x, y);
  Vec<T> total{};
  for (int i = 0; i < chains; ++i) total = total + acc[i];
  store(sink, total);
  return 2.0 * chains * lanes<T> * static_cast<double>(repeats);
}

// Indices<0, 1, ..., count - 1>: the numbers of the activations or losses, in the order of chainrule/names.h.
template <int... I>
struct Indices {};
template <int count, int... I>
struct IndicesOf : IndicesOf<count - 1, count - 1, I...> {};
template <int... I>
struct IndicesOf<0, I...> : Indices<I...> {};

template <class T, int G>
constexpr ActivateWithSlope<T> activate_with_slope_of() {
  if constexpr (slope_reads_z(Activation{G}))
    return activate_with_slope<T, Formula<Activation{G}>>;
  else
    return nullptr;
}

// Null for activations whose slope reads z, because the sliced schedule does not store z.
template <class T, int G>
constexpr OneOutputBackward<T> one_output_backward_of() {
  if constexpr (slope_reads_z(Activation{G}))
    return nullptr;
  else
    return one_output_backward<T, Formula<Activation{G}>>;
}

template <class T, int... G, int... L>
constexpr Kernels<T> make_kernels(Indices<G...>, Indices<L...>) {
  return {
      .lanes = lanes<T>,
      .tile_rows = tile_rows,
      .tile_columns = tile_vectors * lanes<T>,
      .few_rows = few_rows,
      .pack_panel = pack_panel<T>,
      .gemm_block = gemm_block<T>,
      .gemm_few_rows = gemm_few_rows<T>,
      .dot_rows = dot_rows<T>,
      .slice_steps = slice_steps<T>,
      .activate = {activate<T, Formula<Activation{G}>>...},
      .activate_backward = {activate_backward<T, Formula<Activation{G}>>...},
      .activate_with_slope = {activate_with_slope_of<T, G>()...},
      .one_output_backward = {one_output_backward_of<T, G>()...},
      .drop = drop<T>,
      .multiply = multiply<T>,
      .predict = {predict_rows<T, OutputFormula<loss_traits[L].output>>...},
      .loss = {loss_rows<T, LossFormula<Loss{L}>>...},
      .sparse_forward = sparse_forward<T>,
      .sparse_dot = sparse_dot<T>,
      .sparse_gradient = sparse_gradient<T>,
      .binned_forward = binned_forward<T>,
      .binned_gradient = binned_gradient<T>,
      .running_sums = running_sums<T>,
      .column_sums = column_sums<T>,
      .sum = sum<T>,
      .sum_of_squares = sum_of_squares<T>,
      .dot = dot<T>,
      .column_squares = column_squares<T>,
      .axpy = axpy<T>,
      .optimizers = passes_of<T>(PassOptimizers()),
      .average = average<T>,
      .exp = apply<T, exp<T>>,
      .log = apply<T, log<T>>,
      .cos = apply<T, cos<T>>,
      .random_words = random_words,
      .peak = peak<T>,
  };
}

}  // namespace

extern constinit const Kernels<float> kernels_float32 =
    make_kernels<float>(IndicesOf<activation_count>(), IndicesOf<loss_count>());
extern constinit const Kernels<double> kernels_float64 =
    make_kernels<double>(IndicesOf<activation_count>(), IndicesOf<loss_count>());

}  // namespace chainrule::CHAINRULE_ISA
