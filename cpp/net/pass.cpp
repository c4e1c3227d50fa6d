#include "net/pass.h"

#include <algorithm>

namespace chainrule {

template <class T>
Share owned_outputs(const Model<T>& model, std::size_t l, Team team) {
  const Index width = kernels<T>().tile_columns;
  const auto panels = [&](std::size_t layer) { return (model.layers[layer].n_out + width - 1) / width; };
  const Index n_out = model.layers[l].n_out;
  if (panels(l) >= team.size) return share(n_out, team, width);
  Index first = 0;  // the narrow layers before have given their panels to the members before
  for (std::size_t before = 0; before < l; ++before)
    if (panels(before) < team.size) first += panels(before);
  const Index panel = (team.rank - first % team.size + team.size) % team.size;
  return {std::min(panel * width, n_out), std::min((panel + 1) * width, n_out)};
}

template <class T>
PackedWeights<T>::PackedWeights(const Model<T>& model, bool backward, bool inputs) {
  constexpr Index read_in_place = Index{1} << 21;  // bytes of Wᵀ, at most
  const auto reserve = [&](auto& forwards, auto& backwards) {
    using Packed = typename std::remove_reference_t<decltype(forwards)>::value_type;
    for (const Layer<T>& layer : model.layers) {
      const bool large = layer.n_in * layer.n_out * static_cast<Index>(sizeof(T)) > read_in_place;
      const bool first = &layer == &model.layers.front();
      forwards.push_back(large || model.precision == Precision::bf16 ? Packed(layer.n_in, layer.n_out) : Packed());
      backwards.push_back(backward && (!first || inputs) ? Packed(layer.n_out, layer.n_in) : Packed());
    }
  };
  if (model.precision == Precision::bf16)
    reserve(forward_bf16_, backward_bf16_);
  else
    reserve(forward_, backward_);
}

template <class T>
void PackedWeights<T>::pack(const Model<T>& model, Team team) {
  for (std::size_t l = 0; l < model.layers.size(); ++l) pack_outputs(model.layers[l], l, owned_outputs(model, l, team));
}

template <class T>
void PackedWeights<T>::pack_outputs(const Layer<T>& layer, std::size_t l, Share outputs) {
  if (outputs.begin >= outputs.end) return;
  const Index width = kernels<T>().tile_columns;
  const auto pack = [&](auto& forwards, auto& backwards) {
    if (l >= forwards.size()) return;
    if (forwards[l].n() > 0)
      forwards[l].pack(layer.transposed_weights(), outputs.begin / width, (outputs.end + width - 1) / width, 0,
                       layer.n_in);
    if (backwards[l].n() > 0)
      backwards[l].pack(layer.weights(), 0, backwards[l].panels(), outputs.begin, outputs.end);
  };
  if (bf16())
    pack(forward_bf16_, backward_bf16_);
  else
    pack(forward_, backward_);
}

template <class T>
void Scratch<T>::prepare(const Model<T>& model, Index rows) {
  gemm.reserve(gemm_scratch<T>(rows, model.widest()));
  loss.reserve(checked_product(2 * model.outputs(), kernels<T>().lanes));
  if (model.precision == Precision::bf16 && bf16.size() == 0) bf16 = bf16_scratch();
}

namespace {

// Layer l of the forward pass: all rows of the views, and the outputs of a share, which begins with a panel.
template <class T>
void forward_layer(const Model<T>& model, const PackedWeights<T>& packed, std::size_t l, MatrixView<const T> from,
                   MatrixView<T> z, MatrixView<T> a, Share outputs, Scratch<T>& scratch) {
  const Kernels<T>& kernel = kernels<T>();
  const Layer<T>& layer = model.layers[l];
  const Index first = outputs.begin, count = outputs.end - first;
  if (count <= 0) return;
  Epilogue<T> epilogue;
  if (l + 1 < model.layers.size())
    epilogue = {kernel.activate[static_cast<int>(layer.activation)], nullptr, a.data + first, a.row_stride};
  if (packed.bf16())
    gemm_bf16_packed<T>(from, packed.forward_bf16(l), layer.b, z.data, z.row_stride, scratch.bf16.data(), epilogue);
  else if (l + 1 == model.layers.size() && layer.n_out == 1 && from.col_stride == 1)
    kernel.dot_rows(from.rows, layer.n_in, from.data, from.row_stride, layer.w, *layer.b, z.data, z.row_stride);
  else if (const PackedMatrix<T>* weights = packed.forward(l))
    gemm_packed<T>(from, *weights, outputs, layer.b + first, z.data + first, z.row_stride, scratch.gemm.data(),
                   epilogue);
  else
    gemm_unpacked<T>(from, layer.transposed_weights().columns_between(first, outputs.end), layer.b + first,
                     z.data + first, z.row_stride, scratch.gemm.data(), epilogue);
}

// From dz of layer l to `into`, the dz of the layer before or, for the first one, dx: the inputs of a share.
template <class T>
void backward_layer(const Model<T>& model, const PackedWeights<T>& packed, std::size_t l, MatrixView<const T> dz,
                    const Tape<T>& a, Index first_row, MatrixView<T> into, Share inputs, Scratch<T>& scratch) {
  const Layer<T>& layer = model.layers[l];
  const Index first = inputs.begin, count = inputs.end - first;
  if (count <= 0) return;
  Epilogue<T> epilogue;
  if (l > 0)
    epilogue = {nullptr, kernels<T>().activate_backward[static_cast<int>(model.layers[l - 1].activation)],
                a[l - 1].row(first_row) + first, a[l - 1].row_stride};
  T* to = into.data + first;
  if (packed.bf16())
    gemm_bf16_packed<T>(dz, packed.backward_bf16(l), nullptr, to, into.row_stride, scratch.bf16.data(), epilogue);
  else if (const PackedMatrix<T>* weights = packed.backward(l))
    gemm_packed<T>(dz, *weights, inputs, nullptr, to, into.row_stride, scratch.gemm.data(), epilogue);
  else
    gemm_few_rows<T>(dz, layer.transposed_weights().rows_between(first, inputs.end), to, into.row_stride, epilogue);
}

}  // namespace

template <class T>
void forward_rows(const Model<T>& model, const PackedWeights<T>& packed, MatrixView<const T> x, const Tape<T>& z,
                  const Tape<T>& a, Share rows, Scratch<T>& scratch) {
  const auto part = [&](const auto& view) { return view.rows_between(rows.begin, rows.end); };
  for (std::size_t l = 0; l < model.layers.size(); ++l)
    forward_layer<T>(model, packed, l, part(l == 0 ? x : MatrixView<const T>(a[l - 1])), part(z[l]), part(a[l]),
                     {0, model.layers[l].n_out}, scratch);
}

template <class T>
void forward_columns(const Model<T>& model, const PackedWeights<T>& packed, MatrixView<const T> x, const Tape<T>& z,
                     const Tape<T>& a, Team team, Scratch<T>& scratch) {
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    const MatrixView<const T> from = l == 0 ? x : MatrixView<const T>(a[l - 1]).rows_between(0, x.rows);
    forward_layer<T>(model, packed, l, from, z[l], a[l], owned_outputs(model, l, team), scratch);
    team.barrier();
  }
}

