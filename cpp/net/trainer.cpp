// The training loop.
#include <chrono>
#include <numeric>

#include "chainrule/training.h"
#include "core/check.h"
#include "core/random.h"
#include "net/backprop.h"
#include "net/network.h"
#include "net/optimizer.h"
#include "net/stopping.h"

namespace chainrule {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// A permutation of the rows (Fisher & Yates), a function of (seed, epoch).
void shuffle(std::vector<Index>& order, std::uint64_t seed, int epoch) {
  std::iota(order.begin(), order.end(), Index{0});
  for (std::size_t i = order.size(); i > 1; i -= i > 2 ? 2 : 1) {
    const auto words = philox64(seed, Stream::shuffle, static_cast<std::uint32_t>(epoch), i);
    // The high half of a 64 x 64 bit product maps a word to [0, n); two swaps a block of Philox.
    const auto pick = [](std::uint64_t word, std::size_t n) {
      __extension__ using Wide = unsigned __int128;
      return static_cast<std::size_t>(static_cast<Wide>(word) * n >> 64);
    };
    std::swap(order[i - 1], order[pick(words[0], i)]);
    if (i > 2) std::swap(order[i - 2], order[pick(words[1], i - 1)]);
  }
}

template <class T>
class Fit {
 public:
  Fit(Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options)
      : network_(network),
        examples_(examples),
        options_(options),
        model_(checked_model()),
        rows_(examples.x.rows),
        batch_size_(options.batch_size > 0 ? std::min(options.batch_size, rows_) : rows_),
        backprop_(model_, batch_size_, true, options.threads),
        optimizer_(options.optimizer, model_.parameter_count()),
        gradients_(model_.parameter_count()),
        last_finite_(model_.parameter_count()),
        stopping_(options.stop) {
    if (shuffled()) order_.resize(static_cast<std::size_t>(rows_));
    if (options.validation) {
      validation_.emplace(model_, options.validation->x.rows, false, options.threads);
    }
    // One thread's part of the update: whole panels of weights, which it packs for the next step while they are warm.
    update_ = [this](Team team, PackedWeights<T>& packed) {
      for (std::size_t l = 0; l < model_.layers.size(); ++l) {
        const Layer<T>& layer = model_.layers[l];
        const Share rows = share(layer.n_out, team, kernels<T>().tile_columns);
        if (rows.begin >= rows.end) continue;
        const Index bias = layer.offset + layer.n_out * layer.n_in;
        update(layer.offset + rows.begin * layer.n_in, layer.offset + rows.end * layer.n_in);
        update(bias + rows.begin, bias + rows.end);
        packed.pack_rows(layer, l, rows);
      }
    };
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
    std::copy_n(parameters(), last_finite_.size(), last_finite_.data());
    while (history.stop_reason.empty()) {
      const int epoch = ++history.epochs;
      const double loss = this->epoch(epoch);
      EpochLog log{epoch, loss, {}, 0};
      if (validation_) log.validation = validation_cost(epoch);
      keep_finite(epoch);
      history.loss.push_back(loss);
      if (validation_) history.validation.push_back(*log.validation);
      log.seconds = history.seconds = seconds_since(start_);
      const double norm = stopping_.needs_gradient_norm()
                              ? std::sqrt(kernels<T>().sum_of_squares(gradients_.size(), gradients_.data()))
                              : 0;
      const char* reason = stopping_.after(log, norm);
      if (keeps_best() && stopping_.improved()) keep_best(epoch);
      if (options_.on_epoch_end) {
        if (options_.on_epoch_end(log)) reason = "callback";
        backprop_.repack();  // it may have written to the parameters
      }
      if (reason == nullptr && epoch == options_.epochs) reason = "epochs";
      if (reason != nullptr) history.stop_reason = reason;
    }
    return history;
  }

  bool keeps_best() const { return validation_.has_value() && options_.stop.no_improvement.has_value(); }
  void keep_best(int epoch) {
    best_epoch_ = epoch;
    if (best_.size() == 0)
      best_ = last_finite_;
    else
      std::copy_n(last_finite_.data(), best_.size(), best_.data());
  }
  void restore_best() {
    std::copy_n(best_.data(), best_.size(), parameters());  // none before the first epoch has ended
  }

