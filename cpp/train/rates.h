// Evaluates the schedules: the factors of the learning rate, the weight decay and the dropout rates at each step.
#pragma once

#include <array>
#include <span>
#include <utility>
#include <vector>

#include "chainrule/training.h"

namespace chainrule {

// The name of the schedule if it depends on the length of the training but does not set it; otherwise null.
const char* without_length(const RateSchedule& schedule);

// The factors by which the settings are multiplied in one step.
struct Rates {
  double learning_rate = 1, weight_decay = 1, dropout = 1;
};

class ScheduledRates {
 public:
  // epochs: length of the whole training, used by schedules that have no length. steps: steps per epoch.
  ScheduledRates(const RateSchedules& schedules, int epochs, Index steps);

  bool constant() const;     // true if all factors are 1 at every step
  bool needs_watch() const;  // true if a schedule is ReduceOnPlateau
  // The factors of `count` steps from step `first` on. Steps are counted from 0, over all epochs.
  std::span<const Rates> next(Index first, Index count);
  // Records the watched value of an epoch (see Stop::no_improvement). Returns true if the learning rate is on a
  // plateau.
  bool plateau(double watched);
  // Reduces all rates that are on a plateau.
  void reduce();
  // Switches to another watched value, whose lowest value so far is `lowest`, and restarts the counts of epochs without
  // improvement.
  void watch(double lowest);

  std::vector<double> progress() const;
  void set_progress(std::span<const double> progress);

 private:
  struct Plateau {
    double best, factor;
    double epochs;  // since the last improvement
  };
  double factor(std::size_t which, Index step);
  double cached_factor(std::size_t which, const EpochFactor& function, Index epoch);

  std::array<RateSchedule, 3> schedules_;  // of learning rate, weight decay, dropout
  std::array<Plateau, 3> plateaus_;
  std::array<std::pair<Index, double>, 3> known_;  // the last epoch for which a function was called, and its factor
  double epochs_;
  Index steps_;
  std::vector<Rates> rates_;
};

}  // namespace chainrule
