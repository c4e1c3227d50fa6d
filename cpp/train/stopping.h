// Decides after each epoch whether it is the best so far and which criterion of Stop, if any, is met.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "chainrule/training.h"

namespace chainrule {

// True if a value is an improvement over the lowest value before it. If min_delta is negative, it may be higher.
inline bool improves(double value, double lowest, double min_delta) {
  return min_delta == 0 ? value < lowest : value <= lowest - min_delta;
}

// The lowest value of a sequence, and the epochs since the last improvement.
struct Lowest {
  double value = std::numeric_limits<double>::infinity();
  double epochs_since = 0;  // since the last improvement by min_delta
  bool is_last = false;     // true if the last value is the lowest

  void record(double next) {
    is_last = next < value;
    value = std::min(value, next);
  }
  void record(double next, double min_delta) {
    epochs_since = improves(next, value, min_delta) ? 0 : epochs_since + 1;
    record(next);
  }
};

class Stopping {
 public:
  explicit Stopping(const Stop& stop) : stop_(stop) {}

  bool needed() const {
    return stop_.loss_below || stop_.loss_change_below || stop_.gradient_norm_below || stop_.no_improvement ||
           stop_.seconds;
  }
  bool needs_gradient_norm() const { return stop_.gradient_norm_below.has_value(); }
  const Lowest& watched() const { return watched_; }
  const Lowest& cost() const { return cost_; }

  // Records an epoch without validation rows.
  void record(double loss) {
    watched_.record(loss);
    cost_.record(loss);
  }
  // Records an epoch and returns the name of the criterion that is met, or null. watched: see Stop::no_improvement.
  // cost: watched instead if the first metric becomes NaN or infinite. gradient_norm: ignored unless
  // needs_gradient_norm().
  const char* end_epoch(const EpochLog& log, double watched, double cost, double gradient_norm) {
    change_epochs_ = std::abs(log.loss - last_loss_) < stop_.loss_change_below.value_or(0) ? change_epochs_ + 1 : 0;
    last_loss_ = log.loss;
    watched_.record(watched, stop_.min_delta);
    cost_.record(cost, stop_.min_delta);
    if (stop_.loss_below && log.loss < *stop_.loss_below) return "loss_below";
    if (stop_.loss_change_below && change_epochs_ >= stop_.loss_change_epochs) return "loss_change_below";
    if (needs_gradient_norm() && gradient_norm < *stop_.gradient_norm_below) return "gradient_norm_below";
    if (stop_.no_improvement && watched_.epochs_since >= *stop_.no_improvement) return "no_improvement";
    if (stop_.seconds && log.seconds >= *stop_.seconds) return "seconds";
    return nullptr;
  }
  // Watches the cost instead of the first metric, which became NaN or infinite, as if the cost had been watched from
  // the start.
  void watch_cost() {
    watched_ = cost_;
    watches_cost_ = true;
  }
  bool watches_cost() const { return watches_cost_; }
  bool learning_rate_too_low(double learning_rate) const {
    return stop_.learning_rate_below && learning_rate <= *stop_.learning_rate_below;
  }

  std::vector<double> progress() const {
    return {last_loss_,  watched_.value,     change_epochs_,           watched_.epochs_since,
            cost_.value, cost_.epochs_since, watches_cost_ ? 1.0 : 0.0};
  }
  // States from before the first release have only the first four numbers.
  void set_progress(std::span<const double> progress) {
    last_loss_ = progress[0];
    watched_.value = progress[1];
    change_epochs_ = progress[2];
    watched_.epochs_since = progress[3];
    if (progress.size() < 7) return;
    cost_.value = progress[4];
    cost_.epochs_since = progress[5];
    watches_cost_ = progress[6] != 0;
  }

 private:
  Stop stop_;
  double last_loss_ = std::numeric_limits<double>::infinity(), change_epochs_ = 0;
  Lowest watched_, cost_;
  bool watches_cost_ = false;
};

}  // namespace chainrule
