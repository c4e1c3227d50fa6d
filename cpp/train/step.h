// What every step of a training needs to know beyond the network and its data.
#pragma once

#include <optional>
#include <vector>

#include "chainrule/optimizers.h"
#include "net/model.h"

namespace chainrule {

// The settings of all steps.
struct StepOptions {
  OptimizerOptions optimizer{};
  double l2 = 0;
  bool l2_per_row = false;  // the penalty is divided by Σw of the batch
  std::vector<Group> groups{};
  std::optional<double> clip_norm{}, clip_value{};
  std::optional<double> ema{};  // the part of the average of the parameters that is kept
  std::vector<double> dropout{};
  double input_dropout = 0;
  bool keep_gradients = false;  // Stepper::gradients() will be called
  int threads = 0;
};

template <class T>
StepDropout dropout_for(const Model<T>& model, const StepOptions& options) {
  return {options.input_dropout, options.dropout, static_cast<Index>(model.layers.size()) - 1};
}

// Factors on the settings of one step.
struct Rates {
  double learning_rate = 1, weight_decay = 1, dropout = 1;
};

}  // namespace chainrule
