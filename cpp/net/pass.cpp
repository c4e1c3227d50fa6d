#include "net/pass.h"

#include <algorithm>

namespace chainrule {

namespace {

// Computes a layer with one output with dot_rows, which needs contiguous rows; other rows are copied to scratch first.
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

// The first layer for sparse inputs.
template <class T>
void sparse_layer(const Model<T>& model, const PackedWeights<T>& packed, const PassInputs<T>& x, MatrixView<T> z,
                  Share outputs, bool single, Epilogue<T> epilogue) {
  const Layer<T>& layer = model.layers.front();
  const Index first = outputs.begin, count = outputs.end - first;
  T* to = z.data + first;
  const Kernels<T>& kernel = kernels<T>();
  const auto product = x.is_binned() ? kernel.binned_forward : single ? kernel.sparse_dot : kernel.sparse_forward;
  product({x.rows,
           count,
           x.sparse,
           {model.dropout_of(0), x.first},
           packed.entry_weights(model) + first,
           layer.n_out,
           layer.b + first,
           to,
           z.row_stride});
  if (epilogue.activate != nullptr) epilogue.activate(x.rows, count, to, z.row_stride, epilogue.a, epilogue.lda);
  if (epilogue.activate_with_slope != nullptr)
    epilogue.activate_with_slope(x.rows, count, to, z.row_stride, epilogue.a, epilogue.lda);
}

// Layer l of the forward pass, for all rows of the views and a share of the outputs, which begins with a panel.
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
  if (!model.is_output(l)) {
    const auto g = static_cast<int>(layer.activation);
    epilogue = {nullptr, nullptr, a.data + first, a.row_stride};
    if (slope_reads_z(layer.activation) && model.saves_slope(l))
      epilogue.activate_with_slope = kernel.activate_with_slope[g];
    else
      epilogue.activate = kernel.activate[g];
  }
  const bool single = model.is_output(l) && layer.n_out == 1;
  const MatrixView<const T>& from = x.matrix;
  if (x.is_sparse())
    sparse_layer<T>(model, packed, x, z, outputs, single, epilogue);
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

// Computes `into` from dz of layer l, for a share of the inputs. `into` is dz of the preceding layer or, for the first
// layer, dx.
template <class T>
void backward_layer(const Model<T>& model, const PackedWeights<T>& packed, std::size_t l, MatrixView<const T> dz,
                    const Tape<T>& saved, Index first_row, MatrixView<T> into, Share inputs, Scratch<T>& scratch) {
  const Layer<T>& layer = model.layers[l];
  const Index first = inputs.begin, count = inputs.end - first;
  if (count <= 0) return;
  Epilogue<T> epilogue;
  if (l > 0)
    epilogue = {nullptr,
                model.saves_slope(l - 1)
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
      team.each(items.count_in_layer(l),
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
       model.loss_parameters.data(), targets.missing});
}

#define CHAINRULE_INSTANTIATE(T)                                                                                \
  template void forward_rows(const Model<T>&, const PackedWeights<T>&, const PassInputs<T>&, const Tape<T>&,    \
                             const Tape<T>&, Share, Scratch<T>&, std::size_t);                                  \
  template void forward_columns(const Model<T>&, const PackedWeights<T>&, const PassInputs<T>&, const Tape<T>&, \
                                const Tape<T>&, std::size_t, Team, Scratch<T>&);                                \
  template void backward_rows(const Model<T>&, const PackedWeights<T>&, const Tape<T>&, const Tape<T>&,         \
                              const MatrixView<T>*, Share, Scratch<T>&, std::size_t);                           \
  template void backward_columns(const Model<T>&, const PackedWeights<T>&, const Tape<T>&, const Tape<T>&,      \
                                 const MatrixView<T>*, Index, std::size_t, Team, Scratch<T>&);                  \
  template void loss_rows(const Model<T>&, MatrixView<const T>, const Targets<T>&, const T*, double, T*,        \
                          MatrixView<T>, Share, Scratch<T>&);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
