#include "train/two_phase.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace chainrule {
namespace {

template <class T>
Panels<T> panels_for(const Model<T>& model, Index batch_rows, const FitOptions<T>& options) {
  const bool flat = batch_rows <= kernels<T>().few_rows || model.precision == Precision::bf16 || model.sparse_inputs ||
                    options.source;
  return flat ? Panels<T>() : Panels<T>(model);
}

// The layers as views of the parameters in training. With panels, biases and the weights of a single output point into
// the panels. Other weights point to a flat copy, which is read only for the penalty.
template <class T>
Model<T> training_model(Model<T> model, const Panels<T>& panels, T* parameters, const T* flat,
                        const StepDropout& dropout) {
  if (dropout.drops()) model.dropout = &dropout;
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    Layer<T>& layer = model.layers[l];
    if (panels.size() > 0) {
      layer.b = panels.biases(l, parameters);
      layer.w = panels.is_row(l) ? panels.outputs(l, 0, parameters).data : flat + layer.offset;
    } else {
      layer.w = parameters + layer.offset;
      layer.b = layer.w + layer.n_in * layer.n_out;
    }
  }
  return model;
}

// The size of an array of all parameters, gradients or moments, including padding.
template <class T>
Index array_size(const Model<T>& model, const Panels<T>& panels) {
  return panels.size() > 0 ? panels.size() : model.parameter_count();
}

template <class T>
bool needs_norm(const FitOptions<T>& options) {
  return options.clip_norm || options.skip_updates_above;
}

// True if gradients are used again after the item that computes them, so that they must all be stored in an array.
template <class T>
bool needs_all_gradients(const Model<T>& model, Index batch_rows, const FitOptions<T>& options) {
  return options.source || needs_norm(options) || options.stop.gradient_norm_below ||
         !Backprop<T>::updates_items(model, batch_rows);
}

template <class T>
Index output_count(const Model<T>& model) {
  return std::accumulate(model.layers.begin(), model.layers.end(), Index{0},
                         [](Index sum, const Layer<T>& layer) { return sum + layer.n_out; });
}

}  // namespace

template <class T>
bool has_plain_updates(const FitOptions<T>& options) {
  return options.groups.empty() && !needs_norm(options) && !options.clip_value && !options.ema;
}

template <class T>
TwoPhase<T>::TwoPhase(const Model<T>& model, T* parameters, Index batch_rows, const FitOptions<T>& options)
    : options_(options),
      network_parameters_(parameters),
      panels_(panels_for(model, batch_rows, options)),
      trained_copy_(in_panels() || ends_with_average(options) ? array_size(model, panels_) : 0),
      parameters_(trained_copy_.size() > 0 ? trained_copy_.data() : network_parameters_),
      weights_(in_panels() && options.l2 != 0 ? model.parameter_count() : 0),
      dropout_(dropout_for(model, options)),
      model_(training_model(model, panels_, parameters_, weights_.data(), dropout_)),
      gradients_(needs_all_gradients(model_, batch_rows, options) ? Buffer<T>(array_size(model, panels_))
                                                                  : Buffer<T>()),
      optimizer_(options, static_cast<Index>(model.layers.size()), array_size(model, panels_)),
      squares_(needs_norm(options) ? output_count(model) : 0),
      hooks_(update_hooks()) {
  if (options.source)
    source_.emplace(model_, options);
  else
    backprop_.emplace(
        model_, batch_rows, options.threads,
        in_panels() ? PackedWeights<T>(model_, panels_, parameters_) : copies_of_weights(model_, batch_rows, true),
        gradients_.size());
  load();
}

template <class T>
bool TwoPhase<T>::finite() const {
  return in_panels() ? panels_.finite(parameters_)
                     : std::isfinite(kernels<T>().sum_of_squares(model_.parameter_count(), parameters_));
}

template <class T>
void TwoPhase<T>::load() {
  if (!in_place()) unflatten(network_parameters_, parameters_);
  parameters_changed();
}

template <class T>
void TwoPhase<T>::parameters_changed() {
  if (weights_.size() > 0) flatten(parameters_, weights_.data());
  if (backprop_) backprop_->repack();
}

