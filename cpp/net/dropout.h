// Dropout in the passes of a training: which layers, and how much of them in the present step. What a unit's factor is
// depends on the seed, the step, its layer, its row in the batch and its column alone: no share of the work changes it.
#pragma once

#include <cstdint>
#include <vector>

#include "chainrule/view.h"
#include "kernels/kernels.h"

namespace chainrule {

// Places are those of the activations: 0 for the inputs, l + 1 for hidden layer l.
class StepDropout {
 public:
  StepDropout() = default;  // drops nothing
  // rates: of the hidden layers, one by one, or one for all; or none.
  StepDropout(double input_rate, const std::vector<double>& rates, Index hidden_layers);

  // Before each step, by one thread: its number since the training began, and a factor on the rates.
  void begin_step(std::uint64_t seed, Index step, double factor);
  // What is dropped of a place, or null where nothing ever is.
  const Dropout* of(std::size_t place) const { return drops(place) ? &settings_[place] : nullptr; }
  bool drops(std::size_t place) const { return place < rates_.size() && rates_[place] > 0; }
  bool drops() const;

 private:
  std::vector<double> rates_;
  std::vector<Dropout> settings_;
};

// x times the factors of its units, the first of which has this row of the batch and this column.
template <class T>
void drop_inputs(const Dropout& dropout, Index row, Index column, MatrixView<T> x);

// The same for a = g(z), where saved has what g' is written with, z, or nothing yet if that is a; and saved = g' times
// the factors.
template <class T>
void drop_units(const Dropout& dropout, Index row, Index column, Activation activation, MatrixView<T> a,
                MatrixView<T> saved);

}  // namespace chainrule