template <class T>
void backward_rows(const Model<T>& model, const PackedWeights<T>& packed, const Tape<T>& a, const Tape<T>& dz,
                   const MatrixView<T>* dx, Share rows, Scratch<T>& scratch) {
  for (std::size_t l = model.layers.size(); l-- > (dx != nullptr ? 0 : 1);)
    backward_layer<T>(model, packed, l, MatrixView<const T>(dz[l]).rows_between(rows.begin, rows.end), a, rows.begin,
                      (l == 0 ? *dx : dz[l - 1]).rows_between(rows.begin, rows.end), {0, model.layers[l].n_in},
                      scratch);
}

template <class T>
void backward_columns(const Model<T>& model, const PackedWeights<T>& packed, const Tape<T>& a, const Tape<T>& dz,
                      const MatrixView<T>* dx, Index m, Team team, Scratch<T>& scratch) {
  for (std::size_t l = model.layers.size(); l-- > (dx != nullptr ? 0 : 1);) {
    backward_layer<T>(model, packed, l, MatrixView<const T>(dz[l]).rows_between(0, m), a, 0, l == 0 ? *dx : dz[l - 1],
                      share(model.layers[l].n_in, team, kernels<T>().tile_columns), scratch);
    team.barrier();
  }
}

template <class T>
void loss_rows(Loss loss, MatrixView<const T> z, const Targets<T>& targets, const T* weights, double scale, T* value,
               MatrixView<T> dz, Share rows, Scratch<T>& scratch) {
  const Index i = rows.begin;
  const bool dense = targets.labels == nullptr;
  kernels<T>().loss[static_cast<int>(loss)](
      {rows.end - i, z.cols, z.row(i), z.row_stride, dense ? targets.values.row(i) : nullptr, targets.values.row_stride,
       dense ? nullptr : targets.labels + i, weights != nullptr ? weights + i : nullptr, static_cast<T>(scale),
       value + i, dz.data != nullptr ? dz.row(i) : nullptr, dz.row_stride, scratch.loss.data()});
}