template <class T>
void TwoPhase<T>::flatten(const T* array, T* flat) const {
  if (in_panels())
    panels_.store(array, flat);
  else
    std::copy_n(array, model_.parameter_count(), flat);
}

template <class T>
void TwoPhase<T>::unflatten(const T* flat, T* array) const {
  if (in_panels())
    panels_.load(flat, array);
  else
    std::copy_n(flat, model_.parameter_count(), array);
}

template <class T>
void TwoPhase<T>::store() {
  if (!in_place()) flatten(average_ != nullptr ? average_ : parameters_, network_parameters_);
}

template <class T>
void TwoPhase<T>::gradients(T* gradients) const {
  flatten(gradients_.data(), gradients);
}

template <class T>
void TwoPhase<T>::save(FitState<T>& state) {
  optimizer_.save(
      state, model_.parameter_count(), [this](const T* array, T* flat) { flatten(array, flat); }, parameters_);
}

template <class T>
void TwoPhase<T>::restore(const FitState<T>& state) {
  optimizer_.restore(state, [this](const T* flat, T* array) { unflatten(flat, array); }, parameters_);
  average_ = optimizer_.average();
  parameters_changed();
}

template <class T>
typename Backprop<T>::UpdateHooks TwoPhase<T>::update_hooks() {
  if (options_.clip_value) clip_.limit = static_cast<T>(*options_.clip_value);
  using Place = GradientPlace<T>;
  const auto update_block = [this](std::size_t l, const WeightBlock& block, const Place& gradients,
                                   PackedWeights<T>& packed) { update(l, block, gradients, packed); };
  if (!needs_norm(options_))
    return {[this](std::size_t l, const WeightBlock& block, const Place& gradients, PackedWeights<T>& packed) {
              add_penalty_in_panels(l, block, gradients);
              update(l, block, gradients, packed);
            },
            {},
            {}};
  const auto applied = std::make_shared<bool>(true);  // false if the update of this step is skipped
  return {[this](std::size_t l, const WeightBlock& block, const Place& gradients, PackedWeights<T>&) {
            add_penalty_in_panels(l, block, gradients);
            sum_squares(l, block.outputs, gradients);
          },
          [this, applied] {
            const double norm = gradient_norm();
            *applied = !options_.skip_updates_above || norm <= *options_.skip_updates_above;
            if (!*applied) {
              if (options_.history != nullptr) ++options_.history->skipped_updates;
              return;
            }
            if (options_.clip_norm) clip_.scale = static_cast<T>(std::min(1.0, *options_.clip_norm / (norm + 1e-6)));
            optimizer_.begin_step(rates_);
          },
          [update_block, applied](std::size_t l, const WeightBlock& block, const Place& gradients,
                                  PackedWeights<T>& packed) {
            if (*applied) update_block(l, block, gradients, packed);
          }};
}

template <class T>
void TwoPhase<T>::add_penalty_in_panels(std::size_t l, const WeightBlock& block, const GradientPlace<T>& gradients) {
  if (!in_panels() || l2_ == 0) return;
  panels_.for_panels(l, block, [&](Index first, Share weights) {
    kernels<T>().axpy(weights.end - weights.begin, static_cast<T>(l2_), parameters_ + weights.begin,
                      gradients.dw.column(first - block.outputs.begin));
  });
}

// Sums the squares of the gradients per output, in the order of its inputs. gradient_norm() adds the sums of all
// outputs. So the result depends neither on the number of threads nor on the width of panels.
template <class T>
void TwoPhase<T>::sum_squares(std::size_t l, Share outputs, const GradientPlace<T>& gradients) {
  const Layer<T>& layer = model_.layers[l];
  double* squares = squares_.data();
  for (std::size_t before = 0; before < l; ++before) squares += model_.layers[before].n_out;
  const Index width = kernels<T>().tile_columns;
  for (Index first = outputs.begin; first < outputs.end; first += width) {
    const Index count = std::min(width, outputs.end - first);
    const T* dw = gradients.dw.column(first - outputs.begin);
    const T* db = gradients.db + first - outputs.begin;
    const Index ld = gradients.dw.ld > 0 ? gradients.dw.ld : PanelView<T>::padded(count);
    if (layer.n_out == 1)
      squares[0] = kernels<T>().sum_of_squares(layer.n_in, dw);
    else
      kernels<T>().column_squares(layer.n_in, count, dw, ld, squares + first);
    for (Index j = 0; j < count; ++j) squares[first + j] += static_cast<double>(db[j]) * static_cast<double>(db[j]);
  }
}

