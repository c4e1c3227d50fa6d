// Gets the gradients of batches from a GradientSource, in place of Backprop.
#pragma once

#include "net/backprop.h"
#include "train/stepper.h"

namespace chainrule {

template <class T>
class SourceGradients {
 public:
  using UpdateHooks = typename Backprop<T>::UpdateHooks;

  // model: a view of the parameters that are passed to run(), in the flat layout.
  SourceGradients(const Model<T>& model, const FitOptions<T>& options);

  // Writes the gradient of the first batch, penalty included, and then calls the hooks for all weights, as Backprop
  // does. dropout: factor of the rates. hooks may be null.
  BatchCost run(const Batches<T>& batches, std::span<const T> parameters, double dropout, std::span<T> gradient,
                const UpdateHooks* hooks = nullptr);

 private:
  IsaInUse isa_in_use_;
  const Model<T>& model_;
  const FitOptions<T>& options_;
  PackedWeights<T> packed_;  // empty; an argument of the hooks
  int threads_;
};

}  // namespace chainrule
