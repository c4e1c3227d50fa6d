#include "train/trainer.h"

#include <array>
#include <chrono>
#include <utility>

#include "core/check.h"
#include "core/poll.h"
#include "net/network.h"
#include "train/evaluation.h"
#include "train/metrics.h"
#include "train/optimizer.h"
#include "train/order.h"
#include "train/rates.h"
#include "train/row_major.h"
#include "train/state.h"
#include "train/stepper.h"
#include "train/stopping.h"

namespace chainrule {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Reserves memory for `count` more values before a step, so that recording the step cannot run out of memory.
void make_room(std::vector<double>& values, std::size_t count) {
  if (values.capacity() - values.size() < count) values.reserve(std::max(values.size() + count, 2 * values.size()));
}

template <class T>
class Fit {
 public:
  Fit(Network<T>& network, const Examples<T>& examples, FitOptions<T> options)
      : network_(network),
        examples_(examples),
        options_(std::move(options)),
        model_(checked_model(network, examples, options_)),
        rows_(row_count(examples, options_.rows)),
        batch_size_(std::min(options_.batch_size.value_or(rows_), rows_)),
        stepper_(make_stepper(model_, network.parameters().data(), batch_size_, options_)),
        steps_((rows_ + batch_size_ - 1) / batch_size_),
        rates_(options_.schedules, options_.epochs, steps_),
        seed_(options_.seed),
        stopping_(options_.stop),
        order_(batch_size_ < rows_ ? options_.shuffle : false, options_.rows, examples.x.rows,
               static_cast<bool>(options_.custom_loss)) {
    copies_.use(examples_, options_);
    if (options_.validation) evaluation_.emplace(model_for(network_, options_.validation->x), options_);
    if (stepper_->in_place() || evaluation_) last_finite_ = Buffer<T>(model_.parameter_count());
    if (options_.state != nullptr && options_.state->epoch > 0) resume(*options_.state);
  }

  // Trains for some more epochs and extends the history, which is valid at any time, even after an exception.
  void run(History& history, int epochs) {
    options_.epochs = history.epochs + epochs;
    if (history.stop_reason == "epochs") history.stop_reason.clear();
    try {
      loop(history);
      if (options_.state != nullptr) save();
      restore_best();
    } catch (...) {
      restore_best();
      throw;
    }
  }

 private:
  // The best epoch: its number in the whole training and in this fit (0: no epoch yet), and its parameters if stored.
  struct Best {
    int epoch = 0, in_history = 0;
    Buffer<T> parameters;
  };
  std::array<std::pair<const char*, Best*>, 2> bests() {
    return {{{"best", &best_}, {"best_by_cost", &best_by_cost_}}};
  }

  void loop(History& history) {
    history.metrics.resize(options_.metrics.size());
    history.watched = watches_metric() ? "metric" : evaluation_ ? "validation" : "loss";
    start_ = Clock::now() - std::chrono::round<Clock::duration>(std::chrono::duration<double>(history.seconds));
    back_up_parameters();
    while (history.stop_reason.empty()) {
      make_room(history);
      if (epochs_are_steps()) {
        store_on_exception([&] { full_batches(history); });
        continue;
      }
      ++epoch_;
      const bool another = history.epochs + 1 < options_.epochs;
      EpochLog log{epoch_, store_on_exception([&] { return epoch(another); }), {}, {}, 0, 0};
      store();
      if (evaluation_) evaluate(log, history, another);
      back_up_parameters();
      ++history.epochs;
      history.loss.push_back(log.loss);
      history.learning_rate.push_back(log.learning_rate = learning_rate_);
      log.seconds = history.seconds = seconds_since(start_);
      const char* reason = decide(log, history);
      if (options_.on_epoch_end) {
        const auto reload = [this] {  // needed because on_epoch_end may have changed the parameters
          if (!ends_with_average(options_)) stepper_->load();
        };
        const auto snapshot = [&] {
          reload();
          save();
        };
        if (options_.on_epoch_end(log, snapshot)) reason = "callback";
        reload();
        back_up_parameters();
      }
      if (reason == nullptr && history.epochs == options_.epochs) reason = "epochs";
      if (reason != nullptr) history.stop_reason = reason;
    }
  }

