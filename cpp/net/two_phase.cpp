#include "net/two_phase.h"

#include <algorithm>
#include <cmath>

namespace chainrule {
namespace {

template <class T>
Panels<T> panels_for(const Model<T>& model, Index batch_rows) {
  const bool flat = batch_rows <= kernels<T>().few_rows || model.precision == Precision::bf16 || model.sparse_inputs;
  return flat ? Panels<T>() : Panels<T>(model);
}

// The model with its biases, and the weights of a single output, where they lie in panels; other weights are read for
// the penalty alone.
template <class T>
Model<T> training_model(Model<T> model, const Panels<T>& panels, T* parameters, const T* flat) {
  for (std::size_t l = 0; panels.size() > 0 && l < model.layers.size(); ++l) {
    Layer<T>& layer = model.layers[l];
    layer.b = panels.biases(l, parameters);
    layer.w = panels.is_row(l) ? panels.outputs(l, 0, parameters).data : flat + layer.offset;
  }
  return model;
}

}  // namespace

template <class T>
TwoPhase<T>::TwoPhase(const Model<T>& model, T* parameters, Index batch_rows, const OptimizerOptions& optimizer,
                      double l2, int threads)
    : flat_(parameters),
      l2_(l2),
      panels_(panels_for(model, batch_rows)),
      parameters_(panels_.size()),
      weights_(in_panels() && l2 != 0 ? model.parameter_count() : 0),
      model_(training_model(model, panels_, parameters_.data(), weights_.data())),
      gradients_(in_panels() ? panels_.size() : model.parameter_count()),
      optimizer_(optimizer, gradients_.size()),
      backprop_(in_panels()
                    ? Backprop<T>(model_, batch_rows, threads, PackedWeights<T>(model_, panels_, parameters_.data()))
                    : Backprop<T>(model_, batch_rows, true, threads)),
      update_([this](Team team, PackedWeights<T>& packed) { update(team, packed); }) {
  load();
}

template <class T>
bool TwoPhase<T>::finite() const {
  return in_panels() ? panels_.finite(parameters_.data())
                     : std::isfinite(kernels<T>().sum_of_squares(model_.parameter_count(), flat_));
}

template <class T>
void TwoPhase<T>::load() {
  if (in_panels()) panels_.load(flat_, parameters_.data());
  std::copy_n(flat_, weights_.size(), weights_.data());
  backprop_.repack();
}

template <class T>
void TwoPhase<T>::store() {
  if (in_panels()) panels_.store(parameters_.data(), flat_);
}

template <class T>
void TwoPhase<T>::gradients(T* gradients) const {
  if (in_panels())
    panels_.store(gradients_.data(), gradients);
  else
    std::copy_n(gradients_.data(), gradients_.size(), gradients);
}

// A member updates the weights whose gradients it has just made, and packs them for the next step while they are warm.
template <class T>
void TwoPhase<T>::update(Team team, PackedWeights<T>& packed) {
  for (std::size_t l = 0; l < model_.layers.size(); ++l) {
    const Layer<T>& layer = model_.layers[l];
    const Share outputs = owned_outputs(model_, l, team);
    const Index count = outputs.end - outputs.begin;
    if (count <= 0) continue;
    if (in_panels()) {
      const Share weights = panels_.weights_of(l, outputs), biases = panels_.biases_of(l, outputs);
      const Index n = weights.end - weights.begin;
      T* own = parameters_.data();
      if (l2_ != 0) kernels<T>().axpy(n, static_cast<T>(l2_), own + weights.begin, gradients_.data() + weights.begin);
      optimizer_.update(weights.begin, {1, n, 0}, gradients_.data(), own);
      optimizer_.update(biases.begin, {1, count, 0}, gradients_.data(), own);
      if (l2_ != 0) panels_.store(l, outputs, own, weights_.data());
    } else {
      // A part of each row of Wᵀ, and of the biases, which are like one row more; or all in one.
      const Region part =
          count == layer.n_out ? Region{1, layer.size(), 0} : Region{layer.n_in + 1, count, layer.n_out};
      optimizer_.update(layer.offset + outputs.begin, part, gradients_.data(), flat_);
    }
    packed.pack_outputs(layer, l, outputs);
  }
}

template <class T>
std::span<const BatchCost> TwoPhase<T>::run(const Batches<T>& batches) {
  optimizer_.begin_step();
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
  const GradientPlaces<T> gradients{gradients_.data(), in_panels() ? &panels_ : nullptr};
  cost_ = backprop_.run(examples, rows, batches.m, l2_, gradients, nullptr, &update_, upcoming);
  return {&cost_, 1};
}

template class TwoPhase<float>;
template class TwoPhase<double>;

}  // namespace chainrule
