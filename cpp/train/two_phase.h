// Training steps of medium and large networks: backpropagation, followed by the update of each item's weights as soon
// as their gradients are complete and still in the cache, usually in a buffer that the next item reuses
// (needs_all_gradients). During training the parameters are in panels, except for bf16, sparse or binned inputs,
// gradient sources and batches of only a few rows, whose products read the weights in place.
#pragma once

#include "net/backprop.h"
#include "train/optimizer.h"
#include "train/source_gradients.h"
#include "train/stepper.h"

namespace chainrule {

// True if every gradient is passed to the optimizer unchanged and there is one rate for all parameters: no groups,
// clipping, skipped updates or averages.
template <class T>
bool has_plain_updates(const FitOptions<T>& options);

template <class T>
StepDropout dropout_for(const Model<T>& model, const FitOptions<T>& options) {
  return {options.input_dropout, options.dropout, static_cast<Index>(model.layers.size()) - 1};
}

template <class T>
class TwoPhase final : public Stepper<T> {
 public:
  TwoPhase(const Model<T>& model, T* parameters, Index batch_rows, const FitOptions<T>& options);

  Index steps_at_once() const override { return 1; }
  std::span<const BatchCost> run(const Batches<T>& batches) override;
  bool in_place() const override { return parameters_ == network_parameters_; }
  bool finite() const override;
  void load() override;
  void store() override;
  void gradients(T* gradients) const override;
  void save(FitState<T>& state) override;
  void restore(const FitState<T>& state) override;

 private:
  BatchCost run_backprop(const Batches<T>& batches);
  typename Backprop<T>::UpdateHooks update_hooks();
  void add_penalty_in_panels(std::size_t l, const WeightBlock& block, const GradientPlace<T>& gradients);
  void sum_squares(std::size_t l, Share outputs, const GradientPlace<T>& gradients);
  double gradient_norm() const;
  void update(std::size_t l, const WeightBlock& block, const GradientPlace<T>& gradients, PackedWeights<T>& packed);
  void parameters_changed();
  // Copy an array from the layout used in training to the flat layout of the network, and back.
  void flatten(const T* array, T* flat) const;
  void unflatten(const T* flat, T* array) const;
  bool in_panels() const { return panels_.size() > 0; }

  IsaInUse isa_in_use_;
  const FitOptions<T>& options_;
  T* network_parameters_;   // the network's own parameters
  Panels<T> panels_;        // empty if the parameters are flat
  Buffer<T> trained_copy_;  // empty if the network's parameters are trained in place
  T* parameters_;
  Buffer<T> weights_;  // a copy in the flat layout for the penalty, which is summed in that order
  StepDropout dropout_;
  Model<T> model_;
  Buffer<T> gradients_;  // the gradients of all parameters, or empty
  Optimizer<T> optimizer_;
  const T* average_ = nullptr;  // the average of the optimizer, or null before the first step has ended
  Buffer<double> squares_;      // one sum per output, for the norm of the gradients
  Clip<T> clip_;
  std::optional<Backprop<T>> backprop_;  // one of these two
  std::optional<SourceGradients<T>> source_;
  double l2_ = 0;  // for the current step, like rates_
  Rates rates_;
  BatchCost cost_{};
  typename Backprop<T>::UpdateHooks hooks_;
};

}  // namespace chainrule
