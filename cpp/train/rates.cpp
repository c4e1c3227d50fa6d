#include "train/rates.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "core/check.h"
#include "core/dispatch.h"
#include "train/stopping.h"

namespace chainrule {
namespace {

// Uses multiplication and the kernels' functions, because those of C libraries differ.
double power(double base, Index exponent) {
  double result = 1;
  for (; exponent > 0; exponent /= 2, base *= base)
    if (exponent % 2 == 1) result *= base;
  return result;
}
double elementary(void (*function)(Index, const double*, double*), double x) {
  double y = 0;
  function(1, &x, &y);
  return y;
}

// Interpolates from a to b along half a period of a cosine, for u from 0 to 1.
double along_cosine(double a, double b, double u) {
  const double cosine = elementary(kernels<double>().cos, std::numbers::pi * std::clamp(u, 0.0, 1.0));
  return b + (a - b) * (1 + cosine) / 2;
}

struct Time {
  Index step, steps;  // number of the step, and steps per epoch
  double epochs;      // length of the whole training

  Index epoch() const { return step / steps; }
  double now() const { return static_cast<double>(step) / static_cast<double>(steps); }
};

double factor_at(std::monostate, const Time&) { return 1; }
double factor_at(const StepDecay& s, const Time& t) { return power(s.factor, t.epoch() / s.every); }
double factor_at(const ExponentialDecay& s, const Time& t) { return power(s.factor, t.epoch()); }
double factor_at(const InverseScaling& s, const Time& t) {
  const Kernels<double>& kernel = kernels<double>();
  return elementary(kernel.exp, -s.power * elementary(kernel.log, 1 + s.scale * static_cast<double>(t.epoch())));
}
double factor_at(const Cosine& s, const Time& t) {
  const double step_length = 1 / static_cast<double>(t.steps);
  if (t.now() < s.warmup) return std::min(1.0, (t.now() + step_length) / s.warmup);
  double time = t.now() - s.warmup, period = s.epochs.value_or(t.epochs) - s.warmup;
  if (s.restart_every) {
    period = *s.restart_every;
    if (s.period_factor == 1) time = std::fmod(time, period);
    while (time >= period) time -= period, period *= s.period_factor;
  }
  return along_cosine(1, s.lowest, period > 0 ? time / period : 1);
}
double factor_at(const OneCycle& s, const Time& t) {
  const double all = s.epochs.value_or(t.epochs) * static_cast<double>(t.steps), step = static_cast<double>(t.step);
  const double top = s.warmup * all - 1, last = all - 1;
  if (step <= top) return along_cosine(s.start, 1, top > 0 ? step / top : 1);
  return along_cosine(1, s.end, last > top ? (step - top) / (last - top) : 1);
}

}  // namespace

void check(const RateSchedule& schedule) {
  std::visit(
      [](const auto& settings) {
        using Settings = std::decay_t<decltype(settings)>;
        if constexpr (std::is_same_v<Settings, EpochFactor>)
          require(settings != nullptr, "a schedule has no function");
        else if constexpr (!std::is_same_v<Settings, std::monostate>)
          check_fields(settings, " of a schedule");
      },
      schedule);
}

const char* without_length(const RateSchedule& schedule) {
  const auto* cosine = std::get_if<Cosine>(&schedule);
  if (cosine != nullptr && !cosine->epochs && !cosine->restart_every) return "Cosine";
  const auto* cycle = std::get_if<OneCycle>(&schedule);
  return cycle != nullptr && !cycle->epochs ? "OneCycle" : nullptr;
}

ScheduledRates::ScheduledRates(const RateSchedules& schedules, int epochs, Index steps)
    : schedules_{schedules.learning_rate, schedules.weight_decay, schedules.dropout}, epochs_(epochs), steps_(steps) {
  plateaus_.fill({std::numeric_limits<double>::infinity(), 1, 0});
  known_.fill({-1, 1});
}

bool ScheduledRates::constant() const {
  return std::ranges::all_of(schedules_, [](const auto& s) { return std::holds_alternative<std::monostate>(s); });
}
bool ScheduledRates::needs_watch() const {
  return std::ranges::any_of(schedules_, [](const auto& s) { return std::holds_alternative<ReduceOnPlateau>(s); });
}

double ScheduledRates::factor(std::size_t which, Index step) {
  return std::visit(
      [&](const auto& settings) {
        using Settings = std::decay_t<decltype(settings)>;
        if constexpr (std::is_same_v<Settings, ReduceOnPlateau>)
          return plateaus_[which].factor;
        else if constexpr (std::is_same_v<Settings, EpochFactor>)
          return cached_factor(which, settings, step / steps_);
        else
          return factor_at(settings, Time{step, steps_, epochs_});
      },
      schedules_[which]);
}

// Calls the function only once per epoch, because it may be slow.
double ScheduledRates::cached_factor(std::size_t which, const EpochFactor& function, Index epoch) {
  auto& [known_epoch, factor] = known_[which];
  if (known_epoch == epoch) return factor;
  factor = function(static_cast<int>(epoch));
  require(factor >= 0 && std::isfinite(factor), "a schedule returned the factor ", factor, " for epoch ", epoch,
          ", expected 0 or more");
  known_epoch = epoch;
  return factor;
}

std::span<const Rates> ScheduledRates::next(Index first, Index count) {
  if (constant()) {
    if (rates_.size() < static_cast<std::size_t>(count)) rates_.resize(static_cast<std::size_t>(count));
    return std::span(rates_).first(static_cast<std::size_t>(count));
  }
  rates_.clear();
  for (Index step = first; step < first + count; ++step)
    rates_.push_back({factor(0, step), factor(1, step), factor(2, step)});
  return rates_;
}

bool ScheduledRates::plateau(double watched) {
  bool found = false;
  for (std::size_t which = 0; which < schedules_.size(); ++which) {
    const auto* schedule = std::get_if<ReduceOnPlateau>(&schedules_[which]);
    if (schedule == nullptr) continue;
    Plateau& plateau = plateaus_[which];
    plateau.epochs = improves(watched, plateau.best, schedule->min_delta) ? 0 : plateau.epochs + 1;
    plateau.best = std::min(plateau.best, watched);
    if (which == 0) found = plateau.epochs > schedule->patience;
  }
  return found;
}

void ScheduledRates::reduce() {
  for (std::size_t which = 0; which < schedules_.size(); ++which) {
    const auto* schedule = std::get_if<ReduceOnPlateau>(&schedules_[which]);
    if (schedule == nullptr || plateaus_[which].epochs <= schedule->patience) continue;
    Plateau& plateau = plateaus_[which];
    plateau.factor = std::max(plateau.factor * schedule->factor, schedule->lowest);
    plateau.epochs = 0;
  }
}

void ScheduledRates::watch(double lowest) {
  for (Plateau& plateau : plateaus_) {
    plateau.best = lowest;
    plateau.epochs = 0;
  }
}

std::vector<double> ScheduledRates::progress() const {
  std::vector<double> progress{epochs_};
  for (const Plateau& plateau : plateaus_)
    progress.insert(progress.end(), {plateau.best, plateau.factor, plateau.epochs});
  return progress;
}

void ScheduledRates::set_progress(std::span<const double> progress) {
  epochs_ = progress[0];
  for (std::size_t i = 0; i < plateaus_.size(); ++i)
    plateaus_[i] = {progress[1 + 3 * i], progress[2 + 3 * i], progress[3 + 3 * i]};
}

}  // namespace chainrule
