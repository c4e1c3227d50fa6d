#include "net/backprop.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "core/poll.h"

namespace chainrule {
namespace {

// Number of values stored per row: its activations and their gradients.
template <class T>
Index row_width(const Model<T>& model) {
  Index width = model.sparse_inputs ? 0 : model.inputs();
  for (const Layer<T>& layer : model.layers)
    width += (slope_reads_z(layer.activation) || model.dropout != nullptr ? 3 : 2) * layer.n_out;
  return width;
}

// The number of rows of a slab: about 2^22 stored values, in whole leaves of the sums over rows.
template <class T>
Index slab_size(const Model<T>& model, Index batch_rows) {
  if (model.custom_loss != nullptr) return std::max<Index>(batch_rows, 1);
  // NOLINTNEXTLINE(clang-analyzer-core.DivideZero): every model has a layer with an output
  const Index leaves = std::clamp<Index>((Index{1} << 22) / row_width(model) / sum_rows, 1, 16);
  return std::clamp<Index>(batch_rows, 1, leaves * sum_rows);
}

// With few rows, most of the time is spent on moving weights and moments, which takes longer in a team of distant cores
// (256-256-256, 4 rows: 3.6 times as long). So only a quarter of the operations is counted.
template <class T>
double operations_to_share(const Model<T>& model, bool gradients, Index batch_rows) {
  const double operations = row_operations(model, gradients) * static_cast<double>(batch_rows);
  return batch_rows <= kernels<T>().few_rows ? operations / 4 : operations;
}

// Number of elements of the gradients of the largest item.
template <class T>
Index largest_item(const Model<T>& model) {
  Index size = 0;
  for (const Layer<T>& layer : model.layers) {
    const Index outputs = std::min(layer.n_out, max_item_side), inputs = std::min(layer.n_in, max_item_side);
    size = std::max(size, PanelView<T>::size(inputs, outputs) + outputs);
  }
  return size;
}

}  // namespace

template <class T>
Backprop<T>::Backprop(const Model<T>& model, Index batch_rows, bool gradients, int threads, bool inputs)
    : Backprop(model, batch_rows, threads, copies_of_weights(model, batch_rows, gradients, inputs), gradients,
               model.parameter_count()) {}

template <class T>
bool Backprop<T>::updates_items(const Model<T>& model, Index batch_rows) {
  return !model.sparse_inputs &&
         (slab_size(model, batch_rows) >= batch_rows || batch_rows <= model.parameter_count() / row_width(model));
}

template <class T>
Backprop<T>::Backprop(const Model<T>& model, Index batch_rows, int threads, PackedWeights<T> weights, bool gradients,
                      Index gradient_size)
    : model_(model),
      threads_(threads_for(operations_to_share(model, gradients, batch_rows), threads)),
      by_items_(gradients && gradient_size == 0),
      slab_rows_(by_items_ ? batch_rows : slab_size(model, batch_rows)),
      packed_(std::move(weights)),
      scratch_(team_scratch(model, batch_rows, threads_)),
      tree_(gradients && !by_items_ ? sum_tree(model, batch_rows, gradient_size) : SumTree<T>()),
      value_(slab_rows_),
      weight_(slab_rows_),
      label_(slab_rows_) {
  model_.saves_slopes = gradients;
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
    // If no gradients are needed, the memory of dz holds the activations. In the last layer it always holds the logits.
    const bool separate = gradients && &layer != &model.layers.back();
    a_.push_back(separate ? matrix(layer.n_out) : dz_.back());
    const bool saves_slope = slope_reads_z(layer.activation) || model.dropout_of(a_.size()) != nullptr;
    saved_.push_back(separate && saves_slope ? matrix(layer.n_out) : a_.back());
  }
  for (Scratch<T>& scratch : scratch_) {
    if (!by_items_) break;
    scratch.gradients.reserve(largest_item(model));
    scratch.tree = sum_tree(model, batch_rows, largest_item(model));
  }
  if (model.custom_loss != nullptr) {
    dlogits_ = matrix(model.outputs());
    every_row_.resize(static_cast<std::size_t>(batch_rows));
    std::iota(every_row_.begin(), every_row_.end(), Index{0});
  }
  repack();
}

