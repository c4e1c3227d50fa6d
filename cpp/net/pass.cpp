#include "net/pass.h"

#include <algorithm>

namespace chainrule {

template <class T>
Share owned_outputs(const Model<T>& model, std::size_t l, Team team) {
  const Index width = kernels<T>().tile_columns;
  const auto panels = [&](std::size_t layer) { return (model.layers[layer].n_out + width - 1) / width; };
  const Index n_out = model.layers[l].n_out;
  if (!is_narrow(model.layers[l], team)) return share(n_out, team, width);
  Index first = 0;  // the narrow layers before have given their panels to the members before
  for (std::size_t before = 0; before < l; ++before)
    if (is_narrow(model.layers[before], team)) first += panels(before);
  const Index panel = (team.rank - first % team.size + team.size) % team.size;
  return {std::min(panel * width, n_out), std::min((panel + 1) * width, n_out)};
}

template <class T>
OutputItems<T>::OutputItems(const Model<T>& model, Index rows, Team team, Index most)
    : model_(model), rows_(rows), most_(most), team_(team) {
  for (std::size_t l = 0; l < model.layers.size(); ++l) of_member_ += groups(l) * input_groups(l);
}

// Of a layer that a member owns: none for a narrow one, of less than some 5 us.
template <class T>
Index OutputItems<T>::groups(std::size_t l) const {
  const Layer<T>& layer = model_.layers[l];
  if (is_narrow(layer, team_)) return 1;
  const Index panels = ceil_div(layer.n_out, kernels<T>().tile_columns);
  const Index least = (ceil_div(panels, team_.size) * kernels<T>().tile_columns - 1) / most_ + 1;
  if (team_.size == 1) return least;
  constexpr double least_work = 3e5;  // multiply-adds
  const double work = static_cast<double>(layer.size()) * static_cast<double>(rows_) / team_.size;
  return std::max(least,
                  std::clamp<Index>(static_cast<Index>(work / least_work), 1, std::min<Index>(4, panels / team_.size)));
}

template <class T>
Share OutputItems<T>::outputs_of(std::size_t l, Index member, Index group) const {
  const Share owned = owned_outputs(model_, l, Team{static_cast<int>(member), team_.size});
  const Share mine = part(owned.end - owned.begin, groups(l), group, kernels<T>().tile_columns);
  return {owned.begin + mine.begin, owned.begin + mine.end};
}

template <class T>
PanelView<T> PackedWeights<T>::copy(Index k, Index n) {
  memory_.emplace_back(PanelView<T>::size(k, n), typename Buffer<T>::Uninitialized{});
  return {memory_.back().data(), k, n};
}

template <class T>
PackedWeights<T>::PackedWeights(const Model<T>& model, bool backward, bool inputs) {
  const Index read_in_place = 2 * bytes_of_core(caches().l2);  // of Wᵀ, at most
  for (const Layer<T>& layer : model.layers) {
    const bool first = &layer == &model.layers.front();
    const bool large =
        layer.n_in * layer.n_out * static_cast<Index>(sizeof(T)) > read_in_place && !(first && model.sparse_inputs);
    const bool wanted = backward && (!first || inputs);
    if (model.precision == Precision::bf16) {
      forward_bf16_.emplace_back(layer.n_in, layer.n_out);
      backward_bf16_.push_back(wanted ? PackedBf16<T>(layer.n_out, layer.n_in) : PackedBf16<T>());
    } else {
      forward_.push_back(large ? copy(layer.n_in, layer.n_out) : PanelView<T>{});
      backward_.push_back(wanted ? copy(layer.n_out, layer.n_in) : PanelView<T>{});
    }
  }
}

template <class T>
PackedWeights<T>::PackedWeights(const Model<T>& model, const Panels<T>& panels, T* parameters) : in_panels_(true) {
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    forward_.push_back(panels.is_row(l) ? PanelView<T>{} : panels.weights(l, parameters));
    backward_.push_back(l > 0 ? copy(model.layers[l].n_out, model.layers[l].n_in) : PanelView<T>{});
  }
}

