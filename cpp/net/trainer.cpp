#include "net/trainer.h"

#include <chrono>
#include <numeric>

#include "core/check.h"
#include "core/random.h"
#include "net/backprop.h"
#include "net/network.h"
#include "net/schedule.h"
#include "net/stopping.h"

namespace chainrule {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// All rows, or those that are named, in their own order.
void in_order(std::vector<Index>& order, std::span<const Index> rows) {
  if (rows.empty())
    std::iota(order.begin(), order.end(), Index{0});
  else
    std::copy(rows.begin(), rows.end(), order.begin());
}

// A permutation of places (Fisher & Yates), a function of (seed, epoch). A block of Philox gives four picks of 32 bits
// where these favor no row by more than 2^-16, else two of 64.
void shuffle(std::vector<Index>& order, std::uint64_t seed, int epoch) {
  std::size_t i = order.size();
  const auto swap_last_with = [&](std::size_t pick) { std::swap(order[--i], order[pick]); };
  while (i > std::size_t{1} << 16) {
    for (const std::uint64_t word : philox64(seed, Stream::shuffle, static_cast<std::uint32_t>(epoch), i)) {
      __extension__ using Wide = unsigned __int128;
      swap_last_with(static_cast<std::size_t>(static_cast<Wide>(word) * i >> 64));
    }
  }
  constexpr std::size_t blocks = 16;
  while (i > 1) {
    const auto words = philox_blocks<blocks>(seed, Stream::shuffle, static_cast<std::uint32_t>(epoch), i, 4);
    for (std::size_t block = 0; block < blocks; ++block)
      for (std::size_t w = 0; w < 4; ++w)
        if (i > 1) swap_last_with(std::uint64_t{words[w][block]} * i >> 32);
  }
}

template <class T>
void check_rows(const Examples<T>& examples, std::span<const Index> rows) {
  if (rows.empty()) return;
  for (const Index row : rows)
    require(row >= 0 && row < examples.x.rows, "rows name row ", row, ", X has rows 0 to ", examples.x.rows - 1);
  require(weight_sum(examples.weights, rows.data(), static_cast<Index>(rows.size())) > 0,
          "sample_weight is 0 for every row");
}

template <class T>
class Fit {
 public:
  Fit(Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options)
      : network_(network),
        examples_(examples),
        options_(options),
        model_(checked_model(network, examples, options)),
        rows_(row_count(examples, options.rows)),
        batch_size_(options.batch_size > 0 ? std::min(options.batch_size, rows_) : rows_),
        schedule_(make_schedule(model_, network.parameters().data(), batch_size_, options.optimizer, options.l2,
                                options.threads)),
        stopping_(options.stop) {
    if (shuffled() || !options.rows.empty()) order_.resize(static_cast<std::size_t>(rows_));
    in_order(order_, options.rows);
    if (options.validation) {
      validation_.emplace(model_for(network_, options.validation->x), validation_rows(), false, options.threads);
    }
    if (schedule_->in_place() || validation_) last_finite_ = Buffer<T>(model_.parameter_count());
  }

  History run() {
    try {
      History history = loop();
      restore_best();
      return history;
    } catch (...) {
      restore_best();
      throw;
    }
  }

 private:
  History loop() {
    History history;
    start_ = last_poll_ = Clock::now();
    keep_finite(0);
    while (history.stop_reason.empty()) {
      if (epochs_are_steps()) {
        full_batches(history);
        continue;
      }
      const int epoch = ++history.epochs;
      const double loss = this->epoch(epoch);
      store(epoch);
      EpochLog log{epoch, loss, {}, 0};
      if (validation_) log.validation = validation_cost(epoch);
      keep_finite(epoch);
      history.loss.push_back(loss);
      if (validation_) history.validation.push_back(*log.validation);
      log.seconds = history.seconds = seconds_since(start_);
      const char* reason = stopping_.after(log, stopping_.needs_gradient_norm() ? gradient_norm() : 0);
      if (keeps_best() && stopping_.improved()) keep_best(epoch);
      if (options_.on_epoch_end) {
        if (options_.on_epoch_end(log)) reason = "callback";
        schedule_->load();  // it may have written to the parameters
      }
      if (reason == nullptr && epoch == options_.epochs) reason = "epochs";
      if (reason != nullptr) history.stop_reason = reason;
    }
    return history;
  }

  // Epochs of one step that nobody looks at one by one.
  bool epochs_are_steps() const {
    return batch_size_ == rows_ && !validation_ && !options_.on_epoch_end && !stopping_.needed();
  }
  void full_batches(History& history) {
    const Index steps = std::min<Index>(schedule_->steps_at_once(), options_.epochs - history.epochs);
    for (const BatchCost& cost : schedule_->run({examples_, order_, 0, rows_, 0, steps})) {
      ++history.epochs;
      if (!std::isfinite(cost.mean)) diverged(history.epochs, "the cost");
      history.loss.push_back(cost.mean);
    }
    store(history.epochs);
    keep_finite(history.epochs);
    history.seconds = seconds_since(start_);
    if (history.epochs == options_.epochs) history.stop_reason = "epochs";
    poll();
  }

  double gradient_norm() {
    if (gradients_.size() == 0) gradients_ = Buffer<T>(model_.parameter_count());
    schedule_->gradients(gradients_.data());
    return std::sqrt(kernels<T>().sum_of_squares(gradients_.size(), gradients_.data()));
  }

