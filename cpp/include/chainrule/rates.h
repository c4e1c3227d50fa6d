// Schedules: factors by which the learning rate, the weight decay or the dropout rates are multiplied during training.
#pragma once

#include <functional>
#include <optional>
#include <variant>

#include "chainrule/api.h"
#include "chainrule/settings.h"

namespace chainrule {

// Times are in epochs, counted from 0. If a schedule that needs a length has none, it uses the number of epochs of the
// fit that begins the training, which must be more than one. After that length the factor stays at its last value.
struct StepDecay {  // factor^floor(epoch / every)
  int every = 30;
  double factor = 0.1;

  static constexpr const char* name = "StepDecay";
  template <class Visit>
  static void fields(Visit visit) {
    visit("every", &StepDecay::every, at_least_one, "Epochs between two reductions.");
    visit("factor", &StepDecay::factor, positive, "The factor of each reduction.");
  }
};
struct ExponentialDecay {  // factor^epoch
  double factor = 0.95;

  static constexpr const char* name = "ExponentialDecay";
  template <class Visit>
  static void fields(Visit visit) {
    visit("factor", &ExponentialDecay::factor, positive, "The factor of each epoch.");
  }
};
struct InverseScaling {  // 1 / (1 + scale epoch)^power
  double power = 0.5;
  double scale = 1;

  static constexpr const char* name = "InverseScaling";
  template <class Visit>
  static void fields(Visit visit) {
    visit("power", &InverseScaling::power, finite, "The exponent.");
    visit("scale", &InverseScaling::scale, not_negative, "Multiplies the number of the epoch.");
  }
};
// Changes with every step: a linear rise over `warmup` epochs, then lowest + (1 - lowest)(1 + cos(pi u)) / 2, where u
// goes from 0 to 1 over the rest of `epochs`. With restart_every, u goes from 0 to 1 repeatedly: first over
// restart_every epochs, then over periods that are each period_factor times as long as the one before (Loshchilov &
// Hutter 2017).
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
          "Total length in epochs, including the warm-up. Default: the epochs of the fit that begins the training. "
          "Required, unless ``restart_every`` is set, if that fit has one epoch or a later fit continues beyond its "
          "length.");
    visit("warmup", &Cosine::warmup, not_negative, "Length of the warm-up in epochs; may be a fraction.");
    visit("restart_every", &Cosine::restart_every, positive, "Length of the first period in epochs.");
    visit("period_factor", &Cosine::period_factor, at_least_one,
          "Length of each period as a multiple of the one before.");
    visit("lowest", &Cosine::lowest, zero_to_one, "The factor at the end.");
  }
};
// Changes with every step: follows a cosine from `start` to 1 in the first part of the steps, the fraction `warmup`,
// then a cosine from 1 to `end` (Smith 2018).
struct OneCycle {
  std::optional<double> epochs{};
  double warmup = 0.3;
  double start = 1.0 / 25, end = 1.0 / 250000;

  static constexpr const char* name = "OneCycle";
  template <class Visit>
  static void fields(Visit visit) {
    visit("epochs", &OneCycle::epochs, positive,
          "Total length in epochs. Default: the epochs of the fit that begins the training. Required if that fit has "
          "one epoch or a later fit continues beyond its length.");
    visit("warmup", &OneCycle::warmup, zero_to_one, "The fraction of the steps in which the factor rises.");
    visit("start", &OneCycle::start, not_negative,
          "The factor at the beginning. The default is that of OneCycleLR in "
          "PyTorch.");
    visit("end", &OneCycle::end, not_negative, "The factor at the end. The default is that of OneCycleLR in PyTorch.");
  }
};
// Multiplies the factor by `factor`, but not below `lowest`, whenever the watched value (see Stop::no_improvement) has
// not improved by min_delta for more than `patience` epochs.
struct ReduceOnPlateau {
  double factor = 0.1;
  int patience = 10;
  double min_delta = 0;
  double lowest = 0;

  static constexpr const char* name = "ReduceOnPlateau";
  template <class Visit>
  static void fields(Visit visit) {
    visit("factor", &ReduceOnPlateau::factor, between_zero_and_one, "The factor of each reduction.");
    visit("patience", &ReduceOnPlateau::patience, not_negative,
          "Number of epochs without improvement before a reduction.");
    visit("min_delta", &ReduceOnPlateau::min_delta, anything,
          "How much better than the best epoch so far an epoch must be to count as an improvement.");
    visit("lowest", &ReduceOnPlateau::lowest, zero_to_one, "The lowest factor.");
  }
};
using EpochFactor = std::function<double(int epoch)>;  // must return 0 or more

using RateSchedule = std::variant<std::monostate, StepDecay, ExponentialDecay, InverseScaling, Cosine, OneCycle,
                                  ReduceOnPlateau, EpochFactor>;

struct RateSchedules {
  RateSchedule learning_rate{}, weight_decay{}, dropout{};

  static constexpr const char* name = "schedules";
  template <class Visit>
  static void fields(Visit visit) {
    visit("learning_rate", &RateSchedules::learning_rate, anything, "Schedule of the learning rate.");
    visit("weight_decay", &RateSchedules::weight_decay, anything, "Schedule of the weight decay.");
    visit("dropout", &RateSchedules::dropout, anything, "Schedule of all dropout rates.");
  }
};

// The check that fit() makes. Throws std::invalid_argument if a value is out of range.
CHAINRULE_API void check(const RateSchedule&);

}  // namespace chainrule
