#include "train/sliced.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>

#include "core/blocking.h"
#include "core/parallel.h"
#include "core/poll.h"
#include "net/sums.h"

namespace chainrule {
namespace {

constexpr Index max_steps = 64;
constexpr double operations_at_once = 2e7;  // about 0.1 ms, much less than the time between two polls

// Stores an exception that poll() throws within a step.
struct Interruption {
  std::atomic<bool> stopped = false;
  std::exception_ptr failure;

  void poll_and_store() {
    try {
      poll();
    } catch (...) {
      failure = std::current_exception();
      stopped = true;
    }
  }
};

struct Member {
  Team team;
  Interruption* interruption;
};

// The number of gradient arrays for a batch of up to `rows` rows: one per slice and, if the batch takes several rounds
// of slices, one per run of leaves of earlier rounds.
Index partial_count(Index rows) {
  const Index last = rows_of_last_leaf(rows), shortest = whole_slice / 2;
  const Index slices = (rows - last) / whole_slice + std::min((last + shortest - 1) / shortest, slices_of_leaf);
  const Index last_round = (slices - 1) / slices_at_once;
  return std::min(slices, slices_at_once) + std::bit_width(static_cast<std::size_t>(last_round));
}

// Calls visit(layer, its description for the kernel) for all layers. Returns the size of the kernel's layout.
template <class T, class Visit>
Index for_layers(const Model<T>& model, Visit visit) {
  Index offset = 0;
  for (const Layer<T>& layer : model.layers) {
    const bool row = &layer == &model.layers.back() && layer.n_out == 1;
    SliceLayer<T> place{};
    place.n_in = layer.n_in;
    place.n_out = layer.n_out;
    place.offset = offset;
    place.width = row ? 1 : padded_width(layer.n_out);
    place.weight_count = row ? padded_width(layer.n_in) : layer.n_in * place.width;
    visit(layer, place);
    offset += place.weight_count + padded_width(layer.n_out);
  }
  return offset;
}

// Calls pair(flat, sliced) with the index of each parameter in the flat layout and in that of the kernel.
template <class T, class Pair>
void for_parameters(const Model<T>& model, Pair pair) {
  for_layers(model, [&](const Layer<T>& layer, const SliceLayer<T>& place) {
    const bool row = place.width == 1;
    for (Index j = 0; j < layer.n_out; ++j) {
      for (Index p = 0; p < layer.n_in; ++p)
        pair(layer.offset + p * layer.n_out + j, place.offset + (row ? p : p * place.width + j));
      pair(layer.offset + layer.n_out * layer.n_in + j, place.offset + place.weight_count + j);
    }
  });
}

}  // namespace

template <class T>
Sliced<T>::Workspace::Workspace(const Model<T>& model, Index rows) : label(rows) {
  const Index block = 2 * kernels<T>().tile_rows;
  std::vector<std::pair<T**, Index>> wanted;
  for_layers(model, [&](const Layer<T>& layer, SliceLayer<T> place) {
    if (&layer != &model.layers.back()) {
      place.activate = kernels<T>().activate[static_cast<int>(layer.activation)];
      place.activate_backward = kernels<T>().activate_backward[static_cast<int>(layer.activation)];
      place.one_output_backward = kernels<T>().one_output_backward[static_cast<int>(layer.activation)];
    }
    layers.push_back(place);
  });
  for (SliceLayer<T>& place : layers) {
    wanted.emplace_back(&place.a, rows * place.width);
    if (&place != &layers.front() && place.width > 1)
      wanted.emplace_back(&place.weights, place.n_out * padded_width(place.n_in));
  }
  const Index outputs = model.outputs();
  wanted.insert(wanted.end(), {{&x, rows * padded_width(model.inputs())},
                               {&y, rows * padded_width(outputs)},
                               {&weight, rows},
                               {&da, block * padded_width(model.widest())},
                               {&loss, 2 * outputs * kernels<T>().lanes}});
  Index size = 0;
  for (const auto& [pointer, count] : wanted) size += padded_width(count);
  memory = Buffer<T>(size);
  Index offset = 0;
  for (const auto& [pointer, count] : wanted) {
    *pointer = memory.data() + offset;
    offset += padded_width(count);
  }
}

template <class T>
Sliced<T>::Sliced(const Model<T>& model, T* parameters, Index batch_rows, const FitOptions<T>& options)
    : model_(model),
      parameters_(parameters),
      l2_(options.l2),
      l2_per_row_(options.l2_per_row),
      threads_(static_cast<int>(
          std::min<Index>(threads_for(row_operations(model, true) * static_cast<double>(batch_rows), options.threads),
                          (batch_rows + chain_rows(model, batch_rows) - 1) / chain_rows(model, batch_rows)))),
      size_(for_layers(model, [](const Layer<T>&, const SliceLayer<T>&) {})),
      sliced_(size_),
      partials_(partial_count(batch_rows) * size_),
      value_(std::min(batch_rows, slices_at_once * whole_slice)),
      optimizer_(options, static_cast<Index>(model.layers.size()), size_),
      is_sgd_(std::holds_alternative<Sgd>(options.optimizer)),
      costs_(static_cast<std::size_t>(
          std::clamp(operations_at_once / (row_operations(model, true) * static_cast<double>(batch_rows)), 1.0,
                     static_cast<double>(max_steps)))) {
  for (int rank = 0; rank < threads_; ++rank) workspaces_.emplace_back(model, std::min(batch_rows, whole_slice));
  load();
}

template <class T>
bool Sliced<T>::finite() const {
  bool all = true;  // padding is ignored
  for_parameters(model_, [&](Index, Index sliced) { all = all && std::isfinite(sliced_[sliced]); });
  return all;
}

template <class T>
void Sliced<T>::load() {
  for_parameters(model_, [this](Index flat, Index sliced) { sliced_[sliced] = parameters_[flat]; });
}

template <class T>
void Sliced<T>::store() {
  for_parameters(model_, [this](Index flat, Index sliced) { parameters_[flat] = sliced_[sliced]; });
}

template <class T>
void Sliced<T>::gradients(T* gradients) const {
  for_parameters(model_, [&](Index flat, Index sliced) { gradients[flat] = partials_[sliced]; });
}

template <class T>
void Sliced<T>::save(FitState<T>& state) {
  optimizer_.save(
      state, model_.parameter_count(),
      [this](const T* array, T* flat) {
        for_parameters(model_, [&](Index to, Index from) { flat[to] = array[from]; });
      },
      sliced_.data());
}

template <class T>
void Sliced<T>::restore(const FitState<T>& state) {
  optimizer_.restore(
      state,
      [this](const T* flat, T* array) {
        for_parameters(model_, [&](Index from, Index to) { array[to] = flat[from]; });
      },
      sliced_.data());
}

template <class T>
std::span<const BatchCost> Sliced<T>::run(const Batches<T>& batches) {
  const bool reads = batches.examples.x.reader != nullptr;
  const Examples<T>& e = reads ? gathered_.take(batches, threads_) : batches.examples;
  const std::span<const Index> rows = reads ? std::span<const Index>() : batches.rows;
  const bool dense = e.targets.labels == nullptr;
  SliceSteps<T> steps{};
  steps.loss = kernels<T>().loss[static_cast<int>(model_.loss)];
  steps.loss_parameters = model_.loss_parameters.data();
  steps.layer_count = static_cast<Index>(model_.layers.size());
  steps.examples = {e.x.matrix.data,
                    e.x.matrix.row_stride,
                    e.x.matrix.col_stride,
                    dense ? e.targets.values.data : nullptr,
                    e.targets.values.row_stride,
                    e.targets.values.col_stride,
                    e.targets.labels,
                    e.weights,
                    rows.empty() ? nullptr : rows.data(),
                    static_cast<Index>(rows.size()),
                    e.x.matrix.rows * e.x.matrix.cols * static_cast<Index>(sizeof(T)) > bytes_of_core(caches().l2)};
  steps.m = batches.m;
  steps.last_slice_rows = chain_rows(model_, rows_of_last_leaf(batches.m));
  steps.loss_rows = chain_rows(model_, batches.m);
  steps.steps = static_cast<Index>(batches.rates.size());
  steps.first = reads ? 0 : batches.first;
  steps.advance = batches.advance;
  steps.parameters = sliced_.data();
  steps.parameter_count = size_;
  steps.partials = partials_.data();
  steps.l2 = l2_;
  steps.l2_per_row = l2_per_row_;
  steps.updates = optimizer_.next_steps(batches.rates).data();
  steps.is_sgd = is_sgd_;
  steps.moments = optimizer_.moments();
  steps.cost = costs_.data();
  steps.value = value_.data();
  steps.next = [](const void* member, Index count) { return static_cast<const Member*>(member)->team.next(count); };
  // Only a call with a single step polls within the step; other steps are short. An abandoned step changes nothing.
  Interruption interruption;
  if (steps.steps == 1)
    steps.poll = [](const void* of_member) {
      const Member& member = *static_cast<const Member*>(of_member);
      member.team.alone([&] { member.interruption->poll_and_store(); });
      return !member.interruption->stopped;
    };
  parallel_step(threads_, [&](Team team) {
    SliceSteps<T> mine = steps;
    const Workspace& own = workspaces_[static_cast<std::size_t>(team.rank)];
    mine.size = team.size;
    const Member member{team, &interruption};
    mine.team = &member;
    mine.layers = own.layers.data();
    mine.x = own.x;
    mine.y = own.y;
    mine.weight = own.weight;
    mine.da = own.da;
    mine.loss_scratch = own.loss;
    mine.label = own.label.data();
    kernels<T>().slice_steps(mine);
  });
  if (interruption.stopped) std::rethrow_exception(interruption.failure);
  return {costs_.data(), batches.rates.size()};
}

template class Sliced<float>;
template class Sliced<double>;

}  // namespace chainrule
