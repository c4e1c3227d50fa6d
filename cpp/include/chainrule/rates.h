// How a learning rate, a weight decay or a dropout rate changes during training: as a factor on the value that was set.
#pragma once

#include <functional>
#include <optional>
#include <variant>

#include "chainrule/api.h"
#include "chainrule/settings.h"

namespace chainrule {

// Times are in epochs from 0. A schedule without a length takes that of the fit that begins the training, which must
// have more than one epoch. A training that goes on beyond the length keeps the last factor.
struct StepDecay {  // factor^floor(epoch / every)
  int every = 30;
  double factor = 0.1;

  static constexpr const char* name = "StepDecay";
  template <class Visit>
  static void fields(Visit visit) {
    visit("every", &StepDecay::every, at_least_one, "Epochs between two reductions.");
    visit("factor", &StepDecay::factor, positive, "What each of them multiplies by.");
  }
};
struct ExponentialDecay {  // factor^epoch
  double factor = 0.95;

  static constexpr const char* name = "ExponentialDecay";
  template <class Visit>
  static void fields(Visit visit) {
    visit("factor", &ExponentialDecay::factor, positive, "What each epoch multiplies by.");
  }
};
struct InverseScaling {  // 1 / (1 + scale epoch)^power
  double power = 0.5;
  double scale = 1;

  static constexpr const char* name = "InverseScaling";
  template <class Visit>
  static void fields(Visit visit) {
    visit("power", &InverseScaling::power, finite, "The exponent.");
    visit("scale", &InverseScaling::scale, not_negative, "What multiplies the number of the epoch.");
  }
};
// Per step: a linear rise over `warmup` epochs, then lowest + (1 - lowest)(1 + cos(pi u)) / 2, where u goes from 0 to 1
// in the rest of `epochs`; or repeatedly, in periods of restart_every epochs, each period_factor times as long as the
// one before (Loshchilov & Hutter 2017).
struct Cosine {
  std::optional<double> epochs{};
  double warmup = 0;
  std::optional<double> restart_every{};
  double period_factor = 1;
  double lowest = 0;

  static constexpr const char* name = "Cosine";
  template <class Visit>
  static void fields(Visit visit) {
    visit("epochs", &Cosine::epochs, positive,
          "Length of all, the warm-up included. Default: that of the fit that begins the training. A fit of one epoch, "
          "or one that goes on beyond that length, must be given it, unless there is ``restart_every``.");
    visit("warmup", &Cosine::warmup, not_negative, "Epochs, or parts of one.");
    visit("restart_every", &Cosine::restart_every, positive, "Epochs of the first period.");
    visit("period_factor", &Cosine::period_factor, at_least_one, "Length of a period as a multiple of the one before.");
    visit("lowest", &Cosine::lowest, zero_to_one, "The factor at the end.");
  }
};
// Per step: along a cosine from start to 1 in the part `warmup` of all steps, then to end (Smith 2018).
struct OneCycle {
  std::optional<double> epochs{};
  double warmup = 0.3;
  double start = 1.0 / 25, end = 1.0 / 250000;

  static constexpr const char* name = "OneCycle";
  template <class Visit>
  static void fields(Visit visit) {
    visit("epochs", &OneCycle::epochs, positive,
          "Length of all. Default: that of the fit that begins the training. A fit of one epoch, or one that goes on "
          "beyond that length, must be given it.");
    visit("warmup", &OneCycle::warmup, zero_to_one, "The part of the steps that rise.");
    visit("start", &OneCycle::start, not_negative, "The factor at the beginning, as torch's OneCycleLR has it.");
    visit("end", &OneCycle::end, not_negative, "The factor at the end, as torch's OneCycleLR has it.");
  }
};
// Multiplied by factor, but not below lowest, whenever the watched value (see Stop::no_improvement) has not improved by
// min_delta for more than `patience` epochs.
struct ReduceOnPlateau {
  double factor = 0.1;
  int patience = 10;
  double min_delta = 0;
  double lowest = 0;

  static constexpr const char* name = "ReduceOnPlateau";
  template <class Visit>
  static void fields(Visit visit) {
    visit("factor", &ReduceOnPlateau::factor, between_zero_and_one, "What each reduction multiplies by.");
    visit("patience", &ReduceOnPlateau::patience, not_negative, "Epochs without improvement that are allowed.");
    visit("min_delta", &ReduceOnPlateau::min_delta, anything,
          "By how much an epoch must be better than the best so far to count.");
    visit("lowest", &ReduceOnPlateau::lowest, zero_to_one, "The factor is not reduced below.");
  }
};
using EpochFactor = std::function<double(int epoch)>;  // 0 or more

using RateSchedule = std::variant<std::monostate, StepDecay, ExponentialDecay, InverseScaling, Cosine, OneCycle,
                                  ReduceOnPlateau, EpochFactor>;

struct RateSchedules {
  RateSchedule learning_rate{}, weight_decay{}, dropout{};

  static constexpr const char* name = "schedules";
  template <class Visit>
  static void fields(Visit visit) {
    visit("learning_rate", &RateSchedules::learning_rate, anything, "Of the learning rate.");
    visit("weight_decay", &RateSchedules::weight_decay, anything, "Of the weight decay.");
    visit("dropout", &RateSchedules::dropout, anything, "Of all dropout rates.");
  }
};

// The check that fit() makes: std::invalid_argument says what is out of range.
CHAINRULE_API void check(const RateSchedule&);

}  // namespace chainrule
