#include "train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/dispatch.h"
#include "train/state.h"

namespace chainrule {
namespace {

void check_positive(const char* name, double value) {
  require(value > 0 && std::isfinite(value), name, " is ", value, ", expected a positive number");
}
void check_not_negative(const char* name, double value) {
  require(value >= 0 && std::isfinite(value), name, " is ", value, ", expected 0 or more");
}
void check_fraction(const char* name, double value) {
  require(value >= 0 && value < 1, name, " is ", value, ", expected 0 <= ", name, " < 1");
}

void check_settings(const Sgd& sgd) {
  require(sgd.momentum >= 0 && sgd.momentum <= 1, "momentum is ", sgd.momentum, ", expected 0 <= momentum <= 1");
  require(!sgd.nesterov || sgd.momentum > 0, "nesterov needs a momentum above 0");
  check_not_negative("weight_decay", sgd.weight_decay);
}
void check_settings(const Adam& adam) {
  check_fraction("beta1", adam.beta1);
  check_fraction("beta2", adam.beta2);
  check_not_negative("epsilon", adam.epsilon);
  check_not_negative("weight_decay", adam.weight_decay);
}
void check_settings(const RmsProp& rms) {
  check_fraction("alpha", rms.alpha);
  check_fraction("momentum", rms.momentum);
  check_not_negative("epsilon", rms.epsilon);
  check_not_negative("weight_decay", rms.weight_decay);
}
void check_settings(const Adagrad& adagrad) {
  check_not_negative("learning_rate_decay", adagrad.learning_rate_decay);
  check_not_negative("initial_accumulator", adagrad.initial_accumulator);
  check_not_negative("epsilon", adagrad.epsilon);
  check_not_negative("weight_decay", adagrad.weight_decay);
}
void check_settings(const Lbfgs& lbfgs) {
  require(lbfgs.history >= 1, "history is ", lbfgs.history, ", expected at least 1");
  require(!lbfgs.max_evaluations || *lbfgs.max_evaluations >= 1, "max_evaluations is ",
          lbfgs.max_evaluations.value_or(0), ", expected at least 1");
  check_not_negative("tolerance_gradient", lbfgs.tolerance_gradient);
  check_not_negative("tolerance_change", lbfgs.tolerance_change);
}

}  // namespace

double learning_rate(const OptimizerOptions& options) {
  return std::visit([](const auto& settings) { return settings.learning_rate; }, options);
}

void check(const OptimizerOptions& options) {
  check_positive("learning_rate", learning_rate(options));
  std::visit([](const auto& settings) { check_settings(settings); }, options);
}

void check(const Group& group, Index layers) {
  for (const Index layer : group.layers)
    require(layer >= 0 && layer < layers, "a group names layer ", layer, ", expected 0 to ", layers - 1);
  check_not_negative("the learning_rate of a group", group.learning_rate);
  check_not_negative("the weight_decay of a group", group.weight_decay);
}

template <class T>
Optimizer<T>::Optimizer(const StepOptions& options, Index layers, Index parameters)
    : options_(options.optimizer), average_decay_(options.ema.value_or(0)) {
  const auto array = [parameters](bool wanted) { return wanted ? Buffer<T>(parameters) : Buffer<T>(); };
  if (const Sgd* sgd = std::get_if<Sgd>(&options_)) m_ = array(sgd->momentum > 0);
  if (std::holds_alternative<Adam>(options_)) m_ = array(true), v_ = array(true);
  if (const RmsProp* rms = std::get_if<RmsProp>(&options_))
    m_ = array(rms->momentum > 0), v_ = array(true), mean_ = array(rms->centered);
  if (const Adagrad* adagrad = std::get_if<Adagrad>(&options_)) {
    v_ = array(true);
    std::fill_n(v_.data(), v_.size(), static_cast<T>(adagrad->initial_accumulator));
  }
  average_ = array(options.ema.has_value());
  if (options.groups.empty()) return;
  groups_.resize(static_cast<std::size_t>(2 * layers));
  for (const Group& group : options.groups)
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      const auto layer = static_cast<Index>(i / 2);
      const bool named = group.layers.empty() || std::ranges::find(group.layers, layer) != group.layers.end();
      if (!named || (group.kind && *group.kind != static_cast<Kind>(i % 2))) continue;
      groups_[i].learning_rate *= group.learning_rate;
      groups_[i].weight_decay *= group.weight_decay;
    }
}

template <class T>
T Optimizer<T>::keep(double rate, double weight_decay, const Rates& factors) const {
  return static_cast<T>(1 - rate * weight_decay * factors.weight_decay);
}

template <class T>
SgdUpdate<T> Optimizer<T>::step(const Sgd& o, const Rates& factors) const {
  const double rate = o.learning_rate * factors.learning_rate;
  const bool inside = o.rate_in_velocity && o.momentum > 0;
  return {static_cast<T>(inside ? rate : 1),
          static_cast<T>(inside ? 1 : rate),
          static_cast<T>(o.momentum),
          keep(rate, o.weight_decay, factors),
          o.nesterov,
          steps_ == 1};
}

template <class T>
AdamUpdate<T> Optimizer<T>::step(const Adam& o, const Rates& factors) const {
  const double rate = o.learning_rate * factors.learning_rate;
  const double corrected = 1 - beta1_power_, root = std::sqrt(1 - beta2_power_);
  return {static_cast<T>(rate / corrected * (o.epsilon_hat ? root : 1)),
          static_cast<T>(o.epsilon_hat ? 1 : 1 / root),
          static_cast<T>(1 - o.beta1),
          static_cast<T>(o.beta2),
          static_cast<T>(1 - o.beta2),
          static_cast<T>(o.epsilon),
          keep(rate, o.weight_decay, factors)};
}