  void make_room(History& history) const {
    const auto count = static_cast<std::size_t>(epochs_are_steps() ? stepper_->steps_at_once() : 1);
    chainrule::make_room(history.loss, count);
    chainrule::make_room(history.learning_rate, count);
    if (!evaluation_) return;
    chainrule::make_room(history.validation, count);
    for (std::vector<double>& values : history.metrics) chainrule::make_room(values, count);
  }

  void evaluate(EpochLog& log, History& history, bool another) {
    if (shares_reader()) examples_.x.reader->expect(another ? order_.next_epoch() : -1);
    evaluation_->run();
    if (!std::isfinite(evaluation_->cost())) diverged("the validation cost");
    log.validation = evaluation_->cost();
    log.metrics = evaluation_->metrics();
    history.validation.push_back(*log.validation);
    for (std::size_t i = 0; i < log.metrics.size(); ++i) history.metrics[i].push_back(log.metrics[i]);
  }

  // The reason to stop after an epoch, or null.
  const char* decide(const EpochLog& log, History& history) {
    const double cost = log.validation.value_or(log.loss);
    double watched = cost;
    if (watches_metric()) {
      const Metric<T>& first = options_.metrics.front();
      const bool more = first.function ? first.more_is_better : traits_of(first.score).more_is_better;
      watched = more ? -log.metrics.front() : log.metrics.front();
      if (!std::isfinite(watched)) {
        watch_cost(history);
        watched = cost;
      }
    }
    const char* reason = stopping_.end_epoch(log, watched, cost, stopping_.needs_gradient_norm() ? gradient_norm() : 0);
    if (stopping_.watched().is_last) store_best(best_, history);
    if (watches_metric() && stopping_.cost().is_last) store_best(best_by_cost_, history);
    history.best_epoch = best_.in_history;
    if (rates_.plateau(watched) && stopping_.learning_rate_too_low(learning_rate_) && reason == nullptr)
      reason = "learning_rate_below";
    rates_.reduce();
    return reason != nullptr ? reason : stepper_->converged();
  }

  bool watches_metric() const { return !options_.metrics.empty() && !stopping_.watches_cost(); }
  void watch_cost(History& history) {
    stopping_.watch_cost();
    rates_.watch(stopping_.cost().value);
    best_ = std::exchange(best_by_cost_, {});
    history.watched = "validation";
  }

  // Calls steps(). After an exception (from a user's function or an interrupt), stores the parameters reached so far in
  // the network.
  template <class Steps>
  auto store_on_exception(Steps steps) {
    try {
      return steps();
    } catch (const DivergenceError&) {
      throw;
    } catch (...) {
      stepper_->store();
      throw;
    }
  }

  // True if each epoch is a single step and nothing has to be done between epochs.
  bool epochs_are_steps() const {
    return steps_ == 1 && !evaluation_ && !options_.on_epoch_end && !stopping_.needed() && !rates_.needs_watch() &&
           !std::holds_alternative<Lbfgs>(options_.optimizer);
  }
  void full_batches(History& history) {
    const Index steps = std::min<Index>(stepper_->steps_at_once(), options_.epochs - history.epochs);
    const std::span<const Rates> rates = rates_.next(epoch_, steps);
    const double rate = learning_rate(options_.optimizer);
    if (examples_.x.reader != nullptr) examples_.x.reader->expect(history.epochs + steps < options_.epochs ? 0 : -1);
    const std::span<const BatchCost> costs =
        stepper_->run({examples_, order_.at(0, rows_).rows, 0, rows_, 0, rates, epoch_, seed_});
    const auto resize = [&history](std::size_t epochs) {
      history.loss.resize(epochs);
      history.learning_rate.resize(epochs);
    };
    auto at = static_cast<std::size_t>(history.epochs);
    resize(at + costs.size());  // faster than adding the elements one by one
    for (const Rates* factors = rates.data(); const BatchCost& cost : costs) {
      ++epoch_;
      if (!std::isfinite(cost.mean)) {
        resize(at);
        diverged("the cost");
      }
      ++history.epochs;
      history.loss[at] = cost.mean;
      history.learning_rate[at++] = rate * factors++->learning_rate;
      stopping_.record(cost.mean);
      if (stopping_.watched().is_last) history.best_epoch = history.epochs;
    }
    store();
    back_up_parameters();
    history.seconds = seconds_since(start_);
    if (history.epochs == options_.epochs) history.stop_reason = "epochs";
    poll();
  }

