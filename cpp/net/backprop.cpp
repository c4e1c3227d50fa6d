#include "net/backprop.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "core/poll.h"

namespace chainrule {
namespace {

// Rows whose activations and gradients are kept at a time: some 2^22 numbers, in whole leaves of the sums over rows.
template <class T>
Index slab_size(const Model<T>& model, Index batch_rows) {
  if (model.custom_loss != nullptr) return batch_rows;
  Index width = model.sparse_inputs ? 0 : model.inputs();
  for (const Layer<T>& layer : model.layers)
    width += (slope_reads_z(layer) || model.dropout != nullptr ? 3 : 2) * layer.n_out;
  // NOLINTNEXTLINE(clang-analyzer-core.DivideZero): it has a layer, and that an output
  const Index leaves = std::clamp<Index>((Index{1} << 22) / width / sum_rows, 1, 16);
  return std::min(batch_rows, leaves * sum_rows);
}

// With few rows most of the time is the way of weights and moments, which a team of distant cores makes longer
// (256-256-256, 4 rows: 3.6 times): a quarter counts.
template <class T>
double operations_to_share(const Model<T>& model, bool gradients, Index batch_rows) {
  const double operations = row_operations(model, gradients) * static_cast<double>(batch_rows);
  return batch_rows <= kernels<T>().few_rows ? operations / 4 : operations;
}

}  // namespace

template <class T>
Backprop<T>::Backprop(const Model<T>& model, Index batch_rows, bool gradients, int threads, bool inputs)
    : Backprop(model, batch_rows, threads,
               batch_rows > kernels<T>().few_rows || model.precision == Precision::bf16
                   ? PackedWeights<T>(model, gradients, inputs)
                   : PackedWeights<T>(),
               gradients, model.parameter_count()) {}

template <class T>
Backprop<T>::Backprop(const Model<T>& model, Index batch_rows, int threads, PackedWeights<T> weights,
                      Index gradient_size)
    : Backprop(model, batch_rows, threads, std::move(weights), true, gradient_size) {}

template <class T>
Backprop<T>::Backprop(const Model<T>& model, Index batch_rows, int threads, PackedWeights<T> weights, bool gradients,
                      Index gradient_size)
    : model_(model),
      team_(threads_for(operations_to_share(model, gradients, batch_rows), threads)),
      slab_rows_(slab_size(model, batch_rows)),
      packed_(std::move(weights)),
      scratch_(team_scratch(model, batch_rows, team_.largest())),
      tree_(gradients ? sum_tree(model, batch_rows, gradient_size) : SumTree<T>()),
      value_(slab_rows_),
      weight_(slab_rows_),
      label_(slab_rows_) {
  const auto matrix = [&](Index columns) {
    buffers_.emplace_back(checked_product(slab_rows_, padded<T>(columns)), typename Buffer<T>::Uninitialized{});
    return MatrixView<T>{buffers_.back().data(), slab_rows_, columns, padded<T>(columns), 1};
  };
  if (!model.sparse_inputs)
    x_ = matrix(model.inputs());
  else if (gradients && batch_rows > sum_rows)
    for (Scratch<T>& scratch : scratch_) scratch.columns = Columns(model.inputs());
  y_ = matrix(model.outputs());
  for (const Layer<T>& layer : model.layers) {
    dz_.push_back(matrix(layer.n_out));
    // Without gradients dz is unused, and the activations take its place; the last layer's logits always do.
    const bool kept = gradients && &layer != &model.layers.back();
    a_.push_back(kept ? matrix(layer.n_out) : dz_.back());
    const bool apart = slope_reads_z(layer) || model.dropout_of(a_.size()) != nullptr;
    saved_.push_back(kept && apart ? matrix(layer.n_out) : a_.back());
  }
  if (model.custom_loss != nullptr) {
    dlogits_ = matrix(model.outputs());
    every_row_.resize(static_cast<std::size_t>(batch_rows));
    std::iota(every_row_.begin(), every_row_.end(), Index{0});
  }
  repack();
}

template <class T>
void Backprop<T>::repack() {
  packed_.pack(model_, Team{0, 1});
}

template <class T>
typename Backprop<T>::SlabExamples Backprop<T>::slab(const Examples<T>& examples, const Index* rows, Index first,
                                                     Index count) const {
  SlabExamples s{MatrixView<const T>(x_).rows_between(0, count), {}, nullptr};
  if (examples.x.is_sparse()) {
    const SparseView<T>& x = examples.x.sparse;
    s.x = PassInputs<T>({x.indptr, x.indices, x.values, rows}, examples.x.rows).rows_between(first, first + count);
  } else if (rows == nullptr && examples.x.matrix.col_stride == 1 && model_.dropout_of(0) == nullptr) {
    s.x = examples.x.matrix.rows_between(first, first + count);
  }
  s.x.first = first;
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
  const Dropout* dropout = model_.dropout_of(0);
  const auto copy = [&](MatrixView<const T> from, const MatrixView<T>& into, bool always) {
    if (rows == nullptr) {
      if (from.col_stride != 1 || always)
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
  if (!examples.x.is_sparse()) {
    copy(examples.x.matrix, x_, dropout != nullptr);
    if (dropout != nullptr) drop_inputs<T>(*dropout, first + part.begin, 0, x_.rows_between(part.begin, part.end));
  }
  if (examples.targets.labels == nullptr) copy(examples.targets.values, y_, false);
  if (rows == nullptr) return;
  for (Index i = part.begin; i < part.end; ++i) {
    if (examples.targets.labels != nullptr) label_[i] = examples.targets.labels[rows[first + i]];
    if (examples.weights != nullptr) weight_[i] = examples.weights[rows[first + i]];
  }
}

// A member's share of the rows, spread over the tiles of its part of the column phase, and over their steps.
template <class T>
RowFetch<T> Backprop<T>::fetch_for(const Examples<T>& examples, std::span<const Index> upcoming, Index m,
                                   Team team) const {
  RowFetch<T> fetch;
  const MatrixView<const T>& x = examples.x.matrix;
  if (upcoming.empty() || examples.x.is_sparse() || x.col_stride != 1) return fetch;
  const Share mine = share(static_cast<Index>(upcoming.size()), team);
  fetch.x = x.data;
  fetch.row_stride = x.row_stride;
  fetch.cols = x.cols;
  fetch.rows = upcoming.data() + mine.begin;
  fetch.end = upcoming.data() + mine.end;
  const Index line = 64 / static_cast<Index>(sizeof(T)), tile = kernels<T>().tile_rows * kernels<T>().tile_columns;
  const Index tiles = model_.parameter_count() / (tile * team.size) + 1;
  const Index times = tiles * (std::min(m, sum_rows) + fetch_steps - 1) / fetch_steps;
  fetch.lines = (mine.end - mine.begin) * (fetch.cols / line + 2) / times + 1;
  return fetch;
}

// From the logits of all rows to dz in their place. By one member, between two barriers: an exception waits until all
// have left the parallel region.
template <class T>
void Backprop<T>::call_custom_loss(const Index* rows, Index m, Team team) {
  team.barrier();
  if (team.rank == 0) try {
      const MatrixView<T> dz = dz_.back().rows_between(0, m), dlogits = dlogits_.rows_between(0, m);
      custom_cost_ =
          (*model_.custom_loss)(dz, {rows != nullptr ? rows : every_row_.data(), static_cast<std::size_t>(m)}, dlogits);
      for (Index i = 0; i < m; ++i) std::copy_n(dlogits.row(i), dz.cols, dz.row(i));
    } catch (...) {
      failure_ = std::current_exception();
    }
  team.barrier();
}

template <class T>
BatchCost Backprop<T>::run(const Examples<T>& examples, const Index* rows, Index m, double l2,
                           GradientPlaces<T> gradients, const MatrixView<T>* dx, const After* after,
                           std::span<const Index> upcoming) {
  const double weight = weight_sum<T>(examples.weights, rows, m), scale = scale_for(weight);
  const double cost_of_weights = penalty(model_, l2);
  const Index chain = chain_rows(model_, m);
  const bool custom = model_.custom_loss != nullptr;
  double total = 0;
  failure_ = nullptr;
  team_.begin();
  parallel(team_.current(), [&](Team team) {
    Scratch<T>& scratch = scratch_[static_cast<std::size_t>(team.rank)];
    RowFetch<T> fetch = fetch_for(examples, upcoming, m, team);
    for (Index first = 0; first == 0 || first < m; first += slab_rows_) {
      const Index count = std::min(slab_rows_, m - first);
      const SlabExamples s = slab(examples, rows, first, count);
      const Share mine = share(count, team);
      std::optional<MatrixView<T>> dx_slab;
      if (dx != nullptr) dx_slab = dx->rows_between(first, first + count);
      const MatrixView<T>* dx_part = dx_slab ? &*dx_slab : nullptr;
      const auto losses = [&](Share part) {
        loss_rows<T>(model_, dz_.back(), s.targets, s.weights, scale, value_.data(),
                     gradients.data != nullptr ? dz_.back() : MatrixView<T>{}, part, scratch);
        for (Index i = part.begin; logits_.data != nullptr && i < part.end; ++i)
          std::copy_n(dz_.back().row(i), logits_.cols, logits_.row(first + i));
      };
      if (by_columns(model_, m, team)) {
        gather(examples, rows, first, mine);
        team.barrier();
        forward_columns<T>(model_, packed_, s.x, saved_, a_, team, scratch);
        if (custom)
          call_custom_loss(rows, m, team);
        else
          losses(mine);
        // A narrow last layer goes back by the same rows, if it goes back.
        if (!is_narrow(model_.layers.back(), team) || gradients.data == nullptr || model_.layers.size() == 1)
          team.barrier();
        if (gradients.data != nullptr) backward_columns<T>(model_, packed_, saved_, dz_, dx_part, count, team, scratch);
      } else {
        const auto for_blocks = [&](auto visit) {
          const Index block = rows_at_a_time(model_), blocks = (mine.end - mine.begin + block - 1) / block;
          for (Index b = 0; b < blocks; ++b)
            visit(Share{mine.begin + (mine.end - mine.begin) * b / blocks,
                        mine.begin + (mine.end - mine.begin) * (b + 1) / blocks});
        };
        const auto forward = [&](Share part) {
          gather(examples, rows, first, part);
          forward_rows<T>(model_, packed_, s.x, saved_, a_, part, scratch);
        };
        const auto backward = [&](Share part) {
          if (gradients.data != nullptr) backward_rows<T>(model_, packed_, saved_, dz_, dx_part, part, scratch);
        };
        if (custom) {
          for_blocks(forward);
          call_custom_loss(rows, m, team);
          for_blocks(backward);
        } else {
          for_blocks([&](Share part) {
            forward(part);
            losses(part);
            backward(part);
          });
        }
        team.barrier();
      }
      const bool last = first + count >= m;
      if (team.rank == 0 && !custom) total = add_values(total, count, value_.data(), chain);
      if (gradients.data != nullptr)
        gradients_of_owned<T>(model_, s.x, a_, dz_, {first, m}, tree_, gradients, team, scratch, &fetch);
      if (last) break;
      if (team.rank == 0) try {
          poll();
        } catch (...) {
          failure_ = std::current_exception();
        }
      team.barrier();
      if (failure_) return;
    }
    if (failure_) return;
    if (gradients.data != nullptr && gradients.panels == nullptr)
      add_penalty_of_owned(model_, l2, gradients.data, team);
    if (after != nullptr) (*after)(team, packed_);
    team_.done(team.rank);
  });
  team_.end(static_cast<double>(m));
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  return {(custom ? custom_cost_ : total * scale) + cost_of_weights, weight};
}

template class Backprop<float>;
template class Backprop<double>;

}  // namespace chainrule