template <class T>
void PackedWeights<T>::pack(const Model<T>& model, Team team) {
  const OutputItems<T> items(model, kernels<T>().lanes, team);  // to pack costs as much as some rows
  team.each(items.of_all(), [&](Index item) {
    items.visit(item, [&](std::size_t l, const WeightBlock& block) { pack_block(model.layers[l], l, block); });
  });
}

template <class T>
void PackedWeights<T>::pack_block(const Layer<T>& layer, std::size_t l, const WeightBlock& block) {
  const auto [outputs, inputs] = block;
  const Index width = kernels<T>().tile_columns;
  const Share panels{outputs.begin / width, ceil_div(outputs.end, width)};  // of Wᵀ
  const Share columns{inputs.begin / width, ceil_div(inputs.end, width)};   // panels of W
  if (bf16()) {
    forward_bf16_[l].pack(layer.transposed_weights(), panels.begin, panels.end, inputs.begin, inputs.end);
    if (PackedBf16<T>& backward = backward_bf16_[l]; backward.n() > 0)
      backward.pack(layer.weights(), columns.begin, columns.end, outputs.begin, outputs.end);
    return;
  }
  if (l >= forward_.size()) return;
  const PanelView<T> forward = forward_[l], backward = backward_[l];
  if (forward.data != nullptr && !in_panels_)
    pack_panels(layer.transposed_weights().rows_between(inputs.begin, inputs.end), forward, panels, inputs.begin);
  if (backward.data == nullptr) return;
  if (forward.data == nullptr || !in_panels_)
    return pack_panels(layer.weights().rows_between(outputs.begin, outputs.end), backward, columns, outputs.begin);
  for (Index panel = panels.begin; panel < panels.end; ++panel)
    pack_panels<T>(forward.panel(panel).transposed(), backward, columns, panel * width);
}

template <class T>
void Scratch<T>::prepare(const Model<T>& model, Index rows) {
  gemm.reserve(gemm_scratch<T>(rows, model.widest()));
  loss.reserve(checked_product(2 * model.outputs(), kernels<T>().lanes));
  if (model.precision == Precision::bf16 && bf16.size() == 0) bf16 = bf16_scratch();
}

