// Decides after each epoch whether a criterion of Stop holds, and which.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "chainrule/training.h"

namespace chainrule {

// Whether a value counts as better than the lowest before. A min_delta below 0 lets it be worse.
inline bool improves(double value, double lowest, double min_delta) {
  return min_delta == 0 ? value < lowest : value <= lowest - min_delta;
}

class Stopping {
 public:
  explicit Stopping(const Stop& stop) : stop_(stop) {}

  bool needed() const {
    return stop_.loss_below || stop_.loss_change_below || stop_.gradient_norm_below || stop_.no_improvement ||
           stop_.seconds;
  }
  bool needs_gradient_norm() const { return stop_.gradient_norm_below.has_value(); }
  bool lowest() const { return lowest_; }  // the epoch just seen is the best so far

  // The name of the criterion that holds after an epoch, or null. watched: see Stop::no_improvement; gradient_norm is
  // looked at only if it is needed.
  const char* after(const EpochLog& log, double watched, double gradient_norm) {
    change_epochs_ = std::abs(log.loss - last_loss_) < stop_.loss_change_below.value_or(0) ? change_epochs_ + 1 : 0;
    last_loss_ = log.loss;
    epochs_since_best_ = improves(watched, best_, stop_.min_delta) ? 0 : epochs_since_best_ + 1;
    note(watched);
    if (stop_.loss_below && log.loss < *stop_.loss_below) return "loss_below";
    if (stop_.loss_change_below && change_epochs_ >= stop_.loss_change_epochs) return "loss_change_below";
    if (needs_gradient_norm() && gradient_norm < *stop_.gradient_norm_below) return "gradient_norm_below";
    if (stop_.no_improvement && epochs_since_best_ >= *stop_.no_improvement) return "no_improvement";
    if (stop_.seconds && log.seconds >= *stop_.seconds) return "seconds";
    return nullptr;
  }
  // All that an epoch without criteria leaves; whether it is the best so far.
  bool note(double watched) {
    lowest_ = watched < best_;
    best_ = std::min(best_, watched);
    return lowest_;
  }
  bool too_slow(double learning_rate) const {
    return stop_.learning_rate_below && learning_rate <= *stop_.learning_rate_below;
  }

  std::vector<double> progress() const { return {last_loss_, best_, change_epochs_, epochs_since_best_}; }
  void set_progress(std::span<const double> progress) {
    last_loss_ = progress[0];
    best_ = progress[1];
    change_epochs_ = progress[2];
    epochs_since_best_ = progress[3];
  }

 private:
  Stop stop_;
  double last_loss_ = std::numeric_limits<double>::infinity(), best_ = last_loss_;
  double change_epochs_ = 0, epochs_since_best_ = 0;
  bool lowest_ = false;
};

}  // namespace chainrule