template <class T>
void Backprop<T>::compute_part(const BatchPart& part, std::vector<double>& losses) {
  part_ = &part;
  losses_ = &losses;
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
    s.x = PassInputs<T>(sparse_rows(examples.x, rows), examples.x.rows).rows_between(first, first + count);
  } else if (rows == nullptr && examples.x.reader == nullptr && examples.x.matrix.col_stride == 1 &&
             model_.dropout_of(0) == nullptr) {
    s.x = examples.x.matrix.rows_between(first, first + count);
  }
  s.x.first = first + first_row();
  s.targets.missing = examples.targets.missing;
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
      if (from.col_stride == 1 && from.cols > 1)  // copy_n calls memmove, which is slow for one element
        std::copy_n(row, from.cols, to);
      else
        for (Index j = 0; j < from.cols; ++j) to[j] = row[j * from.col_stride];
    }
  };
  if (!examples.x.is_sparse()) {
    if (examples.x.reader != nullptr)
      examples.x.reader->read(examples.x.numbers(rows, first + part.end).between(first + part.begin, first + part.end),
                              x_.rows_between(part.begin, part.end));
    else
      copy(examples.x.matrix, x_, dropout != nullptr);
    if (dropout != nullptr)
      drop_inputs<T>(*dropout, first_row() + first + part.begin, 0, x_.rows_between(part.begin, part.end));
  }
  if (examples.targets.labels == nullptr) copy(examples.targets.values, y_, false);
  if (rows == nullptr) return;
  for (Index i = part.begin; i < part.end; ++i) {
    if (examples.targets.labels != nullptr) label_[i] = examples.targets.labels[rows[first + i]];
    if (examples.weights != nullptr) weight_[i] = examples.weights[rows[first + i]];
  }
}