template <class T>
void gradients_of_owned(const Model<T>& model, MatrixView<const T> x, const Tape<T>& a, const Tape<T>& dz, Index chain,
                        bool add, double l2, T* gradients, Team team, Scratch<T>& scratch, RowFetch<T>* fetch) {
  const Kernels<T>& kernel = kernels<T>();
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    const Share outputs = owned_outputs(model, l, team);
    if (outputs.begin >= outputs.end) continue;
    const Layer<T>& layer = model.layers[l];
    const MatrixView<const T> from = l == 0 ? x : MatrixView<const T>(a[l - 1]);
    const Index count = outputs.end - outputs.begin;
    T* dw = gradients + layer.offset + outputs.begin;
    T* db = gradients + layer.offset + layer.n_out * layer.n_in + outputs.begin;
    for (Index i = 0; i == 0 || i < x.rows; i += chain) {  // the tapes may have room for more rows
      const Index end = std::min(i + chain, x.rows);
      const Finish finish = add || i > 0 ? Finish::add : Finish::store;
      const MatrixView<const T> inputs = from.rows_between(i, end);
      const MatrixView<const T> delta{dz[l].row(i) + outputs.begin, end - i, count, dz[l].row_stride, 1};
      if (model.precision == Precision::bf16)
        gemm_bf16_transposed<T>(inputs, delta, finish, dw, layer.n_out, scratch.bf16.data());
      else
        gemm_transposed<T>(inputs, delta, finish, dw, layer.n_out, scratch.gemm.data(), fetch);
      kernel.column_sums(end - i, count, delta.data, delta.row_stride, db, finish);
    }
    for (Index p = 0; l2 != 0 && p < layer.n_in; ++p)
      kernel.axpy(count, static_cast<T>(l2), layer.w + p * layer.n_out + outputs.begin, dw + p * layer.n_out);
  }
}

template <class T>
double penalty(const Model<T>& model, double l2) {
  double squares = 0;
  if (l2 != 0)
    for (const Layer<T>& layer : model.layers)
      squares += kernels<T>().sum_of_squares(layer.n_out * layer.n_in, layer.w);
  return l2 / 2 * squares;
}

#define CHAINRULE_INSTANTIATE(T)                                                                                      \
  template class PackedWeights<T>;                                                                                    \
  template Share owned_outputs(const Model<T>&, std::size_t, Team);                                                   \
  template struct Scratch<T>;                                                                                         \
  template void forward_rows(const Model<T>&, const PackedWeights<T>&, MatrixView<const T>, const Tape<T>&,           \
                             const Tape<T>&, Share, Scratch<T>&);                                                     \
  template void forward_columns(const Model<T>&, const PackedWeights<T>&, MatrixView<const T>, const Tape<T>&,        \
                                const Tape<T>&, Team, Scratch<T>&);                                                   \
  template void backward_rows(const Model<T>&, const PackedWeights<T>&, const Tape<T>&, const Tape<T>&,               \
                              const MatrixView<T>*, Share, Scratch<T>&);                                              \
  template void backward_columns(const Model<T>&, const PackedWeights<T>&, const Tape<T>&, const Tape<T>&,            \
                                 const MatrixView<T>*, Index, Team, Scratch<T>&);                                     \
  template void loss_rows(Loss, MatrixView<const T>, const Targets<T>&, const T*, double, T*, MatrixView<T>, Share,   \
                          Scratch<T>&);                                                                               \
  template void gradients_of_owned(const Model<T>&, MatrixView<const T>, const Tape<T>&, const Tape<T>&, Index, bool, \
                                   double, T*, Team, Scratch<T>&, RowFetch<T>*);                                      \
  template double penalty(const Model<T>&, double);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
