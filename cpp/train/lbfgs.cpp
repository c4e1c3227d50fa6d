#include "train/lbfgs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/dispatch.h"
#include "train/state.h"

namespace chainrule {
namespace {

// Relative changes of the cost up to this size may be caused by rounding alone.
template <class T>
constexpr double rounding = 16 * static_cast<double>(std::numeric_limits<T>::epsilon());

template <class T>
double dot(const Buffer<T>& x, const Buffer<T>& y) {
  return kernels<T>().dot(x.size(), x.data(), y.data());
}
template <class T>
void add(double factor, const Buffer<T>& x, const Buffer<T>& y) {
  kernels<T>().axpy(x.size(), static_cast<T>(factor), x.data(), y.data());
}
template <class T>
void scale(double factor, const Buffer<T>& x) {
  for (T& value : x) value *= static_cast<T>(factor);
}
template <class T>
double largest(const Buffer<T>& x) {
  double value = 0;
  for (const T element : x) value = std::max(value, std::abs(static_cast<double>(element)));
  return value;
}
template <class T>
double sum_of_magnitudes(const Buffer<T>& x) {
  double sum = 0;
  for (const T element : x) sum += std::abs(static_cast<double>(element));
  return sum;
}

}  // namespace

template <class T>
LbfgsSteps<T>::LbfgsSteps(const Model<T>& model, T* parameters, Index batch_rows, const FitOptions<T>& options)
    : options_(options),
      settings_(std::get<Lbfgs>(options.optimizer)),
      model_(model),
      parameters_(parameters),
      now_{0, 0, 0, Buffer<T>(model.parameter_count())},
      start_(model.parameter_count()),
      direction_(model.parameter_count()),
      last_gradient_(model.parameter_count()) {
  if (options.source)
    source_.emplace(model_, options);
  else
    backprop_.emplace(model_, batch_rows, true, options.threads);
}

template <class T>
bool LbfgsSteps<T>::finite() const {
  return std::isfinite(kernels<T>().sum_of_squares(model_.parameter_count(), parameters_));
}

template <class T>
void LbfgsSteps<T>::load() {
  if (!std::equal(start_.begin(), start_.end(), parameters_)) known_ = false;
  if (backprop_) backprop_->repack();
}

template <class T>
void LbfgsSteps<T>::gradients(T* gradients) const {
  std::copy_n(now_.gradient.data(), now_.gradient.size(), gradients);
}

template <class T>
void LbfgsSteps<T>::evaluate(const Batches<T>& batches, T* gradient, double& cost) {
  ++evaluations_;
  if (source_) {
    const auto size = static_cast<std::size_t>(start_.size());
    const BatchCost computed = source_->run(batches, {parameters_, size}, 1, {gradient, size});
    cost = computed.mean;
    cost_.weight = computed.weight;
    return;
  }
  const Index* rows = batches.rows.empty() ? nullptr : batches.rows.data();
  const double l2 = options_.l2_per_row ? options_.l2 * scale_for(cost_.weight) : options_.l2;
  backprop_->repack();
  cost = backprop_->run(batches.examples, rows, batches.m, l2, {gradient}).mean;
}

// The two-loop recursion: direction = -H gradient, where H approximates the inverse Hessian.
template <class T>
void LbfgsSteps<T>::update_direction() {
  if (iterations_ > 0) {
    Pair pair{Buffer<T>(direction_), Buffer<T>(now_.gradient), 0};
    add(-1, last_gradient_, pair.y);
    scale(length_, pair.s);
    const double ys = dot(pair.y, pair.s);
    if (ys > 1e-10) {
      while (pairs_.size() >= static_cast<std::size_t>(settings_.history)) pairs_.pop_front();
      scale_ = ys / dot(pair.y, pair.y);
      pair.rho = 1 / ys;
      pairs_.push_back(std::move(pair));
    }
  }
  use_steepest_descent();
  std::vector<double> alpha;
  for (auto pair = pairs_.rbegin(); pair != pairs_.rend(); ++pair) {
    alpha.push_back(dot(pair->s, direction_) * pair->rho);
    add(-alpha.back(), pair->y, direction_);
  }
  scale(scale_, direction_);
  for (const Pair& pair : pairs_) {
    const double beta = dot(pair.y, direction_) * pair.rho;
    add(alpha.back() - beta, pair.s, direction_);
    alpha.pop_back();
  }
}

template <class T>
void LbfgsSteps<T>::use_steepest_descent() {
  std::copy_n(now_.gradient.data(), direction_.size(), direction_.data());
  scale(-1, direction_);
}

// The length of the first step, as a multiple of the gradient.
template <class T>
double LbfgsSteps<T>::first_length() const {
  if (!settings_.unit_first_step) return std::min(1.0, 1 / sum_of_magnitudes(now_.gradient));
  return 1 / std::sqrt(kernels<T>().sum_of_squares(now_.gradient.size(), now_.gradient.data()));
}

template <class T>
std::span<const BatchCost> LbfgsSteps<T>::run(const Batches<T>& batches) {
  const Index* rows = batches.rows.empty() ? nullptr : batches.rows.data();
  if (!source_) cost_.weight = weight_sum<T>(batches.examples.targets, batches.examples.weights, rows, batches.m);
  if (!known_) evaluate(batches, now_.gradient.data(), now_.cost);
  known_ = true;
  cost_.mean = now_.cost;
  ended_ = largest(now_.gradient) <= settings_.tolerance_gradient ? "converged" : nullptr;
  if (ended_ != nullptr || !std::isfinite(now_.cost)) return {&cost_, 1};

  update_direction();
  std::copy_n(now_.gradient.data(), last_gradient_.size(), last_gradient_.data());
  std::copy_n(parameters_, start_.size(), start_.data());
  const double before = now_.cost, slope = dot(now_.gradient, direction_);
  if (slope > -settings_.tolerance_change && slope <= settings_.tolerance_change) {
    ended_ = "converged";
    return {&cost_, 1};
  }
  const double tolerance = settings_.tolerance_change;
  double step = slope < 0 ? search(batches, slope, iterations_ == 0 ? first_length() : 1, tolerance) : 0;
  const auto cost_unchanged = [&] { return std::abs(now_.cost - before) < tolerance; };
  const bool settled = step <= tolerance || cost_unchanged();
  // A step that changes the cost by no more than rounding errors does not mean convergence if the slope predicts a
  // larger change and the cost is still steep. The pairs are then unreliable too: drop them and try the negative
  // gradient.
  const bool within_rounding = step <= tolerance || std::abs(now_.cost - before) <= rounding<T> * before;
  const bool imprecise = settled && within_rounding && std::abs(slope) / 2 > tolerance && is_steep(batches);
  if (imprecise && cost_unchanged() && !pairs_.empty()) {
    pairs_.clear();
    scale_ = 1;
    use_steepest_descent();
    search(batches, dot(now_.gradient, direction_), first_length(), 0);
  }
  ++iterations_;
  if (largest(now_.gradient) <= settings_.tolerance_gradient || (settled && !imprecise))
    ended_ = "converged";
  else if (imprecise && cost_unchanged())
    ended_ = "stalled";
  else if (settings_.max_evaluations && evaluations_ >= *settings_.max_evaluations)
    ended_ = "max_evaluations";
  return {&cost_, 1};
}

// True if some derivative times max(1, |parameter|) exceeds a tenth of the cost of a constant prediction. If the
// columns have a spread of about 1, this becomes false long before convergence: in float32, the largest product
// measured at the end was a hundredth of the cost of the constant, but 1 to 1800 times that cost for spreads of 1e4 to
// 1e6.
template <class T>
bool LbfgsSteps<T>::is_steep(const Batches<T>& batches) const {
  if (model_.custom_loss != nullptr || source_) return false;
  double steepest = 0;
  for (Index i = 0; i < start_.size(); ++i) {
    const double size = std::max(1.0, std::abs(static_cast<double>(parameters_[i])));
    steepest = std::max(steepest, std::abs(static_cast<double>(now_.gradient[i])) * size);
  }
  return steepest > 0.1 * cost_of_constant(batches);
}

// The cost of predicting the mean logits for every row.
template <class T>
double LbfgsSteps<T>::cost_of_constant(const Batches<T>& batches) const {
  const Index* rows = batches.rows.empty() ? nullptr : batches.rows.data();
  const Index inputs = model_.inputs(), outputs = model_.outputs(), m = batches.m;
  const Buffer<T> memory(checked_product(m, outputs)), constant(checked_product(inputs + 1, outputs));
  const MatrixView<T> logits(memory.data(), m, outputs);
  Backprop<T> network(model_, m, false, options_.threads);
  network.store_logits(logits);
  network.run(batches.examples, rows, m, 0);
  T* means = constant.data() + inputs * outputs;  // the biases of a layer whose weights are 0
  for (Index j = 0; j < outputs; ++j) {
    double sum = 0;
    for (Index i = 0; i < m; ++i) sum += static_cast<double>(logits(i, j));
    means[j] = static_cast<T>(sum / static_cast<double>(m));
  }
  Model<T> model = model_;
  model.layers = {{inputs, outputs, constant.data(), means, Activation::identity, 0}};
  return Backprop<T>(model, m, false, options_.threads).run(batches.examples, rows, m, 0).mean;
}

// Searches along the direction. slope: the derivative of the cost in the direction. first: the first length to try.
// tolerance: see SearchLimits. Returns the largest change of a parameter.
template <class T>
double LbfgsSteps<T>::search(const Batches<T>& batches, double slope, double first, double tolerance) {
  const auto move_to = [&](double length) {
    std::copy_n(start_.data(), start_.size(), parameters_);
    kernels<T>().axpy(start_.size(), static_cast<T>(length), direction_.data(), parameters_);
  };
  const double size = largest(direction_);
  now_.length = 0;
  now_.slope = slope;
  try {
    now_ = search_line<T>(now_, settings_.learning_rate * first, {tolerance, size}, [&](SearchPoint<T>& point) {
      move_to(point.length);
      point.gradient = Buffer<T>(start_.size());
      evaluate(batches, point.gradient.data(), point.cost);
      point.slope = dot(point.gradient, direction_);
    });
  } catch (...) {
    move_to(0);
    throw;
  }
  length_ = now_.length;
  move_to(length_);
  std::copy_n(parameters_, start_.size(), start_.data());
  return std::abs(length_) * size;
}

template <class T>
void LbfgsSteps<T>::save(FitState<T>& state) {
  const auto save_vector = [&](const std::string& name, const T* array) {
    state.vectors[name].assign(array, array + start_.size());
  };
  save_vector("parameters", parameters_);
  save_vector("gradient", now_.gradient.data());
  save_vector("direction", direction_.data());
  save_vector("last_gradient", last_gradient_.data());
  std::vector<double> numbers{now_.cost, scale_, length_, static_cast<double>(iterations_),
                              static_cast<double>(evaluations_)};
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    save_vector(text_of("s", i), pairs_[i].s.data());
    save_vector(text_of("y", i), pairs_[i].y.data());
    numbers.push_back(pairs_[i].rho);
  }
  state.numbers["lbfgs"] = std::move(numbers);
}

template <class T>
void LbfgsSteps<T>::restore(const FitState<T>& state) {
  const auto restore_vector = [&](const std::string& name, T* array) {
    std::ranges::copy(entry(state.vectors, name), array);
  };
  const std::vector<double>& progress = numbers(state.numbers, "lbfgs", 5);
  pairs_.clear();
  for (std::size_t i = 0; i + 5 < progress.size(); ++i) {
    pairs_.push_back({Buffer<T>(start_.size()), Buffer<T>(start_.size()), progress[i + 5]});
    restore_vector(text_of("s", i), pairs_.back().s.data());
    restore_vector(text_of("y", i), pairs_.back().y.data());
  }
  restore_vector("gradient", now_.gradient.data());
  restore_vector("direction", direction_.data());
  restore_vector("last_gradient", last_gradient_.data());
  restore_vector("parameters", start_.data());
  std::copy_n(start_.data(), start_.size(), parameters_);
  now_.cost = progress[0];
  scale_ = progress[1];
  length_ = progress[2];
  iterations_ = static_cast<Index>(progress[3]);
  evaluations_ = static_cast<Index>(progress[4]);
  known_ = true;
}

template class LbfgsSteps<float>;
template class LbfgsSteps<double>;

}  // namespace chainrule
