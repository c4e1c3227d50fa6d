#include "train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/dispatch.h"
#include "train/state.h"

namespace chainrule {
namespace {

// Calls visit(settings, pass) with the settings and the pass of the optimizer. Does nothing for L-BFGS, which is not a
// pass over the parameters.
template <class T, class Visit>
void with_pass(const OptimizerOptions& options, Visit visit) {
  const auto visit_pass = [&]<class Settings>(const Settings& settings) {
    if constexpr (!std::is_same_v<Settings, Lbfgs>) {
      const OptimizerPass<T, Settings>& pass = kernels<T>().optimizers;
      visit(settings, pass);
    }
  };
  std::visit(visit_pass, options);
}

}  // namespace

double learning_rate(const OptimizerOptions& options) {
  return std::visit([](const auto& settings) { return settings.learning_rate; }, options);
}

void check(const OptimizerOptions& options) {
  std::visit([](const auto& settings) { check_fields(settings); }, options);
  const Sgd* sgd = std::get_if<Sgd>(&options);
  require(sgd == nullptr || !sgd->nesterov || sgd->momentum > 0, "nesterov needs a momentum above 0");
}

void check(const Group& group, Index layers) {
  for (const Index layer : group.layers)
    require(layer >= 0 && layer < layers, "a group contains layer ", layer, ", expected 0 to ", layers - 1);
  check_fields(group, " of a group");
}

template <class T>
bool averages(const OptimizerOptions& options) {
  bool own = false;
  with_pass<T>(options, [&](const auto& settings, const auto& pass) { own = pass.arrays(settings).averages; });
  return own;
}

template <class T>
bool ends_with_average(const FitOptions<T>& options) {
  return options.ema || averages<T>(options.optimizer);
}

template <class T>
Optimizer<T>::Optimizer(const FitOptions<T>& options, Index layers, Index parameters)
    : options_(options.optimizer), average_decay_(options.ema.value_or(0)) {
  const auto array = [parameters](bool wanted) { return wanted ? Buffer<T>(parameters) : Buffer<T>(); };
  with_pass<T>(options_, [&](const auto& settings, const auto& pass) {
    const Arrays arrays = pass.arrays(settings);
    m_ = array(arrays.m), v_ = array(arrays.v), mean_ = array(arrays.mean);
    std::fill_n(v_.data(), v_.size(), static_cast<T>(arrays.v_start));
    averages_ = arrays.averages;
  });
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
void Optimizer<T>::begin_step(const Rates& rates) {
  average_rate_ = progress_.steps == 0 ? T(1) : static_cast<T>(1 - average_decay_);
  next_steps({&rates, 1});
  if (groups_.empty()) return;
  updates_.clear();
  with_pass<T>(options_, [&](const auto& settings, const auto& pass) {
    for (const Rates& group : groups_)
      updates_.push_back(pass.update(settings, progress_, rates.learning_rate * group.learning_rate,
                                     rates.weight_decay * group.weight_decay));
  });
}

template <class T>
std::span<const Update<T>> Optimizer<T>::next_steps(std::span<const Rates> rates) {
  updates_.resize(rates.size());
  with_pass<T>(options_, [&](const auto& settings, const auto& pass) {
    // Constructed in place: when GCC optimizes for size, a copy is a slow string instruction.
    for (std::size_t i = 0; i < rates.size(); ++i)
      new (&updates_[i]) Update<T>(pass.begin(settings, progress_, rates[i].learning_rate, rates[i].weight_decay));
  });
  return updates_;
}

template <class T>
Moments<T> Optimizer<T>::moments_from(Index begin) const {
  const auto from = [begin](const Buffer<T>& array) { return array.size() > 0 ? array.data() + begin : nullptr; };
  return {from(m_), from(v_), from(mean_)};
}

template <class T>
void Optimizer<T>::update(std::size_t l, Kind kind, Index begin, Region region, Clip<T> clip, const T* gradients,
                          T* parameters) const {
  // A contiguous region is updated in parts, so that the average reads each from the first-level cache.
  constexpr Index part = 1024;
  if (average_.size() > 0 && region.m == 1 && region.n > part) {
    for (Index at = 0; at < region.n; at += part)
      update(l, kind, begin + at, {std::min(part, region.n - at)}, clip, gradients + at, parameters);
    return;
  }
  const Update<T>& settings = updates_[groups_.empty() ? 0 : 2 * l + static_cast<std::size_t>(kind)];
  with_pass<T>(options_, [&](const auto&, const auto& pass) {
    pass.apply(region, settings, clip, gradients, moments_from(begin), parameters + begin);
  });
  region.gradient_stride = region.stride;
  if (average_.size() > 0) kernels<T>().average(region, average_rate_, parameters + begin, average_.data() + begin);
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
  state.numbers["optimizer"] = {static_cast<double>(progress_.steps), progress_.first, progress_.second, kind};
}

template <class T>
void Optimizer<T>::restore(const FitState<T>& state, const Copy& unflatten, T* parameters) {
  const std::vector<double>& progress = numbers(state.numbers, "optimizer", 4);
  require(progress[3] == static_cast<double>(options_.index()), "the state to resume belongs to another optimizer");
  for (const auto& [name, array] : arrays())
    if (array->size() > 0) unflatten(entry(state.vectors, name).data(), array->data());
  unflatten(entry(state.vectors, "parameters").data(), parameters);
  progress_ = {static_cast<Index>(progress[0]), progress[1], progress[2]};
}

template bool averages<float>(const OptimizerOptions&);
template bool averages<double>(const OptimizerOptions&);
template bool ends_with_average(const FitOptions<float>&);
template bool ends_with_average(const FitOptions<double>&);
template class Optimizer<float>;
template class Optimizer<double>;

}  // namespace chainrule