namespace {

// By dot products of rows, whose sums have an order of their own; rows that do not lie dense come to scratch first.
template <class T>
void single_output(const Layer<T>& layer, MatrixView<const T> x, MatrixView<T> z, T* scratch) {
  const Kernels<T>& kernel = kernels<T>();
  const Index n = layer.n_in;
  if (x.col_stride == 1)
    return kernel.dot_rows(x.rows, n, x.data, x.row_stride, layer.w, *layer.b, z.data, z.row_stride);
  for (Index i = 0; i < x.rows; ++i) {
    kernel.pack_panel(n, n, 1, x.row(i), x.col_stride, n, scratch);
    kernel.dot_rows(1, n, scratch, n, layer.w, *layer.b, z.row(i), z.row_stride);
  }
}

// The first layer, of sparse inputs.
template <class T>
void sparse_layer(const Model<T>& model, const PassInputs<T>& x, MatrixView<T> z, Share outputs, bool single,
                  Epilogue<T> epilogue) {
  const Layer<T>& layer = model.layers.front();
  const Index first = outputs.begin, count = outputs.end - first;
  T* to = z.data + first;
  const auto product = single ? kernels<T>().sparse_dot : kernels<T>().sparse_forward;
  product({x.rows,
           count,
           x.sparse,
           {model.dropout_of(0), x.first},
           layer.w + first,
           layer.n_out,
           layer.b + first,
           to,
           z.row_stride});
  if (epilogue.activate != nullptr) epilogue.activate(x.rows, count, to, z.row_stride, epilogue.a, epilogue.lda);
}

// Layer l of the forward pass: all rows of the views, and the outputs of a share, which begins with a panel.
template <class T>
void forward_layer(const Model<T>& model, const PackedWeights<T>& packed, std::size_t l, const PassInputs<T>& x,
                   MatrixView<T> saved, MatrixView<T> a, Share outputs, Scratch<T>& scratch) {
  const Kernels<T>& kernel = kernels<T>();
  const Layer<T>& layer = model.layers[l];
  const Index first = outputs.begin, count = outputs.end - first;
  if (count <= 0) return;
  const Dropout* dropout = model.dropout_of(l + 1);
  const MatrixView<T> z = dropout != nullptr && !slope_reads_z(layer.activation) ? a : saved;
  Epilogue<T> epilogue;
  if (l + 1 < model.layers.size())
    epilogue = {kernel.activate[static_cast<int>(layer.activation)], nullptr, a.data + first, a.row_stride};
  const bool single = l + 1 == model.layers.size() && layer.n_out == 1;
  const MatrixView<const T>& from = x.matrix;
  if (x.is_sparse())
    sparse_layer<T>(model, x, z, outputs, single, epilogue);
  else if (packed.bf16())
    gemm_bf16_packed<T>(from, packed.forward_bf16(l), layer.b, z.data, z.row_stride, scratch.bf16.data(), epilogue);
  else if (single)
    single_output<T>(layer, from, z, scratch.gemm.data());
  else if (const PanelView<const T> weights = packed.forward(l); weights.data != nullptr)
    gemm_packed<T>(from, weights, outputs, layer.b + first, z.data + first, z.row_stride, scratch.gemm.data(),
                   epilogue);
  else
    gemm_unpacked<T>(from, layer.transposed_weights().columns_between(first, outputs.end), layer.b + first,
                     z.data + first, z.row_stride, scratch.gemm.data(), epilogue);
  if (dropout != nullptr)
    drop_units<T>(*dropout, x.first, first, layer.activation, a.columns_between(first, outputs.end),
                  saved.columns_between(first, outputs.end));
}

// From dz of layer l to `into`, the dz of the layer before or, for the first one, dx: the inputs of a share.
template <class T>
void backward_layer(const Model<T>& model, const PackedWeights<T>& packed, std::size_t l, MatrixView<const T> dz,
                    const Tape<T>& saved, Index first_row, MatrixView<T> into, Share inputs, Scratch<T>& scratch) {
  const Layer<T>& layer = model.layers[l];
  const Index first = inputs.begin, count = inputs.end - first;
  if (count <= 0) return;
  Epilogue<T> epilogue;
  if (l > 0)
    epilogue = {nullptr,
                model.dropout_of(l) != nullptr
                    ? kernels<T>().multiply
                    : kernels<T>().activate_backward[static_cast<int>(model.layers[l - 1].activation)],
                saved[l - 1].row(first_row) + first, saved[l - 1].row_stride};
  T* to = into.data + first;
  if (packed.bf16())
    gemm_bf16_packed<T>(dz, packed.backward_bf16(l), nullptr, to, into.row_stride, scratch.bf16.data(), epilogue);
  else if (const PanelView<const T> weights = packed.backward(l); weights.data != nullptr)
    gemm_packed<T>(dz, weights, inputs, nullptr, to, into.row_stride, scratch.gemm.data(), epilogue);
  else
    gemm_few_rows<T>(dz, layer.transposed_weights().rows_between(first, inputs.end), to, into.row_stride, epilogue);
}

}  // namespace

template <class T>
void forward_rows(const Model<T>& model, const PackedWeights<T>& packed, const PassInputs<T>& x, const Tape<T>& z,
                  const Tape<T>& a, Share rows, Scratch<T>& scratch, std::size_t first_layer) {
  const auto part = [&](const auto& view) { return view.rows_between(rows.begin, rows.end); };
  for (std::size_t l = first_layer; l < model.layers.size(); ++l)
    forward_layer<T>(model, packed, l, part(l == 0 ? x : PassInputs<T>(a[l - 1], x.first)), part(z[l]), part(a[l]),
                     {0, model.layers[l].n_out}, scratch);
}

