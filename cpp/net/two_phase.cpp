#include "net/two_phase.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace chainrule {
namespace {

template <class T>
Panels<T> panels_for(const Model<T>& model, Index batch_rows) {
  const bool flat = batch_rows <= kernels<T>().few_rows || model.precision == Precision::bf16 || model.sparse_inputs;
  return flat ? Panels<T>() : Panels<T>(model);
}

// The model of the parameters that are trained. In panels it has its biases there, and the weights of a single output;
// other weights are read for the penalty alone.
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

template <class T>
Index output_count(const Model<T>& model) {
  return std::accumulate(model.layers.begin(), model.layers.end(), Index{0},
                         [](Index sum, const Layer<T>& layer) { return sum + layer.n_out; });
}

}  // namespace

template <class T>
TwoPhase<T>::TwoPhase(const Model<T>& model, T* parameters, Index batch_rows, const StepOptions& options)
    : options_(options),
      home_(parameters),
      panels_(panels_for(model, batch_rows)),
      own_(in_panels()   ? panels_.size()
           : options.ema ? model.parameter_count()
                         : 0),
      parameters_(own_.size() > 0 ? own_.data() : home_),
      weights_(in_panels() && options.l2 != 0 ? model.parameter_count() : 0),
      dropout_(dropout_for(model, options)),
      model_(training_model(model, panels_, parameters_, weights_.data(), dropout_)),
      gradients_(in_panels() ? panels_.size() : model.parameter_count()),
      optimizer_(options, static_cast<Index>(model.layers.size()), gradients_.size()),
      squares_(options.clip_norm ? output_count(model) : 0),
      backprop_(in_panels() ? Backprop<T>(model_, batch_rows, options.threads,
                                          PackedWeights<T>(model_, panels_, parameters_), gradients_.size())
                            : Backprop<T>(model_, batch_rows, true, options.threads)),
      after_(after_gradients()) {
  load();
}

template <class T>
bool TwoPhase<T>::finite() const {
  return in_panels() ? panels_.finite(parameters_)
                     : std::isfinite(kernels<T>().sum_of_squares(model_.parameter_count(), parameters_));
}

template <class T>
void TwoPhase<T>::load() {
  if (in_panels())
    panels_.load(home_, parameters_);
  else if (!in_place())
    std::copy_n(home_, own_.size(), parameters_);
  parameters_changed();
}

template <class T>
void TwoPhase<T>::parameters_changed() {
  if (weights_.size() > 0) flatten(parameters_, weights_.data());
  backprop_.repack();
}

template <class T>
void TwoPhase<T>::flatten(const T* array, T* flat) const {
  if (in_panels())
    panels_.store(array, flat);
  else
    std::copy_n(array, model_.parameter_count(), flat);
}

template <class T>
void TwoPhase<T>::store() {
  if (!in_place()) flatten(average_ != nullptr ? average_ : parameters_, home_);
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
  optimizer_.restore(
      state,
      [this](const T* flat, T* array) {
        if (in_panels())
          panels_.load(flat, array);
        else
          std::copy_n(flat, model_.parameter_count(), array);
      },
      parameters_);
  average_ = optimizer_.average();
  parameters_changed();
}

template <class T>
typename Backprop<T>::After TwoPhase<T>::after_gradients() {
  if (options_.clip_value) clip_.limit = static_cast<T>(*options_.clip_value);
  const auto update_outputs = [this](std::size_t l, Share outputs, PackedWeights<T>& packed) {
    update(l, outputs, packed);
  };
  if (!options_.clip_norm)
    return {[this](std::size_t l, Share outputs, PackedWeights<T>& packed) {
              add_penalty_in_panels(l, outputs);
              update(l, outputs, packed);
            },
            {},
            {}};
  return {[this](std::size_t l, Share outputs, PackedWeights<T>&) {
            add_penalty_in_panels(l, outputs);
            square(l, outputs);
          },
          [this] { set_clip(); }, update_outputs};
}