  bool keeps_best() const { return validation_.has_value() && options_.stop.no_improvement.has_value(); }
  void keep_best(int epoch) {
    best_epoch_ = epoch;
    best_.reserve(model_.parameter_count());
    std::copy_n(parameters(), best_.size(), best_.data());
  }
  void restore_best() {
    std::copy_n(best_.data(), best_.size(), parameters());  // none before the first epoch has ended
  }

  bool shuffled() const { return options_.shuffle && batch_size_ < rows_; }
  Index validation_rows() const { return row_count(*options_.validation, options_.validation_rows); }
  T* parameters() { return network_.parameters().data(); }

  // All batches once; returns the mean of their costs, each weighted as its rows are.
  double epoch(int number) {
    if (shuffled()) {
      in_order(order_, options_.rows);
      shuffle(order_, options_.seed, number);
    }
    double total = 0, weight = 0;
    for (Index first = 0; first < rows_;) {
      const Index m = std::min(batch_size_, rows_ - first);
      const Index steps = std::min(schedule_->steps_at_once(), (rows_ - first) / m);
      for (const BatchCost& cost : schedule_->run({examples_, order_, first, m, m, steps})) {
        if (!std::isfinite(cost.mean)) diverged(number, "the cost");
        total += cost.mean * cost.weight;
        weight += cost.weight;
      }
      first += steps * m;
      poll();
    }
    return total / weight;
  }

  double validation_cost(int epoch) {
    validation_->repack();
    const Index* rows = options_.validation_rows.empty() ? nullptr : options_.validation_rows.data();
    const double cost = validation_->run(*options_.validation, rows, validation_rows(), 0).mean;
    if (!std::isfinite(cost)) diverged(epoch, "the validation cost");
    return cost;
  }

  void poll() {
    if (!options_.poll) return;
    const Clock::time_point now = Clock::now();
    if (std::chrono::duration<double>(now - last_poll_).count() < options_.poll_seconds) return;
    last_poll_ = now;
    try {
      options_.poll();
    } catch (...) {
      schedule_->store();
      throw;
    }
  }

  void store(int epoch) {
    if (!schedule_->finite()) diverged(epoch, "a parameter");
    schedule_->store();
  }
  void keep_finite(int epoch) {
    std::copy_n(parameters(), last_finite_.size(), last_finite_.data());
    last_finite_epoch_ = epoch;
  }

  [[noreturn]] void diverged(int epoch, const char* what) {
    std::copy_n(last_finite_.data(), last_finite_.size(), parameters());
    throw DivergenceError(message(
        what, " became NaN or infinite in epoch ", epoch, "; the parameters are those of the end of epoch ",
        best_epoch_ > 0 ? best_epoch_ : last_finite_epoch_,
        ". Try a smaller learning_rate, scale the columns of X (and y, for squared_error) to a spread of about 1, "
        "and look for NaN or infinity in the data"));
  }

  Network<T>& network_;
  const Examples<T>& examples_;
  const FitOptions<T>& options_;
  const Model<T> model_;
  const Index rows_, batch_size_;
  std::unique_ptr<Schedule<T>> schedule_;
  std::optional<Backprop<T>> validation_;
  Buffer<T> last_finite_;                       // none where the network's own parameters are just that
  Buffer<T> best_, gradients_;                  // the gradients for their norm alone
  int best_epoch_ = 0, last_finite_epoch_ = 0;  // none yet
  Stopping stopping_;
  std::vector<Index> order_;
  Clock::time_point start_, last_poll_;
};

}  // namespace

void check(const Stop& stop) {
  const auto check_level = [](const char* name, const std::optional<double>& value) {
    require(!value || *value >= 0, name, " is ", value.value_or(0), ", expected 0 or more");
  };
  require(!stop.loss_below || !std::isnan(*stop.loss_below), "loss_below is NaN");
  check_level("loss_change_below", stop.loss_change_below);
  check_level("gradient_norm_below", stop.gradient_norm_below);
  check_level("seconds", stop.seconds);
  require(stop.loss_change_epochs >= 1, "loss_change_epochs is ", stop.loss_change_epochs, ", expected at least 1");
  require(!stop.no_improvement || *stop.no_improvement >= 1, "no_improvement is ", stop.no_improvement.value_or(0),
          ", expected at least 1");
}

template <class T>
Model<T> checked_model(const Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options) {
  check(options.optimizer);
  check(options.stop);
  require(options.epochs >= 1, "epochs is ", options.epochs, ", expected at least 1");
  require(options.batch_size >= 0, "batch_size is ", options.batch_size, ", expected at least 1");
  check_l2(options.l2);
  require(examples.x.rows > 0, "X has no rows, training needs at least one");
  if (options.precision == Precision::bf16) require_bf16<T>();
  require(options.precision != Precision::bf16 || !examples.x.is_sparse(),
          "precision bf16 is not available for a sparse X");
  Model<T> model = model_for(network, examples.x);
  model.precision = options.precision;
  check_examples(model, examples);
  check_rows(examples, options.rows);
  if (options.validation) {
    require(options.validation->x.rows > 0, "validation: X has no rows");
    check_examples(model, *options.validation);
    check_rows(*options.validation, options.validation_rows);
  }
  return model;
}

template <class T>
History fit(Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options) {
  return Fit<T>(network, examples, options).run();
}

template Model<float> checked_model(const Network<float>&, const Examples<float>&, const FitOptions<float>&);
template Model<double> checked_model(const Network<double>&, const Examples<double>&, const FitOptions<double>&);
template History fit(Network<float>&, const Examples<float>&, const FitOptions<float>&);
template History fit(Network<double>&, const Examples<double>&, const FitOptions<double>&);

}  // namespace chainrule
