// How a learning rate, a weight decay or a dropout rate changes during training: as a factor on the value that was set.
#pragma once

#include <functional>
#include <optional>
#include <variant>

#include "chainrule/api.h"

namespace chainrule {

// Times are in epochs from 0. Where a length is not given, it is that of the fit that begins a training, which must
// have more than one epoch. A training that goes on beyond the length keeps the factor of the end.
struct StepDecay {  // factor^floor(epoch / every)
  int every = 30;
  double factor = 0.1;
};
struct ExponentialDecay {  // factor^epoch
  double factor = 0.95;
};
struct InverseScaling {  // 1 / (1 + scale epoch)^power
  double power = 0.5;
  double scale = 1;
};
// For each step: a linear rise over `warmup` epochs, then lowest + (1 - lowest)(1 + cos(pi u)) / 2, where u goes
// from 0 to 1 in what is left of `epochs`; or repeatedly, in periods of restart_every epochs, each period_factor
// times as long as the one before (Loshchilov & Hutter 2017).
struct Cosine {
  std::optional<double> epochs{};
  double warmup = 0;
  std::optional<double> restart_every{};
  double period_factor = 1;
  double lowest = 0;
};
// For each step: from start to 1 in the part `warmup` of all steps, then to end, both along a cosine (Smith 2018).
struct OneCycle {
  std::optional<double> epochs{};
  double warmup = 0.3;
  double start = 1.0 / 25, end = 1.0 / 250000;
};
// Times factor, not below lowest, whenever what is watched (see Stop::no_improvement) has not improved by min_delta for
// more than `patience` epochs.
struct ReduceOnPlateau {
  double factor = 0.1;
  int patience = 10;
  double min_delta = 0;
  double lowest = 0;
};
using EpochFactor = std::function<double(int epoch)>;  // 0 or more

using RateSchedule = std::variant<std::monostate, StepDecay, ExponentialDecay, InverseScaling, Cosine, OneCycle,
                                  ReduceOnPlateau, EpochFactor>;

struct RateSchedules {
  RateSchedule learning_rate{}, weight_decay{}, dropout{};
};

// What fit() asks of one: std::invalid_argument says what is out of range.
CHAINRULE_API void check(const RateSchedule&);

}  // namespace chainrule
