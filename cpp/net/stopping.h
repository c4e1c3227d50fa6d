// Decides after each epoch whether a criterion of Stop holds, and which.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "chainrule/training.h"

namespace chainrule {

class Stopping {
 public:
  explicit Stopping(const Stop& stop) : stop_(stop) {}

  bool needed() const {
    return stop_.loss_below || stop_.loss_change_below || stop_.gradient_norm_below || stop_.no_improvement ||
           stop_.seconds;
  }
  bool needs_gradient_norm() const { return stop_.gradient_norm_below.has_value(); }
  // The epoch just seen had the lowest cost so far; only followed for no_improvement.
  bool improved() const { return epochs_since_best_ == 0; }

  // The name of the criterion that holds after an epoch, or null. gradient_norm is looked at only if it is needed.
  const char* after(const EpochLog& log, double gradient_norm) {
    change_epochs_ = std::abs(log.loss - last_loss_) < stop_.loss_change_below.value_or(0) ? change_epochs_ + 1 : 0;
    last_loss_ = log.loss;
    const double watched = log.validation.value_or(log.loss);
    epochs_since_best_ = watched < best_ ? 0 : epochs_since_best_ + 1;
    best_ = std::min(best_, watched);
    if (stop_.loss_below && log.loss < *stop_.loss_below) return "loss_below";
    if (stop_.loss_change_below && change_epochs_ >= stop_.loss_change_epochs) return "loss_change_below";
    if (needs_gradient_norm() && gradient_norm < *stop_.gradient_norm_below) return "gradient_norm_below";
    if (stop_.no_improvement && epochs_since_best_ >= *stop_.no_improvement) return "no_improvement";
    if (stop_.seconds && log.seconds >= *stop_.seconds) return "seconds";
    return nullptr;
  }

 private:
  Stop stop_;
  double last_loss_ = std::numeric_limits<double>::infinity(), best_ = last_loss_;
  int change_epochs_ = 0, epochs_since_best_ = 0;
};

}  // namespace chainrule
