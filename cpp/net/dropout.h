// Dropout during training: the layers that have it, and their rates in the current step. The factor of a unit depends
// only on the seed, the step, its layer, its row in the batch and its column, and not on how the work is divided.
#pragma once

#include <cstdint>
#include <vector>

#include "chainrule/view.h"
#include "kernels/kernels.h"

namespace chainrule {

// Places are numbered like the activations: 0 is the inputs, l + 1 is hidden layer l.
class StepDropout {
 public:
  StepDropout() = default;  // drops nothing
  // rates: one per hidden layer, one for all of them, or none.
  StepDropout(double input_rate, const std::vector<double>& rates, Index hidden_layers);

  // One thread calls this before each step. step: its number since the training began. factor: multiplies the rates.
  void begin_step(std::uint64_t seed, Index step, double factor);
  // The settings of a place, or null if nothing is ever dropped there.
  const Dropout* of(std::size_t place) const { return drops(place) ? &settings_[place] : nullptr; }
  bool drops(std::size_t place) const { return place < rates_.size() && rates_[place] > 0; }
  bool drops() const;

 private:
  std::vector<double> rates_;
  std::vector<Dropout> settings_;
};

// Multiplies x by the factors of its units. x(0, 0) belongs to this row of the batch and this column.
template <class T>
void drop_inputs(const Dropout& dropout, Index row, Index column, MatrixView<T> x);

// The same for a = g(z) and for g'(z), which is in `slope`; if it is computed from a, slope need not be set on entry.
template <class T>
void drop_units(const Dropout& dropout, Index row, Index column, Activation activation, MatrixView<T> a,
                MatrixView<T> slope);

}  // namespace chainrule