  double gradient_norm() {
    if (gradients_.size() == 0) gradients_ = Buffer<T>(model_.parameter_count());
    stepper_->gradients(gradients_.data());
    return std::sqrt(kernels<T>().sum_of_squares(gradients_.size(), gradients_.data()));
  }

  bool stores_best() const { return evaluation_.has_value() && options_.stop.no_improvement.has_value(); }
  void store_best(Best& best, const History& history) {
    best.in_history = history.epochs;
    if (!stores_best()) return;
    best.epoch = epoch_;
    best.parameters.reserve(model_.parameter_count());
    std::copy_n(parameters(), best.parameters.size(), best.parameters.data());
  }
  void restore_best() {  // does nothing before the first epoch has ended
    std::copy_n(best_.parameters.data(), best_.parameters.size(), parameters());
  }

  T* parameters() { return network_.parameters().data(); }

  // True if training and validation rows come from the same reader.
  bool shares_reader() const {
    return examples_.x.reader != nullptr && evaluation_ && options_.validation->x.reader == examples_.x.reader &&
           !options_.validation_rows.empty();
  }
  // A row that is read after an epoch. -1 if there is none, or if validation has another reader, whose parts would be
  // in memory together with a part that is read ahead.
  Index row_after_epoch(bool another) const {
    if (shares_reader()) return options_.validation_rows.front();
    return another && !evaluation_ ? order_.next_epoch() : -1;
  }

  // Trains on every batch once. Returns the mean of their costs, weighted by the sums of their weights. another: true
  // if another epoch follows unless a criterion stops the training.
  double epoch(bool another) {
    order_.begin(seed_, epoch_);
    const Index after = row_after_epoch(another);
    double total = 0, weight = 0;
    Index step = (epoch_ - 1) * steps_;
    for (Index first = 0; first < rows_;) {
      const Index m = std::min(batch_size_, rows_ - first);
      const Index steps = std::min(stepper_->steps_at_once(), (rows_ - first) / m);
      const std::span<const Rates> rates = rates_.next(step, steps);
      const auto [rows, at] = order_.at(first, steps * m);
      if (examples_.x.reader != nullptr) examples_.x.reader->expect(order_.next(after));
      for (const BatchCost& cost : stepper_->run({examples_, rows, at, m, m, rates, step, seed_})) {
        if (!std::isfinite(cost.mean)) diverged("the cost");
        total += cost.mean * cost.weight;
        weight += cost.weight;
      }
      learning_rate_ = learning_rate(options_.optimizer) * rates.back().learning_rate;
      step += steps;
      first += steps * m;
      poll();
    }
    if (examples_.x.reader != nullptr && evaluation_) examples_.x.reader->release();
    return total / weight;
  }

  void store() {
    if (!stepper_->finite()) diverged("a parameter");
    stepper_->store();
  }
  void back_up_parameters() {
    std::copy_n(parameters(), last_finite_.size(), last_finite_.data());
    last_finite_epoch_ = epoch_;
  }

