#include "net/pass.h"

#include <algorithm>

namespace chainrule {
namespace {

// The columns of dW[l] that belong to a team member, whole panels, when the work of all layers is laid end to end.
template <class T, class Visit>
void for_columns(const Model<T>& model, Team team, Visit visit) {
  const Index width = kernels<T>().tile_columns;
  const auto panels = [&](const Layer<T>& layer) { return (layer.n_in + width - 1) / width; };
  Index total = 0, offset = 0;
  for (const Layer<T>& layer : model.layers) total += panels(layer) * layer.n_out;
  const Index begin = total * team.rank / team.size, end = total * (team.rank + 1) / team.size;
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    const Layer<T>& layer = model.layers[l];
    // Panel p starts at offset + p * n_out and goes to the member in whose part that is.
    const auto first_from = [&](Index work) {
      const Index p = work <= offset ? 0 : (work - offset + layer.n_out - 1) / layer.n_out;
      return std::min(p * width, layer.n_in);
    };
    const Share columns{first_from(begin), first_from(end)};
    if (columns.begin < columns.end) visit(l, columns);
    offset += panels(layer) * layer.n_out;
  }
}

}  // namespace

template <class T>
PackedWeights<T>::PackedWeights(const Model<T>& model, bool backward) {
  for (const Layer<T>& layer : model.layers) {
    forward_.emplace_back(layer.n_in, layer.n_out);
    // The first layer's is read for the gradient by the inputs alone, in place.
    if (backward)
      backward_.push_back(&layer == &model.layers.front() ? PackedMatrix<T>()
                                                          : PackedMatrix<T>(layer.n_out, layer.n_in));
  }
}

template <class T>
void PackedWeights<T>::pack(const Model<T>& model, Team team) {
  if (empty()) return;
  for (std::size_t l = 0; l < model.layers.size(); ++l)
    pack_rows(model.layers[l], l, share(model.layers[l].n_out, team, kernels<T>().tile_columns));
}

template <class T>
void PackedWeights<T>::pack_rows(const Layer<T>& layer, std::size_t l, Share rows) {
  if (empty() || rows.begin >= rows.end) return;
  const Index width = kernels<T>().tile_columns;
  forward_[l].pack(layer.weights().transposed(), rows.begin / width, (rows.end + width - 1) / width, 0, layer.n_in);
  if (!backward_.empty() && l > 0) backward_[l].pack(layer.weights(), 0, backward_[l].panels(), rows.begin, rows.end);
}

template <class T>
Scratch<T>::Scratch(const Model<T>& model, Index rows)
    : gemm(gemm_scratch<T>(rows, model.widest())), loss(checked_product(2 * model.outputs(), kernels<T>().lanes)) {}

template <class T>
void forward_rows(const Model<T>& model, const PackedWeights<T>& packed, MatrixView<const T> x, const Tape<T>& z,
                  const Tape<T>& a, Share rows, Scratch<T>& scratch) {
  const Kernels<T>& kernel = kernels<T>();
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    const Layer<T>& layer = model.layers[l];
    const MatrixView<const T> from = (l == 0 ? x : MatrixView<const T>(a[l - 1])).rows_between(rows.begin, rows.end);
    T* to = z[l].row(rows.begin);
    Epilogue<T> epilogue;
    if (l + 1 < model.layers.size())
      epilogue = {kernel.activate[static_cast<int>(layer.activation)], nullptr, a[l].row(rows.begin), a[l].row_stride};
    if (packed.empty() || (from.rows <= kernel.few_rows && from.col_stride == 1))
      gemm_few_rows<T>(from, layer.weights(), layer.b, to, z[l].row_stride, epilogue);
    else
      gemm_packed<T>(from, packed.forward(l), layer.b, to, z[l].row_stride, scratch.gemm.data(), epilogue);
  }
}