template <class T>
double TwoPhase<T>::gradient_norm() const {
  return std::sqrt(std::accumulate(squares_.begin(), squares_.end(), 0.0));
}

// Updates weights whose gradients have just been computed, and packs them for the next step while they are in the
// cache.
template <class T>
void TwoPhase<T>::update(std::size_t l, const WeightBlock& block, const GradientPlace<T>& gradients,
                         PackedWeights<T>& packed) {
  const Layer<T>& layer = model_.layers[l];
  const auto [outputs, inputs] = block;
  const Index count = outputs.end - outputs.begin;
  const bool biases = inputs.end == layer.n_in;
  const auto update = [&](Kind kind, Index begin, Region region, const T* from) {
    optimizer_.update(l, kind, begin, region, clip_, from, parameters_);
  };
  if (in_panels()) {
    panels_.for_panels(l, block, [&](Index first, Share weights) {
      update(Kind::weights, weights.begin, {weights.end - weights.begin}, gradients.dw.column(first - outputs.begin));
    });
    if (biases)
      update(Kind::biases, panels_.biases(l, parameters_) - parameters_ + outputs.begin, {count}, gradients.db);
    if (weights_.size() > 0) panels_.store(l, block, parameters_, weights_.data());
  } else {
    // The region is a part of each row of Wᵀ, and of the biases, which are stored as a last row. It is contiguous if it
    // contains whole rows.
    const Index row = layer.n_out, at = layer.offset + outputs.begin;
    const bool together = biases && optimizer_.same_for_all();
    const Index rows = inputs.end - inputs.begin + together;
    update(Kind::weights, at + inputs.begin * row,
           count == row ? Region{rows * row} : Region{count, rows, row, gradients.dw.ld}, gradients.dw.data);
    if (biases && !together) update(Kind::biases, at + layer.n_in * row, {count}, gradients.db);
  }
  packed.pack_block(layer, l, block);
}

template <class T>
std::span<const BatchCost> TwoPhase<T>::run(const Batches<T>& batches) {
  rates_ = batches.rates.front();
  if (squares_.size() == 0) optimizer_.begin_step(rates_);  // otherwise called when the norm is known
  dropout_.begin_step(batches.seed, batches.step, rates_.dropout);
  const auto size = static_cast<std::size_t>(gradients_.size());
  cost_ = source_ ? source_->run(batches, {parameters_, size}, rates_.dropout, {gradients_.data(), size}, &hooks_)
                  : run_backprop(batches);
  average_ = optimizer_.average();
  return {&cost_, 1};
}

template <class T>
BatchCost TwoPhase<T>::run_backprop(const Batches<T>& batches) {
  Examples<T> examples = batches.examples;
  const Index* rows = nullptr;
  std::span<const Index> upcoming;
  if (!batches.rows.empty()) {
    rows = batches.rows.data() + batches.first;
    upcoming = batches.rows.subspan(static_cast<std::size_t>(batches.first + batches.m));
    upcoming = upcoming.first(std::min(upcoming.size(), static_cast<std::size_t>(batches.m)));
  } else {
    examples = examples_from(examples, batches.first);
  }
  l2_ = options_.l2;
  if (options_.l2_per_row) l2_ *= scale_for(weight_sum<T>(examples.targets, examples.weights, rows, batches.m));
  const GradientPlaces<T> gradients{gradients_.data(), in_panels() ? &panels_ : nullptr};
  return backprop_->run(examples, rows, batches.m, l2_, gradients, nullptr, &hooks_, upcoming);
}

template bool has_plain_updates(const FitOptions<float>&);
template bool has_plain_updates(const FitOptions<double>&);
template class TwoPhase<float>;
template class TwoPhase<double>;

}  // namespace chainrule
