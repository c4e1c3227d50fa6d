#include "net/two_phase.h"

namespace chainrule {

template <class T>
TwoPhase<T>::TwoPhase(const Model<T>& model, T* parameters, Index batch_rows, const OptimizerOptions& optimizer,
                      double l2, int threads)
    : model_(model),
      parameters_(parameters),
      l2_(l2),
      backprop_(model, batch_rows, true, threads),
      optimizer_(optimizer, model.parameter_count()),
      gradients_(model.parameter_count()) {
  // A member updates the weights whose gradients it has just made, and packs them for the next step while they are
  // warm.
  update_ = [this](Team team, PackedWeights<T>& packed) {
    for (std::size_t l = 0; l < model_.layers.size(); ++l) {
      const Layer<T>& layer = model_.layers[l];
      const Share outputs = owned_outputs(model_, l, team);
      const Index count = outputs.end - outputs.begin;
      if (count <= 0) continue;
      // A part of each row of Wᵀ, and of the biases, which are like one row more; or all in one.
      const Region part = count == layer.n_out ? Region{1, layer.size(), 0} : Region{layer.n_in + 1, count, layer.n_out};
      optimizer_.update(layer.offset + outputs.begin, part, gradients_.data(), parameters_);
      packed.pack_outputs(layer, l, outputs);
    }
  };
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
  cost_ = backprop_.run(examples, rows, batches.m, l2_, gradients_.data(), nullptr, &update_, upcoming);
  return {&cost_, 1};
}

template class TwoPhase<float>;
template class TwoPhase<double>;

}  // namespace chainrule