  Model<T> checked_model() const {
    check(options_.optimizer);
    check(options_.stop);
    require(options_.epochs >= 1, "epochs is ", options_.epochs, ", expected at least 1");
    require(options_.batch_size >= 0, "batch_size is ", options_.batch_size, ", expected at least 1");
    check_l2(options_.l2);
    require(examples_.x.rows > 0, "X has no rows, training needs at least one");
    const Model<T> model = model_of(network_);
    check_examples(model, examples_);
    if (options_.validation) {
      require(options_.validation->x.rows > 0, "validation: X has no rows");
      check_examples(model, *options_.validation);
    }
    return model;
  }

  bool shuffled() const { return options_.shuffle && batch_size_ < rows_; }
  T* parameters() { return network_.parameters().data(); }

  void update(Index begin, Index end) { optimizer_.update(begin, end, gradients_.data(), parameters()); }

  // All batches once; returns the mean of their costs, each weighted as its rows are.
  double epoch(int number) {
    if (shuffled()) shuffle(order_, options_.seed, number);
    double total = 0, weight = 0;
    for (Index first = 0; first < rows_; first += batch_size_) {
      const Index count = std::min(batch_size_, rows_ - first);
      optimizer_.begin_step();
      const auto cost = shuffled() ? backprop_.run(examples_, order_.data() + first, count, options_.l2,
                                                   gradients_.data(), nullptr, &update_)
                                   : backprop_.run(rows_from(first), nullptr, count, options_.l2, gradients_.data(),
                                                   nullptr, &update_);
      if (!std::isfinite(cost.mean)) diverged(number, "the cost");
      total += cost.mean * cost.weight;
      weight += cost.weight;
      poll();
    }
    return total / weight;
  }

  Examples<T> rows_from(Index first) const {
    Examples<T> e = examples_;
    e.x = e.x.rows_between(first, rows_);
    if (e.targets.labels != nullptr)
      e.targets.labels += first;
    else
      e.targets.values = e.targets.values.rows_between(first, rows_);
    if (e.weights != nullptr) e.weights += first;
    return e;
  }

  double validation_cost(int epoch) {
    validation_->repack();
    const double cost = validation_->run(*options_.validation, nullptr, options_.validation->x.rows, 0).mean;
    if (!std::isfinite(cost)) diverged(epoch, "the validation cost");
    return cost;
  }

  void poll() {
    if (!options_.poll) return;
    const Clock::time_point now = Clock::now();
    if (now - last_poll_ < std::chrono::milliseconds(50)) return;
    last_poll_ = now;
    options_.poll();
  }

  void keep_finite(int epoch) {
    const Index n = last_finite_.size();
    if (!std::isfinite(kernels<T>().sum_of_squares(n, parameters()))) diverged(epoch, "a parameter");
    std::copy_n(parameters(), n, last_finite_.data());
  }

  [[noreturn]] void diverged(int epoch, const char* what) {
    std::copy_n(last_finite_.data(), last_finite_.size(), parameters());
    throw DivergenceError(message(
        what, " became NaN or infinite in epoch ", epoch, "; the parameters are those of the end of epoch ",
        best_epoch_ > 0 ? best_epoch_ : epoch - 1,
        ". Try a smaller learning_rate, scale the columns of X (and y, for squared_error) to a spread of about 1, "
        "and look for NaN or infinity in the data"));
  }

  Network<T>& network_;
  const Examples<T>& examples_;
  const FitOptions<T>& options_;
  const Model<T> model_;
  const Index rows_, batch_size_;
  Backprop<T> backprop_;
  std::optional<Backprop<T>> validation_;
  typename Backprop<T>::After update_;
  Optimizer<T> optimizer_;
  Buffer<T> gradients_, last_finite_, best_;
  int best_epoch_ = 0;  // none yet
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
History fit(Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options) {
  return Fit<T>(network, examples, options).run();
}

template History fit(Network<float>&, const Examples<float>&, const FitOptions<float>&);
template History fit(Network<double>&, const Examples<double>&, const FitOptions<double>&);

}  // namespace chainrule
