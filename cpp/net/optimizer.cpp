#include "net/optimizer.h"

#include <cmath>

#include "core/check.h"
#include "core/dispatch.h"

namespace chainrule {
namespace {

void check_rate(double learning_rate) {
  require(learning_rate > 0 && std::isfinite(learning_rate), "learning_rate is ", learning_rate,
          ", expected a positive number");
}
void check_fraction(const char* name, double value) {
  require(value >= 0 && value < 1, name, " is ", value, ", expected 0 <= ", name, " < 1");
}

void check_settings(const Sgd& sgd) {
  check_rate(sgd.learning_rate);
  check_fraction("momentum", sgd.momentum);
  require(!sgd.nesterov || sgd.momentum > 0, "nesterov needs a momentum above 0");
}
void check_settings(const Adam& adam) {
  check_rate(adam.learning_rate);
  check_fraction("beta1", adam.beta1);
  check_fraction("beta2", adam.beta2);
  require(adam.epsilon >= 0 && std::isfinite(adam.epsilon), "epsilon is ", adam.epsilon, ", expected 0 or more");
}

}  // namespace

void check(const OptimizerOptions& options) {
  std::visit([](const auto& settings) { check_settings(settings); }, options);
}

template <class T>
Optimizer<T>::Optimizer(const OptimizerOptions& options, Index parameters) : options_(options) {
  const Sgd* sgd = std::get_if<Sgd>(&options);
  if (sgd == nullptr || sgd->momentum > 0) m_ = Buffer<T>(parameters);
  if (sgd == nullptr) v_ = Buffer<T>(parameters);
}

template <class T>
void Optimizer<T>::begin_step() {
  if (const Sgd* sgd = std::get_if<Sgd>(&options_)) {
    step_ = SgdUpdate<T>{static_cast<T>(sgd->learning_rate), static_cast<T>(sgd->momentum), sgd->nesterov, first_};
  } else {
    const Adam& adam = std::get<Adam>(options_);
    beta1_power_ *= adam.beta1;
    beta2_power_ *= adam.beta2;
    step_ = AdamUpdate<T>{static_cast<T>(adam.learning_rate / (1 - beta1_power_)),
                          static_cast<T>(1 / std::sqrt(1 - beta2_power_)),
                          static_cast<T>(1 - adam.beta1),
                          static_cast<T>(adam.beta2),
                          static_cast<T>(1 - adam.beta2),
                          static_cast<T>(adam.epsilon)};
  }
  first_ = false;
}

template <class T>
void Optimizer<T>::next_steps(Index count, std::vector<SgdUpdate<T>>& sgd, std::vector<AdamUpdate<T>>& adam) {
  sgd.clear();
  adam.clear();
  for (Index i = 0; i < count; ++i) {
    begin_step();
    if (const auto* step = std::get_if<SgdUpdate<T>>(&step_))
      sgd.push_back(*step);
    else
      adam.push_back(std::get<AdamUpdate<T>>(step_));
  }
}

template <class T>
void Optimizer<T>::update(Index begin, Region region, const T* gradients, T* parameters) const {
  T* m = m_.size() > 0 ? m_.data() + begin : nullptr;
  if (const auto* sgd = std::get_if<SgdUpdate<T>>(&step_))
    kernels<T>().sgd(region, *sgd, gradients + begin, m, parameters + begin);
  else
    kernels<T>().adam(region, std::get<AdamUpdate<T>>(step_), gradients + begin, m, v_.data() + begin,
                      parameters + begin);
}

template class Optimizer<float>;
template class Optimizer<double>;

}  // namespace chainrule