template <class T>
RmsPropUpdate<T> Optimizer<T>::step(const RmsProp& o, const Rates& factors) const {
  const double rate = o.learning_rate * factors.learning_rate;
  return {static_cast<T>(rate),      static_cast<T>(o.alpha),    static_cast<T>(1 - o.alpha),
          static_cast<T>(o.epsilon), static_cast<T>(o.momentum), keep(rate, o.weight_decay, factors)};
}

template <class T>
AdagradUpdate<T> Optimizer<T>::step(const Adagrad& o, const Rates& factors) const {
  const double rate = o.learning_rate * factors.learning_rate;
  return {static_cast<T>(rate / (1 + static_cast<double>(steps_ - 1) * o.learning_rate_decay)),
          static_cast<T>(o.epsilon), keep(rate, o.weight_decay, factors)};
}

template <class T>
void Optimizer<T>::advance() {
  ++steps_;
  if (const Adam* adam = std::get_if<Adam>(&options_)) {
    beta1_power_ *= adam->beta1;
    beta2_power_ *= adam->beta2;
  }
}

template <class T>
void Optimizer<T>::begin_step(const Rates& rates) {
  average_rate_ = steps_ == 0 ? T(1) : static_cast<T>(1 - average_decay_);
  advance();
  step_.clear();
  const auto add = [this](const Rates& factors) {
    if (const auto* sgd = std::get_if<Sgd>(&options_)) step_.push_back(step(*sgd, factors));
    if (const auto* adam = std::get_if<Adam>(&options_)) step_.push_back(step(*adam, factors));
    if (const auto* rms = std::get_if<RmsProp>(&options_)) step_.push_back(step(*rms, factors));
    if (const auto* adagrad = std::get_if<Adagrad>(&options_)) step_.push_back(step(*adagrad, factors));
  };
  if (groups_.empty()) add(rates);
  for (const Rates& group : groups_)
    add({rates.learning_rate * group.learning_rate, rates.weight_decay * group.weight_decay});
}

template <class T>
void Optimizer<T>::next_steps(std::span<const Rates> rates, std::vector<SgdUpdate<T>>& sgd,
                              std::vector<AdamUpdate<T>>& adam) {
  sgd.clear();
  adam.clear();
  for (const Rates& factors : rates) {
    advance();
    if (const Sgd* options = std::get_if<Sgd>(&options_))
      sgd.push_back(step(*options, factors));
    else
      adam.push_back(step(std::get<Adam>(options_), factors));
  }
}

template <class T>
Moments<T> Optimizer<T>::moments_from(Index begin) const {
  const auto from = [begin](const Buffer<T>& array) { return array.size() > 0 ? array.data() + begin : nullptr; };
  return {from(m_), from(v_), from(mean_)};
}

template <class T>
void Optimizer<T>::update(std::size_t l, Kind kind, Index begin, Region region, Clip<T> clip, const T* gradients,
                          T* parameters) const {
  const Step& step = step_[groups_.empty() ? 0 : 2 * l + static_cast<std::size_t>(kind)];
  const Kernels<T>& kernel = kernels<T>();
  const auto apply = [&](auto pass, const auto& update) {
    pass(region, update, clip, gradients, moments_from(begin), parameters + begin);
  };
  if (const auto* sgd = std::get_if<SgdUpdate<T>>(&step)) apply(kernel.sgd, *sgd);
  if (const auto* adam = std::get_if<AdamUpdate<T>>(&step)) apply(kernel.adam, *adam);
  if (const auto* rms = std::get_if<RmsPropUpdate<T>>(&step)) apply(kernel.rmsprop, *rms);
  if (const auto* adagrad = std::get_if<AdagradUpdate<T>>(&step)) apply(kernel.adagrad, *adagrad);
  region.gradient_stride = region.stride;
  if (average_.size() > 0) kernel.average(region, average_rate_, parameters + begin, average_.data() + begin);
}

template <class T>
void Optimizer<T>::save(FitState<T>& state, Index count, const Copy& flatten, const T* parameters) const {
  const auto save_array = [&](const char* name, const T* array) {
    std::vector<T>& flat = state.vectors[name];
    flat.resize(static_cast<std::size_t>(count));
    flatten(array, flat.data());
  };
  save_array("parameters", parameters);
  for (const auto& [name, array] : arrays())
    if (array->size() > 0) save_array(name, array->data());
  const auto kind = static_cast<double>(options_.index());
  state.numbers["optimizer"] = {static_cast<double>(steps_), beta1_power_, beta2_power_, kind};
}

template <class T>
void Optimizer<T>::restore(const FitState<T>& state, const Copy& unflatten, T* parameters) {
  const std::vector<double>& progress = numbers(state.numbers, "optimizer", 4);
  require(progress[3] == static_cast<double>(options_.index()), "the state to go on from is of another optimizer");
  for (const auto& [name, array] : arrays())
    if (array->size() > 0) unflatten(entry(state.vectors, name).data(), array->data());
  unflatten(entry(state.vectors, "parameters").data(), parameters);
  steps_ = static_cast<Index>(progress[0]);
  beta1_power_ = progress[1];
  beta2_power_ = progress[2];
}

template class Optimizer<float>;
template class Optimizer<double>;

}  // namespace chainrule