template <class T>
void forward_columns(const Model<T>& model, const PackedWeights<T>& packed, const PassInputs<T>& x, const Tape<T>& z,
                     const Tape<T>& a, std::size_t layers, Team team, Scratch<T>& scratch) {
  const OutputItems<T> items(model, x.rows, team);
  for (std::size_t l = 0; l < layers; ++l) {
    const auto forward = [&](Share rows, Share outputs) {
      const auto part = [&](const auto& view) { return view.rows_between(rows.begin, rows.end); };
      forward_layer<T>(model, packed, l, part(l == 0 ? x : PassInputs<T>(a[l - 1], x.first)), part(z[l]), part(a[l]),
                       outputs, scratch);
    };
    if (is_narrow(model.layers[l], team)) {
      const Index parts = narrow_items(x.rows, team);
      team.each(parts, [&](Index i) { forward(part(x.rows, parts, i), {0, model.layers[l].n_out}); });
    } else {
      team.each(items.of_layer(l),
                [&](Index i) { items.visit(l, i, [&](Share outputs) { forward({0, x.rows}, outputs); }); });
    }
  }
}

template <class T>
void backward_rows(const Model<T>& model, const PackedWeights<T>& packed, const Tape<T>& saved, const Tape<T>& dz,
                   const MatrixView<T>* dx, Share rows, Scratch<T>& scratch, std::size_t last_layer) {
  for (std::size_t l = model.layers.size(); l-- > std::max<std::size_t>(last_layer, dx != nullptr ? 0 : 1);)
    backward_layer<T>(model, packed, l, MatrixView<const T>(dz[l]).rows_between(rows.begin, rows.end), saved,
                      rows.begin, (l == 0 ? *dx : dz[l - 1]).rows_between(rows.begin, rows.end),
                      {0, model.layers[l].n_in}, scratch);
}

template <class T>
void backward_columns(const Model<T>& model, const PackedWeights<T>& packed, const Tape<T>& saved, const Tape<T>& dz,
                      const MatrixView<T>* dx, Index m, std::size_t layers, Team team, Scratch<T>& scratch) {
  for (std::size_t l = layers; l-- > (dx != nullptr ? 0 : 1);) {
    const Index n_in = model.layers[l].n_in, width = kernels<T>().tile_columns;
    const auto backward = [&](Share rows, Share inputs) {
      backward_layer<T>(model, packed, l, MatrixView<const T>(dz[l]).rows_between(rows.begin, rows.end), saved,
                        rows.begin, (l == 0 ? *dx : dz[l - 1]).rows_between(rows.begin, rows.end), inputs, scratch);
    };
    const bool by_rows = is_narrow(model.layers[l], team);
    const Index parts = by_rows ? narrow_items(m, team) : items_for((n_in + width - 1) / width, team.size);
    team.each(parts, [&](Index i) {
      by_rows ? backward(part(m, parts, i), {0, n_in}) : backward({0, m}, part(n_in, parts, i, width));
    });
  }
}

template <class T>
void loss_rows(const Model<T>& model, MatrixView<const T> z, const Targets<T>& targets, const T* weights, double scale,
               T* value, MatrixView<T> dz, Share rows, Scratch<T>& scratch) {
  const Index i = rows.begin;
  const bool dense = targets.labels == nullptr;
  kernels<T>().loss[static_cast<int>(model.loss)](
      {rows.end - i, z.cols, z.row(i), z.row_stride, dense ? targets.values.row(i) : nullptr, targets.values.row_stride,
       dense ? nullptr : targets.labels + i, weights != nullptr ? weights + i : nullptr, static_cast<T>(scale),
       value + i, dz.data != nullptr ? dz.row(i) : nullptr, dz.row_stride, scratch.loss.data(),
       model.loss_parameters.data()});
}