template <class T>
void TwoPhase<T>::add_penalty_in_panels(std::size_t l, Share outputs) {
  if (!in_panels() || l2_ == 0) return;
  const Share weights = panels_.weights_of(l, outputs);
  kernels<T>().axpy(weights.end - weights.begin, static_cast<T>(l2_), parameters_ + weights.begin,
                    gradients_.data() + weights.begin);
}

// The norm of all gradients: each output's are summed in the order of its inputs, and then the outputs' sums, so that
// neither threads nor the width of panels change a bit.
template <class T>
void TwoPhase<T>::square(std::size_t l, Share outputs) {
  const Layer<T>& layer = model_.layers[l];
  double* squares = squares_.data();
  for (std::size_t before = 0; before < l; ++before) squares += model_.layers[before].n_out;
  const Index width = kernels<T>().tile_columns;
  for (Index first = outputs.begin; first < outputs.end; first += width) {
    const Index count = std::min(width, outputs.end - first);
    const T* dw = gradients_.data() + layer.offset + first;
    const T* db = dw + layer.n_in * layer.n_out;
    Index ld = layer.n_out;
    if (in_panels()) {
      const Place<T> place = panels_.outputs(l, first, gradients_.data());
      dw = place.data;
      db = panels_.biases(l, gradients_.data()) + first;
      ld = place.ld > 0 ? place.ld : PanelView<T>::padded(count);
    }
    if (layer.n_out == 1)
      squares[0] = kernels<T>().sum_of_squares(layer.n_in, dw);
    else
      kernels<T>().column_squares(layer.n_in, count, dw, ld, squares + first);
    for (Index j = 0; j < count; ++j) squares[first + j] += static_cast<double>(db[j]) * static_cast<double>(db[j]);
  }
}

template <class T>
void TwoPhase<T>::set_clip() {
  const double norm = std::sqrt(std::accumulate(squares_.begin(), squares_.end(), 0.0));
  clip_.scale = static_cast<T>(std::min(1.0, *options_.clip_norm / (norm + 1e-6)));
}

// Updates weights whose gradients have just been made, and packs them for the next step while they are warm.
template <class T>
void TwoPhase<T>::update(std::size_t l, Share outputs, PackedWeights<T>& packed) {
  const Layer<T>& layer = model_.layers[l];
  const Index count = outputs.end - outputs.begin;
  const auto update = [&](Kind kind, Index begin, Region region) {
    optimizer_.update(l, kind, begin, region, clip_, gradients_.data(), parameters_);
  };
  if (in_panels()) {
    const Share weights = panels_.weights_of(l, outputs), biases = panels_.biases_of(l, outputs);
    update(Kind::weights, weights.begin, {1, weights.end - weights.begin, 0});
    update(Kind::biases, biases.begin, {1, count, 0});
    if (weights_.size() > 0) panels_.store(l, outputs, parameters_, weights_.data());
  } else {
    // A part of each row of Wᵀ, and of the biases, which are like one row more; or all in one.
    const Index begin = layer.offset + outputs.begin, row = layer.n_out;
    const bool together = optimizer_.same_for_all();
    const Index rows = layer.n_in + together;
    update(Kind::weights, begin, count == row ? Region{1, rows * row, 0} : Region{rows, count, row});
    if (!together) update(Kind::biases, begin + rows * row, {1, count, 0});
  }
  packed.pack_outputs(layer, l, outputs);
}

template <class T>
std::span<const BatchCost> TwoPhase<T>::run(const Batches<T>& batches) {
  optimizer_.begin_step(batches.rates.front());
  dropout_.begin_step(batches.seed, batches.step, batches.rates.front().dropout);
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
  if (options_.l2_per_row) l2_ *= scale_for(weight_sum<T>(examples.weights, rows, batches.m));
  const GradientPlaces<T> gradients{gradients_.data(), in_panels() ? &panels_ : nullptr};
  cost_ = backprop_.run(examples, rows, batches.m, l2_, gradients, nullptr, &after_, upcoming);
  average_ = optimizer_.average();
  return {&cost_, 1};
}

template class TwoPhase<float>;
template class TwoPhase<double>;

}  // namespace chainrule