// Prefetches a member's share of the rows of the next batch, spread over the tiles of its items and their steps.
template <class T>
RowFetch<T> Backprop<T>::fetch_for(const Examples<T>& examples, std::span<const Index> upcoming, Index m,
                                   Team team) const {
  RowFetch<T> fetch;
  const MatrixView<const T>& x = examples.x.matrix;
  if (upcoming.empty() || x.data == nullptr || x.col_stride != 1) return fetch;
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

// Overwrites the logits of all rows with dz.
template <class T>
void Backprop<T>::call_custom_loss(const Index* rows, Index m) {
  const MatrixView<T> dz = dz_.back().rows_between(0, m), dlogits = dlogits_.rows_between(0, m);
  custom_cost_ =
      (*model_.custom_loss)(dz, {rows != nullptr ? rows : every_row_.data(), static_cast<std::size_t>(m)}, dlogits);
  for (Index i = 0; i < m; ++i) std::copy_n(dlogits.row(i), dz.cols, dz.row(i));
}

template <class T>
BatchCost Backprop<T>::run(const Examples<T>& examples, const Index* rows, Index m, double l2,
                           GradientPlaces<T> gradients, const MatrixView<T>* dx, const UpdateHooks* hooks,
                           std::span<const Index> upcoming) {
  const double weight =
      part_ != nullptr ? part_->batch_weight : weight_sum<T>(examples.targets, examples.weights, rows, m);
  const double scale = scale_for(weight);
  const double cost_of_weights = penalty(model_, l2);
  const Index chain = chain_rows(model_, part_ != nullptr ? part_->batch_rows : m);
  const bool custom = model_.custom_loss != nullptr, wanted = by_items_ || gradients.data != nullptr;
  double total = 0;
  if (losses_ != nullptr) losses_->reserve(static_cast<std::size_t>(m / chain + 1));
  parallel_step(threads_, [&](Team team) {
    Scratch<T>& scratch = scratch_[static_cast<std::size_t>(team.rank)];
    RowFetch<T> fetch = fetch_for(examples, upcoming, m, team);
    const OutputItems<T> outputs_of(model_, m, team, by_items_ ? max_item_side : OutputItems<T>::unlimited);
    for (Index first = 0; first == 0 || first < m; first += slab_rows_) {
      const Index count = std::min(slab_rows_, m - first);
      const bool last = first + count >= m;
      const SlabExamples s = slab(examples, rows, first, count);
      if (examples.x.reader != nullptr)
        team.alone([&] { examples.x.reader->prepare(examples.x.numbers(rows, m).between(first, m), count); });
      std::optional<MatrixView<T>> dx_slab;
      if (dx != nullptr) dx_slab = dx->rows_between(first, first + count);
      const MatrixView<T>* dx_part = dx_slab ? &*dx_slab : nullptr;
      const bool columns = by_columns(model_, m, team);
      const std::size_t layers = columns ? layers_by_columns(model_, team) : 0;
      if (columns) {
        const Index parts = items_for(count, team.size, 16);
        team.each(parts, [&](Index i) { gather(examples, rows, first, part(count, parts, i)); });
        forward_columns<T>(model_, packed_, s.x, saved_, a_, layers, team, scratch);
      }
      // Next, by rows: the remaining layers, the loss, and the backward pass of these layers.
      const Index blocks = columns ? narrow_items(count, team) : row_items(model_, count, team);
      const auto forward = [&](Share part) {
        if (!columns) gather(examples, rows, first, part);
        forward_rows<T>(model_, packed_, s.x, saved_, a_, part, scratch, layers);
      };
      const auto losses = [&](Share part) {
        loss_rows<T>(model_, dz_.back(), s.targets, s.weights, scale, value_.data(),
                     wanted ? dz_.back() : MatrixView<T>{}, part, scratch);
        for (Index i = part.begin; logits_.data != nullptr && i < part.end; ++i)
          std::copy_n(dz_.back().row(i), logits_.cols, logits_.row(first + i));
      };
      const auto backward = [&](Share part) {
        if (wanted) backward_rows<T>(model_, packed_, saved_, dz_, dx_part, part, scratch, layers);
      };
      if (custom) {
        team.each(blocks, [&](Index i) { forward(part(count, blocks, i)); });
        team.alone([&] { call_custom_loss(rows, m); });
        team.each(blocks, [&](Index i) { backward(part(count, blocks, i)); });
      } else {
        team.each(blocks, [&](Index i) {
          const Share block = part(count, blocks, i);
          forward(block);
          losses(block);
          backward(block);
        });
      }
      if (columns && wanted) backward_columns<T>(model_, packed_, saved_, dz_, dx_part, count, layers, team, scratch);
      const Index items = wanted ? outputs_of.count() : 0;
      const auto finish_block = [&](std::size_t l, const WeightBlock& block, const GradientPlace<T>& place) {
        if (!last) return;
        if (gradients.panels == nullptr) add_penalty(model_.layers[l], block, l2, place.dw);
        if (hooks != nullptr) hooks->block_ready(l, block, place, packed_);
      };
      team.each(items + 1, [&](Index item) {
        if (item < items)
          gradients_of_item<T>(model_, outputs_of, item, s.x, a_, dz_, {first, m}, tree_, gradients, scratch, &fetch,
                               finish_block);
        else if (!custom)
          total = add_values(total, count, value_.data(), chain, losses_);
      });
      if (!last) team.alone(poll);
    }
    if (hooks == nullptr || !hooks->all_ready) return;
    team.alone(hooks->all_ready);
    team.each(outputs_of.count(), [&](Index item) {
      outputs_of.visit(item, [&](std::size_t l, const WeightBlock& block) {
        hooks->update_block(l, block, gradients.of(model_.layers[l], l, block, scratch), packed_);
      });
    });
  });
  return {(custom ? custom_cost_ : total * scale) + cost_of_weights, weight};
}

template class Backprop<float>;
template class Backprop<double>;

}  // namespace chainrule