  // Replaces the state completely or, if memory runs out, not at all.
  void save() {
    FitState<T> state;
    state.epoch = epoch_;
    state.seed = seed_;
    stepper_->save(state);
    state.numbers["rates"] = rates_.progress();
    state.numbers["stopping"] = stopping_.progress();
    state.numbers["best_epoch"] = {static_cast<double>(best_.epoch), static_cast<double>(best_by_cost_.epoch)};
    for (const auto& [name, best] : bests())
      if (best->epoch > 0) state.vectors[name].assign(best->parameters.begin(), best->parameters.end());
    *options_.state = std::move(state);
  }
  void resume(const FitState<T>& state) {
    check_state(state, model_.parameter_count());
    const std::vector<double>& best_epochs = numbers(state.numbers, "best_epoch", 1);
    for (std::size_t i = 0; stores_best() && i < best_epochs.size() && i < bests().size(); ++i) {
      const auto [name, best] = bests()[i];
      if (best_epochs[i] <= 0) continue;
      best->parameters.reserve(model_.parameter_count());
      std::ranges::copy(entry(state.vectors, name), best->parameters.data());
      best->epoch = static_cast<int>(best_epochs[i]);
    }
    rates_.set_progress(numbers(state.numbers, "rates", 10));
    stopping_.set_progress(numbers(state.numbers, "stopping", 4));
    stepper_->restore(state);  // may change the network
    stepper_->store();
    epoch_ = last_finite_epoch_ = state.epoch;
    seed_ = state.seed;
  }

  [[noreturn]] void diverged(const char* what) {
    std::copy_n(last_finite_.data(), last_finite_.size(), parameters());
    const int kept = best_.epoch > 0 ? best_.epoch : last_finite_epoch_;
    throw DivergenceError(text_of(
        what, " became NaN or infinite in epoch ", epoch_, "; the network keeps the parameters ",
        kept > 0 ? text_of("of the end of epoch ", kept) : "that it had before",
        ". Try a smaller learning_rate, scale the columns of X (and y, for squared_error) to a spread of about 1, "
        "and look for NaN or infinity in the data"));
  }

  Network<T>& network_;
  Examples<T> examples_;
  FitOptions<T> options_;
  RowMajorCopies<T> copies_;  // of the inputs of examples_ and options_
  const Model<T> model_;
  const Index rows_, batch_size_;
  std::unique_ptr<Stepper<T>> stepper_;
  const Index steps_;  // steps per epoch
  ScheduledRates rates_;
  std::uint64_t seed_;
  std::optional<Evaluation<T>> evaluation_;
  Buffer<T> last_finite_;     // the last finite parameters; empty if the network itself always holds them
  Best best_, best_by_cost_;  // best_by_cost_ replaces best_ if the first metric becomes NaN or infinite
  Buffer<T> gradients_;       // used only to compute their norm
  int epoch_ = 0;             // the last epoch that has begun, counted over all fits of this training
  int last_finite_epoch_ = 0;
  double learning_rate_ = 0;  // learning rate of the last step
  Stopping stopping_;
  RowOrder order_;
  Clock::time_point start_;
};

}  // namespace

template <class T>
std::function<void(int)> prepare_fit(Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options) {
  *options.history = {};
  struct Prepared {
    Prepared(Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options)
        : only_fit(network), fit(network, examples, options) {}
    const OneFit<T> only_fit;
    Fit<T> fit;
  };
  Examples<T> used = examples;
  if (options.source) {
    used = {};
    used.x.rows = options.source.rows;
  }
  const auto prepared = std::make_shared<Prepared>(network, used, options);
  return [prepared, history = options.history](int epochs) { prepared->fit.run(*history, epochs); };
}

template <class T>
History fit(Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options) {
  History own;
  FitOptions<T> own_options = options;
  if (own_options.history == nullptr) own_options.history = &own;
  std::optional<Polling> polling;
  if (options.poll) polling.emplace(options.poll, options.poll_seconds);
  prepare_fit(network, examples, own_options)(options.epochs);
  return *own_options.history;
}

template std::function<void(int)> prepare_fit(Network<float>&, const Examples<float>&, const FitOptions<float>&);
template std::function<void(int)> prepare_fit(Network<double>&, const Examples<double>&, const FitOptions<double>&);
template History fit(Network<float>&, const Examples<float>&, const FitOptions<float>&);
template History fit(Network<double>&, const Examples<double>&, const FitOptions<double>&);

}  // namespace chainrule
