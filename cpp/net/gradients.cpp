#include "net/gradients.h"

#include <algorithm>

#include "core/gemm_bf16.h"

namespace chainrule {

namespace {

template <class T>
Index entry_count(const SparseRows<T>& x, Index rows) {
  if (x.rows == nullptr) return x.indptr[rows] - x.indptr[0];
  Index count = 0;
  for (Index i = 0; i < rows; ++i) count += x.indptr[x.rows[i] + 1] - x.indptr[x.rows[i]];
  return count;
}

// Computes leaf `number` of dW of the first layer for sparse inputs, as one chain over the rows [begin, end) of a slab.
// The leaf is summed in an array of zeros that follows the runs. Then only the columns that occur in its rows are added
// to a run and set to zero again, or all columns if the leaf has more entries than there are columns. For binned rows,
// the array need not be zero, and all columns are added. place(i) is dW in array i of the tree, with rows ld apart.
template <class T, class Place>
void sparse_leaf(const Model<T>& model, const PassInputs<T>& slab, Share rows, MatrixView<const T> dz, Index number,
                 LeafPlace leaf, Place place, Index ld, const Columns& columns) {
  const PassInputs<T> x = slab.rows_between(rows.begin, rows.end);
  if (number == 0 && !x.is_binned()) {
    const bool dense = ld == dz.cols;
    const Index n_in = model.inputs();
    for (Index j = 0; j < (dense ? 1 : n_in); ++j)
      std::fill_n(place(0) + j * ld, dense ? n_in * dz.cols : dz.cols, T(0));
  }
  const auto gradient = x.is_binned() ? kernels<T>().binned_gradient : kernels<T>().sparse_gradient;
  gradient({x.rows, dz.cols, x.sparse, {model.dropout_of(0), x.first}, dz.data, dz.row_stride, place(leaf.runs), ld});
  Index first = number;  // the first leaf of the sum so far
  for (Index i = leaf.runs; i > leaf.place(); --i, first &= first - 1) {
    const PassInputs<T> summed = slab.rows_between(rows.begin - (number - first) * sum_rows, rows.end);
    T *from = place(i), *to = place(i - 1);
    const auto add = [&](Index column) {
      kernels<T>().axpy(dz.cols, T(1), from + column * ld, to + column * ld);
      std::fill_n(from + column * ld, dz.cols, T(0));
    };
    if (x.is_binned() || entry_count(summed.sparse, summed.rows) > model.inputs())
      for (Index column = 0; column < model.inputs(); ++column) add(column);
    else
      for (const Index column : columns.find(summed.sparse, summed.rows)) add(column);
  }
}

}  // namespace

template <class T>
GradientPlace<T> GradientPlaces<T>::of(const Layer<T>& layer, std::size_t l, const WeightBlock& block,
                                       const Scratch<T>& scratch) const {
  const auto [outputs, inputs] = block;
  if (data == nullptr) {
    T* to = scratch.gradients.data();
    const Index count = outputs.end - outputs.begin, rows = inputs.end - inputs.begin;
    if (panels == nullptr || panels->is_row(l)) return {to, {to, count}, to + rows * count};
    // Clear the padding: the update reads it, but the products do not write it.
    const Index last = (count - 1) / kernels<T>().tile_columns * kernels<T>().tile_columns;
    const Index size = PanelView<T>::size(rows, count);
    if (size > rows * count) std::fill(to + last * rows, to + size, T(0));
    return {to, {to, 0, rows}, to + size};
  }
  if (panels != nullptr)
    return {data, panels->outputs(l, outputs.begin, data), panels->biases(l, data) + outputs.begin};
  T* weights = data + layer.offset + outputs.begin;
  return {data, {weights + inputs.begin * layer.n_out, layer.n_out}, weights + layer.n_in * layer.n_out};
}

template <class T>
void gradients_of_block(const Model<T>& model, std::size_t l, const WeightBlock& block, const PassInputs<T>& inputs,
                        MatrixView<const T> dz, Slab slab, const SumTree<T>& tree, const GradientPlace<T>& gradients,
                        Scratch<T>& scratch, RowFetch<T>* fetch) {
  const Share outputs = block.outputs;
  const Index count = outputs.end - outputs.begin;
  Place<T> dw = gradients.dw;
  const Index weights = dw.data - gradients.array, biases = gradients.db - gradients.array;
  const auto place = [&](Index number) { return tree.place(number, gradients.array); };
  for (Index i = 0; i == 0 || i < inputs.rows; i += sum_rows) {
    const Index end = std::min(i + sum_rows, inputs.rows), number = (slab.first + i) / sum_rows;
    const LeafPlace leaf = place_of_leaf(number, slab.first + end >= slab.batch_rows);
    const auto delta = [&](Index from, Index to) {
      return MatrixView<const T>{dz.row(from) + outputs.begin, to - from, count, dz.row_stride, 1};
    };
    if (inputs.is_sparse())
      sparse_leaf(
          model, inputs, {i, end}, delta(i, end), number, leaf, [&](Index p) { return place(p) + weights; }, dw.ld,
          scratch.columns);
    const Index chain = chain_rows(model, end - i);
    for (Index from = i; from == i || from < end; from += chain) {
      // The sum of a leaf with several chains is stored in the array that follows the runs; the last chain adds it to
      // the runs.
      const Index to = std::min(from + chain, end);
      const bool whole = to == end;
      const T* sums[64];
      Addends<T> addends{sums};
      if (from > i) sums[addends.count++] = place(leaf.runs);
      for (Index k = 1; whole && k <= leaf.joined; ++k) sums[addends.count++] = place(leaf.runs - k);
      T* into = place(whole ? leaf.place() : leaf.runs);
      addends.at = weights;
      dw.data = into + weights;
      if (!inputs.is_sparse()) {
        const MatrixView<const T> a =
            inputs.matrix.rows_between(from, to).columns_between(block.inputs.begin, block.inputs.end);
        if (model.precision == Precision::bf16)
          gemm_bf16_transposed<T>(a, delta(from, to), addends, dw.data, dw.ld, scratch.bf16.data());
        else
          gemm_transposed<T>(a, delta(from, to), addends, dw, scratch.gemm.data(), fetch);
      }
      if (block.inputs.end < model.layers[l].n_in) continue;
      addends.at = biases;
      kernels<T>().column_sums(to - from, count, dz.row(from) + outputs.begin, dz.row_stride, into + biases, addends);
    }
  }
}

template <class T>
void add_penalty(const Layer<T>& layer, const WeightBlock& block, double l2, const Place<T>& dw) {
  const auto [outputs, inputs] = block;
  for (Index p = inputs.begin; l2 != 0 && p < inputs.end; ++p)
    kernels<T>().axpy(outputs.end - outputs.begin, static_cast<T>(l2), layer.w + p * layer.n_out + outputs.begin,
                      dw.data + (p - inputs.begin) * dw.ld);
}

template <class T>
double penalty(const Model<T>& model, double l2) {
  double squares = 0;
  if (l2 != 0)
    for (const Layer<T>& layer : model.layers)
      squares += kernels<T>().sum_of_squares(layer.n_out * layer.n_in, layer.w);
  return l2 / 2 * squares;
}

#define CHAINRULE_INSTANTIATE(T)                                                                                       \
  template struct GradientPlaces<T>;                                                                                   \
  template void gradients_of_block(const Model<T>&, std::size_t, const WeightBlock&, const PassInputs<T>&,             \
                                   MatrixView<const T>, Slab, const SumTree<T>&, const GradientPlace<T>&, Scratch<T>&, \
                                   RowFetch<T>*);                                                                      \
  template void add_penalty(const Layer<T>&, const WeightBlock&, double, const Place<T>&);                             \
  template double penalty(const Model<T>&, double);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
