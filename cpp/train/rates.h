// Evaluates the schedules: the factors on learning rate, weight decay and dropout at a step, and the plateaus.
#pragma once

#include <array>
#include <span>
#include <utility>
#include <vector>

#include "chainrule/training.h"

namespace chainrule {

// The name of the first schedule that depends on the length of the training without stating it, or null.
const char* without_length(const RateSchedule& schedule);

// Factors on the settings of one step.
struct Rates {
  double learning_rate = 1, weight_decay = 1, dropout = 1;
};

class ScheduledRates {
 public:
  // epochs: of the whole training, for schedules without a length; steps: per epoch.
  ScheduledRates(const RateSchedules& schedules, int epochs, Index steps);

  bool constant() const;     // all factors are 1 at every step
  bool needs_watch() const;  // a rate is reduced on plateaus
  // The factors of `count` steps from number `first` on (from 0, over all epochs).
  std::span<const Rates> next(Index first, Index count);
  // After an epoch with this watched value (see Stop::no_improvement): true if the learning rate is on a plateau.
  bool plateau(double watched);
  // Then reduces all rates that are on a plateau.
  void reduce();
  // Another value is watched from now on, whose lowest so far is `lowest`: plateaus are counted from here.
  void watch(double lowest);

  std::vector<double> progress() const;
  void set_progress(std::span<const double> progress);

 private:
  struct Plateau {
    double best, factor;
    double epochs;  // without improvement
  };
  double factor(std::size_t which, Index step);
  double asked(std::size_t which, const EpochFactor& function, Index epoch);

  std::array<RateSchedule, 3> schedules_;  // of learning rate, weight decay, dropout
  std::array<Plateau, 3> plateaus_;
  std::array<std::pair<Index, double>, 3> known_;  // the last epoch that a function was called for, and its factor
  double epochs_;
  Index steps_;
  std::vector<Rates> rates_;
};

}  // namespace chainrule
