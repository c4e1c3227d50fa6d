// Sums over the rows of a batch: the lengths of their chains, which are part of the arithmetic contract, and the sums
// of the rows' losses and weights.
#pragma once

#include <algorithm>
#include <vector>

#include "core/dispatch.h"
#include "net/binned.h"
#include "net/model.h"
#include "net/sum_tree.h"

namespace chainrule {

// True if the network is small enough to train slice by slice (train/sliced): its parameters, its moments and the
// activations of a slice fit in a second-level cache. The limit is part of the arithmetic contract, so it is a
// constant.
template <class T>
bool is_small(const Model<T>& model) {
  return model.parameter_count() <= 16384;
}

// Number of rows in one chain of the sums over a leaf of m rows: all of them or, in a small network, those of a slice.
// Slices are short, so that several threads can share a batch and the activations of a slice stay in the first-level
// cache. Losses are summed in chains of the same length, where m is the number of rows of the batch. The result is part
// of the arithmetic contract and a divisor of sum_rows.
template <class T>
Index chain_rows(const Model<T>& model, Index m) {
  if (!is_small(model)) return sum_rows;
  return m <= 256 ? whole_slice / 2 : whole_slice;
}

// The tree that sums the gradients of batches of batch_rows rows. size: elements of one array of gradients.
template <class T>
SumTree<T> sum_tree(const Model<T>& model, Index batch_rows, Index size) {
  return SumTree<T>(batch_rows, size, is_small(model), model.sparse_inputs);
}

// Returns total + Σ_i value[i], added one chain at a time, so that the result does not depend on the size of a slab.
// sums: if not null, the sums of the chains are appended to it.
template <class T>
double add_values(double total, Index m, const T* value, Index chain, std::vector<double>* sums = nullptr) {
  for (Index i = 0; i < m; i += chain) {
    const double sum = kernels<T>().sum(std::min(chain, m - i), value + i);
    if (sums != nullptr) sums->push_back(sum);
    total += sum;
  }
  return total;
}

// Σw over m rows: rows[0..m), or the first m if rows is null. Null weights mean 1 for every row.
template <class T>
double weight_sum(const T* weights, const Index* rows, Index m) {
  if (weights == nullptr) return static_cast<double>(m);
  double sum = 0;
  for (Index i = 0; i < m; ++i) sum += static_cast<double>(weights[rows != nullptr ? rows[i] : i]);
  return sum;
}
// The same, where a row with missing targets counts in proportion to the fraction of its targets that are present.
template <class T>
double weight_sum(const Targets<T>& targets, const T* weights, const Index* rows, Index m) {
  if (!targets.missing) return weight_sum(weights, rows, m);
  const MatrixView<const T>& y = targets.values;
  double sum = 0;
  for (Index i = 0; i < m; ++i) {
    const Index row = rows != nullptr ? rows[i] : i;
    Index present = 0;
    for (Index j = 0; j < y.cols; ++j) present += y(row, j) == y(row, j);
    sum += (weights != nullptr ? static_cast<double>(weights[row]) : 1.0) *
           (static_cast<double>(present) / static_cast<double>(y.cols));
  }
  return sum;
}
// 1 / Σw, or 0 if Σw is 0, so that rows with weight 0 change nothing.
inline double scale_for(double weight_sum) { return weight_sum > 0 ? 1 / weight_sum : 0; }

// Floating-point operations in the matrix products of one row, forward or forward and backward.
template <class T>
double row_operations(const Model<T>& model, bool gradients) {
  Index weights = model.parameter_count();
  if (!model.binned_inputs.empty())
    weights -= (model.inputs() - entries_of_row(model.binned_inputs)) * model.layers.front().n_out;
  return (gradients ? 6.0 : 2.0) * static_cast<double>(weights);
}

}  // namespace chainrule