template <class T>
std::span<const std::int32_t> Columns::find(const SparseRows<T>& x, Index rows) const {
  Index count = 0;
  for (Index i = 0; i < rows; ++i) {
    const Index row = x.rows != nullptr ? x.rows[i] : i;
    for (Index k = x.indptr[row]; k < x.indptr[row + 1]; ++k)
      if (std::uint8_t& seen = seen_[x.indices[k]]; seen == 0) {
        seen = 1;
        found_[count++] = x.indices[k];
      }
  }
  const std::span<const std::int32_t> found{found_.data(), static_cast<std::size_t>(count)};
  for (const std::int32_t column : found) seen_[column] = 0;
  return found;
}

namespace {

template <class T>
Index entry_count(const SparseRows<T>& x, Index rows) {
  if (x.rows == nullptr) return x.indptr[rows] - x.indptr[0];
  Index count = 0;
  for (Index i = 0; i < rows; ++i) count += x.indptr[x.rows[i] + 1] - x.indptr[x.rows[i]];
  return count;
}

// Leaf `number` of dW of the first layer, of sparse inputs, one chain over the rows [begin, end) of a slab. It is made
// behind the runs, among zeros; where it is added to a run, only the columns that occur in it are, or all if it has
// more entries than there are columns, and become zeros again. place(i): of dW in the tree, rows ld apart.
template <class T, class Place>
void sparse_leaf(const Model<T>& model, const PassInputs<T>& slab, Share rows, MatrixView<const T> dz, Index number,
                 LeafPlace leaf, Place place, Index ld, const Columns& columns) {
  const PassInputs<T> x = slab.rows_between(rows.begin, rows.end);
  if (number == 0) {
    const bool dense = ld == dz.cols;
    const Index n_in = model.inputs();
    for (Index j = 0; j < (dense ? 1 : n_in); ++j)
      std::fill_n(place(0) + j * ld, dense ? n_in * dz.cols : dz.cols, T(0));
  }
  kernels<T>().sparse_gradient(
      {x.rows, dz.cols, x.sparse, {model.dropout_of(0), x.first}, dz.data, dz.row_stride, place(leaf.runs), ld});
  Index first = number;  // leaf of the sum so far
  for (Index i = leaf.runs; i > leaf.place(); --i, first &= first - 1) {
    const PassInputs<T> summed = slab.rows_between(rows.begin - (number - first) * sum_rows, rows.end);
    T *from = place(i), *to = place(i - 1);
    const auto add = [&](Index column) {
      kernels<T>().axpy(dz.cols, T(1), from + column * ld, to + column * ld);
      std::fill_n(from + column * ld, dz.cols, T(0));
    };
    if (entry_count(summed.sparse, summed.rows) > model.inputs())
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
    // The update reads the padding too, of which no product writes anything.
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
      // A leaf of several chains has a place behind the runs until the last one, with which it is added to them.
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
  template class PackedWeights<T>;                                                                                     \
  template class OutputItems<T>;                                                                                       \
  template Share owned_outputs(const Model<T>&, std::size_t, Team);                                                    \
  template struct Scratch<T>;                                                                                          \
  template void forward_rows(const Model<T>&, const PackedWeights<T>&, const PassInputs<T>&, const Tape<T>&,           \
                             const Tape<T>&, Share, Scratch<T>&, std::size_t);                                         \
  template void forward_columns(const Model<T>&, const PackedWeights<T>&, const PassInputs<T>&, const Tape<T>&,        \
                                const Tape<T>&, std::size_t, Team, Scratch<T>&);                                       \
  template void backward_rows(const Model<T>&, const PackedWeights<T>&, const Tape<T>&, const Tape<T>&,                \
                              const MatrixView<T>*, Share, Scratch<T>&, std::size_t);                                  \
  template void backward_columns(const Model<T>&, const PackedWeights<T>&, const Tape<T>&, const Tape<T>&,             \
                                 const MatrixView<T>*, Index, std::size_t, Team, Scratch<T>&);                         \
  template void loss_rows(const Model<T>&, MatrixView<const T>, const Targets<T>&, const T*, double, T*,               \
                          MatrixView<T>, Share, Scratch<T>&);                                                          \
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