template <class T>
void backward_rows(const Model<T>& model, const PackedWeights<T>& packed, const Tape<T>& a, const Tape<T>& dz,
                   const MatrixView<T>* dx, Share rows, Scratch<T>& scratch) {
  const Kernels<T>& kernel = kernels<T>();
  for (std::size_t l = model.layers.size(); l-- > (dx != nullptr ? 0 : 1);) {
    const Layer<T>& layer = model.layers[l];
    const MatrixView<const T> from = MatrixView<const T>(dz[l]).rows_between(rows.begin, rows.end);
    const MatrixView<T> into = (l == 0 ? *dx : dz[l - 1]).rows_between(rows.begin, rows.end);
    Epilogue<T> epilogue;
    if (l > 0)
      epilogue = {nullptr, kernel.activate_backward[static_cast<int>(model.layers[l - 1].activation)],
                  a[l - 1].row(rows.begin), a[l - 1].row_stride};
    if (l == 0 || packed.empty() || from.rows <= kernel.few_rows)
      gemm_unpacked<T>(from, layer.weights(), into.data, into.row_stride, scratch.gemm.data(), epilogue);
    else
      gemm_packed<T>(from, packed.backward(l), nullptr, into.data, into.row_stride, scratch.gemm.data(), epilogue);
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
void gradient_columns(const Model<T>& model, MatrixView<const T> x, const Tape<T>& a, const Tape<T>& dz, bool add,
                      double l2, T* gradients, Team team, Scratch<T>& scratch) {
  const Kernels<T>& kernel = kernels<T>();
  for_columns(model, team, [&](std::size_t l, Share columns) {
    const Layer<T>& layer = model.layers[l];
    const MatrixView<const T> from = l == 0 ? x : MatrixView<const T>(a[l - 1]);
    const MatrixView<const T> delta = dz[l];
    T* dw = gradients + layer.offset + columns.begin;
    T* db = gradients + layer.offset + layer.n_out * layer.n_in;
    for (Index i = 0; i == 0 || i < x.rows; i += sum_rows) {  // the tapes may have room for more rows
      const Index end = std::min(i + sum_rows, x.rows);
      const Finish finish = add || i > 0 ? Finish::add : Finish::store;
      MatrixView<const T> inputs = from.rows_between(i, end);
      inputs.data += columns.begin * inputs.col_stride;
      inputs.cols = columns.end - columns.begin;
      gemm_transposed<T>(delta.rows_between(i, end), inputs, finish, dw, layer.n_in, scratch.gemm.data());
      if (columns.begin == 0) kernel.column_sums(end - i, layer.n_out, delta.row(i), delta.row_stride, db, finish);
    }
    if (l2 != 0)
      for (Index j = 0; j < layer.n_out; ++j)
        kernel.axpy(columns.end - columns.begin, static_cast<T>(l2), layer.w + j * layer.n_in + columns.begin,
                    dw + j * layer.n_in);
  });
}

template <class T>
double penalty(const Model<T>& model, double l2) {
  double squares = 0;
  if (l2 != 0)
    for (const Layer<T>& layer : model.layers)
      squares += kernels<T>().sum_of_squares(layer.n_out * layer.n_in, layer.w);
  return l2 / 2 * squares;
}

#define CHAINRULE_INSTANTIATE(T)                                                                                     \
  template class PackedWeights<T>;                                                                                   \
  template struct Scratch<T>;                                                                                        \
  template void forward_rows(const Model<T>&, const PackedWeights<T>&, MatrixView<const T>, const Tape<T>&,          \
                             const Tape<T>&, Share, Scratch<T>&);                                                    \
  template void backward_rows(const Model<T>&, const PackedWeights<T>&, const Tape<T>&, const Tape<T>&,              \
                              const MatrixView<T>*, Share, Scratch<T>&);                                             \
  template void loss_rows(Loss, MatrixView<const T>, const Targets<T>&, const T*, double, T*, MatrixView<T>, Share,  \
                          Scratch<T>&);                                                                              \
  template void gradient_columns(const Model<T>&, MatrixView<const T>, const Tape<T>&, const Tape<T>&, bool, double, \
                                 T*, Team, Scratch<T>&);                                                             \
  template double penalty(const Model<T>&, double);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
