#include "net/backprop.h"

#include <algorithm>
#include <optional>

namespace chainrule {
namespace {

// Rows of a workspace matrix lie a whole number of cache lines apart, but not a multiple of 1 KiB, which would map them
// all to a few sets of the cache. A single column stays dense.
template <class T>
Index padded(Index columns) {
  if (columns == 1) return 1;
  const Index line = 64 / static_cast<Index>(sizeof(T));
  const Index width = (columns + line - 1) / line * line;
  return width % (16 * line) == 0 ? width + line : width;
}

// Rows whose activations and gradients are kept at a time: some 2^21 numbers, in whole chains of the sums over rows.
template <class T>
Index slab_size(const Model<T>& model, Index batch_rows) {
  Index width = model.inputs();
  for (const Layer<T>& layer : model.layers) width += 2 * layer.n_out;
  const Index chains = std::clamp<Index>((Index{1} << 22) / width / sum_rows, 1, 16);
  return std::min(batch_rows, chains * sum_rows);
}

template <class T>
double row_operations(const Model<T>& model, bool gradients) {
  return (gradients ? 6.0 : 2.0) * static_cast<double>(model.parameter_count());
}

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
    if (backward) backward_.push_back(&layer == &model.layers.front() ? PackedMatrix<T>() : PackedMatrix<T>(layer.n_out, layer.n_in));
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
Scratch<T>::Scratch(const Model<T>& model)
    : gemm(gemm_scratch<T>()), loss(checked_product(2 * model.outputs(), kernels<T>().lanes)) {}

template <class T>
void forward_rows(const Model<T>& model, const PackedWeights<T>& packed, MatrixView<const T> x, const Tape<T>& z,
                  const Tape<T>& a, Share rows, Scratch<T>& scratch) {
  const Kernels<T>& kernel = kernels<T>();
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    const Layer<T>& layer = model.layers[l];
    const MatrixView<const T> from = (l == 0 ? x : MatrixView<const T>(a[l - 1])).rows_between(rows.begin, rows.end);
    T* to = z[l].row(rows.begin);
    if (packed.empty() || (from.rows <= kernel.few_rows && from.col_stride == 1))
      gemm_few_rows<T>(from, layer.weights(), layer.b, to, z[l].row_stride);
    else
      gemm_packed<T>(from, packed.forward(l), layer.b, to, z[l].row_stride, scratch.gemm.data());
    if (l + 1 < model.layers.size())
      kernel.activate[static_cast<int>(layer.activation)](from.rows, layer.n_out, to, z[l].row_stride,
                                                          a[l].row(rows.begin), a[l].row_stride);
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
    if (l == 0 || packed.empty() || from.rows <= kernel.few_rows)
      gemm_unpacked<T>(from, layer.weights(), into.data, into.row_stride, scratch.gemm.data());
    else
      gemm_packed<T>(from, packed.backward(l), nullptr, into.data, into.row_stride, scratch.gemm.data());
    if (l > 0)
      kernel.activate_backward[static_cast<int>(model.layers[l - 1].activation)](
          into.rows, into.cols, a[l - 1].row(rows.begin), a[l - 1].row_stride, into.data, into.row_stride, into.data,
          into.row_stride);
  }
}

template <class T>
void loss_rows(Loss loss, MatrixView<const T> z, const Targets<T>& targets, const T* weights, double scale, T* value,
               MatrixView<T> dz, Share rows, Scratch<T>& scratch) {
  const Index i = rows.begin;
  const bool dense = targets.labels == nullptr;
  kernels<T>().loss[static_cast<int>(loss)](
      {rows.end - i, z.cols, z.row(i), z.row_stride, dense ? targets.values.row(i) : nullptr, targets.values.row_stride,
       dense ? nullptr : targets.labels + i, weights != nullptr ? weights + i : nullptr, static_cast<T>(scale), value + i,
       dz.data != nullptr ? dz.row(i) : nullptr, dz.row_stride, scratch.loss.data()});
}

template <class T>
void gradient_columns(const Model<T>& model, MatrixView<const T> x, const Tape<T>& a, const Tape<T>& dz, bool add, double l2,
                      T* gradients, Team team, Scratch<T>& scratch) {
  const Kernels<T>& kernel = kernels<T>();
  for_columns(model, team, [&](std::size_t l, Share columns) {
    const Layer<T>& layer = model.layers[l];
    const MatrixView<const T> from = l == 0 ? x : MatrixView<const T>(a[l - 1]);
    const MatrixView<const T> delta = dz[l];
    T* dw = gradients + layer.offset + columns.begin;
    T* db = gradients + layer.offset + layer.n_out * layer.n_in;
    for (Index i = 0; i == 0 || i < from.rows; i += sum_rows) {
      const Index end = std::min(i + sum_rows, from.rows);
      const Finish finish = add || i > 0 ? Finish::add : Finish::store;
      MatrixView<const T> inputs = from.rows_between(i, end);
      inputs.data += columns.begin * inputs.col_stride;
      inputs.cols = columns.end - columns.begin;
      gemm_transposed<T>(delta.rows_between(i, end), inputs, finish, dw, layer.n_in, scratch.gemm.data());
      if (columns.begin == 0)
        kernel.column_sums(end - i, layer.n_out, delta.row(i), delta.row_stride, db, finish);
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
    for (const Layer<T>& layer : model.layers) squares += kernels<T>().sum_of_squares(layer.n_out * layer.n_in, layer.w);
  return l2 / 2 * squares;
}

template <class T>
void predict(const Model<T>& model, MatrixView<const T> x, MatrixView<T> out, bool output_activation, int threads) {
  const Kernels<T>& kernel = kernels<T>();
  const int team_size = threads_for(row_operations(model, false) * static_cast<double>(x.rows), threads);
  const Index block = std::min(row_block, x.rows);
  PackedWeights<T> packed;
  if (x.rows > kernel.few_rows || x.col_stride != 1) packed = PackedWeights<T>(model, false);
  Index width = 0;
  for (const Layer<T>& layer : model.layers) width = std::max(width, padded<T>(layer.n_out));
  std::vector<Scratch<T>> scratch(static_cast<std::size_t>(team_size), Scratch<T>(model));
  std::vector<Buffer<T>> hidden(static_cast<std::size_t>(2 * team_size), Buffer<T>(checked_product(block, width)));
  parallel(team_size, [&](Team team) {
    packed.pack(model, team);
    team.barrier();
    const auto rank = static_cast<std::size_t>(team.rank);
    const Share mine = share(x.rows, team);
    for (Index begin = mine.begin; begin < mine.end; begin += row_block) {
      const Share rows{0, std::min(row_block, mine.end - begin)};
      Tape<T> a;
      for (std::size_t l = 0; l + 1 < model.layers.size(); ++l)
        a.push_back({hidden[2 * rank + l % 2].data(), rows.end, model.layers[l].n_out, padded<T>(model.layers[l].n_out), 1});
      a.push_back(out.rows_between(begin, begin + rows.end));
      forward_rows<T>(model, packed, x.rows_between(begin, begin + rows.end), a, a, rows, scratch[rank]);
      if (output_activation)
        kernel.predict[static_cast<int>(model.loss)](rows.end, out.cols, out.row(begin), out.row_stride, out.row(begin),
                                                     out.row_stride, scratch[rank].loss.data());
    }
  });
}

template <class T>
Backprop<T>::Backprop(const Model<T>& model, Index batch_rows, bool gradients, int threads)
    : model_(model),
      threads_(threads_for(row_operations(model, gradients) * static_cast<double>(batch_rows), threads)),
      slab_rows_(slab_size(model, batch_rows)),
      scratch_(static_cast<std::size_t>(threads_), Scratch<T>(model)),
      value_(slab_rows_),
      weight_(slab_rows_),
      label_(slab_rows_) {
  if (batch_rows > kernels<T>().few_rows) packed_ = PackedWeights<T>(model, gradients);
  const auto matrix = [&](Index columns) {
    buffers_.emplace_back(checked_product(slab_rows_, padded<T>(columns)));
    return MatrixView<T>{buffers_.back().data(), slab_rows_, columns, padded<T>(columns), 1};
  };
  x_ = matrix(model.inputs());
  y_ = matrix(model.outputs());
  for (const Layer<T>& layer : model.layers) {
    dz_.push_back(matrix(layer.n_out));
    // Without gradients dz is unused, and the activations take its place; the last layer's logits always do.
    a_.push_back(gradients && &layer != &model.layers.back() ? matrix(layer.n_out) : dz_.back());
  }
  repack();
}

template <class T>
void Backprop<T>::repack() {
  packed_.pack(model_, Team{0, 1});
}

template <class T>
typename Backprop<T>::Slab Backprop<T>::slab(const Examples<T>& examples, const Index* rows, Index first,
                                             Index count) const {
  Slab s{MatrixView<const T>(x_).rows_between(0, count), {}, nullptr};
  if (rows == nullptr && examples.x.col_stride == 1) s.x = examples.x.rows_between(first, first + count);
  if (examples.targets.labels != nullptr)
    s.targets.labels = rows == nullptr ? examples.targets.labels + first : label_.data();
  else if (rows == nullptr && examples.targets.values.col_stride == 1)
    s.targets.values = examples.targets.values.rows_between(first, first + count);
  else
    s.targets.values = MatrixView<const T>(y_).rows_between(0, count);
  if (examples.weights != nullptr) s.weights = rows == nullptr ? examples.weights + first : weight_.data();
  return s;
}

template <class T>
void Backprop<T>::gather(const Examples<T>& examples, const Index* rows, Index first, Share part) const {
  const Index m = part.end - part.begin;
  const auto copy = [&](MatrixView<const T> from, const MatrixView<T>& into) {
    if (rows == nullptr) {
      if (from.col_stride != 1)
        kernels<T>().pack_panel(from.cols, into.row_stride, m, from.row(first + part.begin), from.col_stride,
                                from.row_stride, into.row(part.begin));
      return;
    }
    for (Index i = part.begin; i < part.end; ++i) {
      const T* row = from.row(rows[first + i]);
      T* to = into.row(i);
      if (from.col_stride == 1)
        std::copy_n(row, from.cols, to);
      else
        for (Index j = 0; j < from.cols; ++j) to[j] = row[j * from.col_stride];
    }
  };
  copy(examples.x, x_);
  if (examples.targets.labels == nullptr) copy(examples.targets.values, y_);
  if (rows == nullptr) return;
  for (Index i = part.begin; i < part.end; ++i) {
    if (examples.targets.labels != nullptr) label_[i] = examples.targets.labels[rows[first + i]];
    if (examples.weights != nullptr) weight_[i] = examples.weights[rows[first + i]];
  }
}

template <class T>
double Backprop<T>::run(const Examples<T>& examples, const Index* rows, Index m, double l2, T* gradients,
                        const MatrixView<T>* dx, const After* after) {
  double weight_sum = static_cast<double>(m);
  if (examples.weights != nullptr) {
    weight_sum = 0;
    for (Index i = 0; i < m; ++i) weight_sum += static_cast<double>(examples.weights[rows != nullptr ? rows[i] : i]);
  }
  const double scale = weight_sum > 0 ? 1 / weight_sum : 0;  // a batch of zero weights moves nothing
  const double cost_of_weights = penalty(model_, l2);
  double total = 0;
  parallel(threads_, [&](Team team) {
    Scratch<T>& scratch = scratch_[static_cast<std::size_t>(team.rank)];
    for (Index first = 0; first == 0 || first < m; first += slab_rows_) {
      const Index count = std::min(slab_rows_, m - first);
      const Slab s = slab(examples, rows, first, count);
      const Share mine = share(count, team);
      const Index blocks = (mine.end - mine.begin + row_block - 1) / row_block;
      for (Index b = 0; b < blocks; ++b) {
        const Share part{mine.begin + (mine.end - mine.begin) * b / blocks,
                         mine.begin + (mine.end - mine.begin) * (b + 1) / blocks};
        gather(examples, rows, first, part);
        forward_rows<T>(model_, packed_, s.x, a_, a_, part, scratch);
        loss_rows<T>(model_.loss, dz_.back(), s.targets, s.weights, scale, value_.data(),
                     gradients != nullptr ? dz_.back() : MatrixView<T>{}, part, scratch);
        if (gradients == nullptr) continue;
        std::optional<MatrixView<T>> dx_slab;
        if (dx != nullptr) dx_slab = dx->rows_between(first, first + count);
        backward_rows<T>(model_, packed_, a_, dz_, dx_slab ? &*dx_slab : nullptr, part, scratch);
      }
      team.barrier();
      const bool last = first + count >= m;
      if (team.rank == 0) total += kernels<T>().sum(count, value_.data());
      if (gradients != nullptr)
        gradient_columns<T>(model_, s.x, a_, dz_, first > 0, last ? l2 : 0, gradients, team, scratch);
      if (last) break;
      team.barrier();
    }
    if (after != nullptr) {
      team.barrier();
      (*after)(team, packed_);
    }
  });
  return total * scale + cost_of_weights;
}

#define CHAINRULE_INSTANTIATE(T)                                                                                        \
  template class PackedWeights<T>;                                                                                      \
  template struct Scratch<T>;                                                                                           \
  template class Backprop<T>;                                                                                           \
  template void forward_rows(const Model<T>&, const PackedWeights<T>&, MatrixView<const T>, const Tape<T>&,             \
                             const Tape<T>&, Share, Scratch<T>&);                                                       \
  template void backward_rows(const Model<T>&, const PackedWeights<T>&, const Tape<T>&, const Tape<T>&,                 \
                              const MatrixView<T>*, Share, Scratch<T>&);                                                \
  template void loss_rows(Loss, MatrixView<const T>, const Targets<T>&, const T*, double, T*, MatrixView<T>, Share,     \
                          Scratch<T>&);                                                                                 \
  template void gradient_columns(const Model<T>&, MatrixView<const T>, const Tape<T>&, const Tape<T>&, bool, double,    \
                                 T*, Team, Scratch<T>&);                                                                             \
  template double penalty(const Model<T>&, double);                                                                     \
  template void predict(const Model<T>&, MatrixView<const T>, MatrixView<T>, bool, int);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
