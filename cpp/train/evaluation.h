// Computes the cost and the metrics of the validation rows after an epoch.
#pragma once

#include <vector>

#include "chainrule/training.h"
#include "net/backprop.h"
#include "net/model.h"

namespace chainrule {

template <class T>
class Evaluation {
 public:
  // Evaluates the parameters that the model refers to. model and options must outlive this object.
  Evaluation(const Model<T>& model, const FitOptions<T>& options);

  void run();
  double cost() const { return cost_; }
  const std::vector<double>& metrics() const { return metrics_; }

 private:
  const Index* rows() const { return options_.validation_rows.empty() ? nullptr : options_.validation_rows.data(); }

  const FitOptions<T>& options_;
  Loss loss_;
  Backprop<T> backprop_;
  Index count_;            // number of validation rows
  Buffer<T> predictions_;  // empty unless a metric needs them
  Scratch<T> scratch_;
  double cost_ = 0;
  std::vector<double> metrics_;
};

}  // namespace chainrule
