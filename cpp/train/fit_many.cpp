// Many fits in one call. A team of threads takes networks from a list, the costliest first, so that the last fits are
// short and all threads finish at about the same time. The calling thread is a member of the team. Between its batches,
// and when no network is left, it polls for signals and reports finished fits.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <numeric>
#include <optional>

#include "core/check.h"
#include "core/dispatch.h"
#include "core/parallel.h"
#include "core/poll.h"
#include "net/sums.h"
#include "train/row_major.h"
#include "train/trainer.h"

namespace chainrule {
namespace {

struct Abandoned {};  // thrown to end the fits after poll or on_finished has thrown

template <class T>
class FitMany {
 public:
  FitMany(std::span<const FitJob<T>> jobs, const FitManyOptions& options)
      : jobs_(jobs.begin(), jobs.end()),
        options_(options),
        order_(jobs.size()),
        fits_(jobs.size()),
        outcomes_(jobs.size()) {
    finished_.reserve(jobs.size());
    std::vector<double> costs;
    double total = 0, smallest_step = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      const FitJob<T>& job = jobs[i];
      double row = 0;
      try {
        row = row_operations(checked_model(*job.network, job.examples, job.options), true);
      } catch (const std::invalid_argument& error) {
        throw std::invalid_argument(text_of("networks[", i, "]: ", error.what()));
      }
      const Index rows = row_count(job.examples, job.options.rows);
      const Index batch = std::min(job.options.batch_size.value_or(rows), rows);
      costs.push_back(row * static_cast<double>(rows) * job.options.epochs);
      total += costs.back();
      smallest_step = std::min(smallest_step, row * static_cast<double>(batch));
    }
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    check_distinct();
    std::stable_sort(order_.begin(), order_.end(), [&](std::size_t i, std::size_t j) { return costs[i] > costs[j]; });
    const int threads = threads_for(total, options.threads);
    const bool few = jobs.size() < static_cast<std::size_t>(threads);
    const bool in_turn = few && threads_for(smallest_step, options.threads) == threads;
    team_size_ = in_turn ? 1 : few ? static_cast<int>(jobs.size()) : threads;
  }

  std::vector<FitOutcome> run() {
    {
      std::optional<Polling> polling;
      if (options_.poll) polling.emplace(options_.poll, poll_seconds);
      for (FitJob<T>& job : jobs_) copies_.use(job.examples, job.options);
    }
    run_all();
    while (options_.more_epochs && !failed()) {
      const int epochs = options_.more_epochs();
      if (epochs == 0) break;
      for (FitJob<T>& job : jobs_) job.options.epochs = epochs;
      run_all();
    }
    return std::move(outcomes_);
  }

 private:
  // Runs every fit for the epochs of its job.
  void run_all() {
    next_ = 0;
    reported_ = 0;
    finished_.clear();
    parallel(team_size_, [this](Team team) {
      const bool caller = team.rank == 0;
      try {
        for (std::size_t next; !stopped_ && (next = next_++) < order_.size();) train(order_[next], caller);
        while (caller && reported_ < jobs_.size()) {
          wait();
          poll_and_report();
        }
      } catch (const Abandoned&) {
      }
    });
    if (failure_) std::rethrow_exception(failure_);
  }

  void check_distinct() {
    std::vector<std::size_t> sorted = order_;
    std::stable_sort(sorted.begin(), sorted.end(), [this](std::size_t i, std::size_t j) {
      return std::less<>()(jobs_[i].network, jobs_[j].network);
    });
    const auto equal = std::adjacent_find(sorted.begin(), sorted.end(), [this](std::size_t i, std::size_t j) {
      return jobs_[i].network == jobs_[j].network;
    });
    if (equal != sorted.end())
      throw std::invalid_argument(text_of("networks[", equal[1], "] is the same object as networks[", equal[0], "]"));
  }

  bool failed() const {
    return std::ranges::any_of(outcomes_, [](const FitOutcome& outcome) { return outcome.error != nullptr; });
  }

  void train(std::size_t i, bool caller) {
    FitOptions<T>& options = jobs_[i].options;
    std::function<void(int)>& fit = fits_[i];
    try {
      const Polling polling(
          [this, caller] {
            if (caller) return poll_and_report();
            if (stopped_) throw Abandoned{};
          },
          options.poll_seconds);
      if (!fit) {
        options.threads = options_.threads;  // for networks trained one after the other; a fit in a team has one thread
        options.history = &outcomes_[i].history;
        fit = prepare_fit(*jobs_[i].network, jobs_[i].examples, options);
      }
      fit(options.epochs);
    } catch (const Abandoned&) {
      throw;
    } catch (...) {
      outcomes_[i].error = std::current_exception();
    }
    if (!options_.more_epochs) fit = nullptr;  // frees its memory
    {
      const std::lock_guard lock(guard_);
      finished_.push_back(i);
    }
    if (caller)
      poll_and_report();
    else
      changed_.notify_one();
  }

  // Called in the calling thread: polls, and reports finished jobs.
  void poll_and_report() {
    try {
      if (options_.poll) options_.poll();
      for (; const std::optional<std::size_t> i = next_finished(); ++reported_)
        if (options_.on_finished) options_.on_finished(*i, outcomes_[*i]);
    } catch (...) {
      failure_ = std::current_exception();
      stopped_ = true;
      throw Abandoned{};
    }
  }

  std::optional<std::size_t> next_finished() {
    const std::lock_guard lock(guard_);
    return reported_ < finished_.size() ? std::optional(finished_[reported_]) : std::nullopt;
  }

  void wait() {
    std::unique_lock lock(guard_);
    changed_.wait_for(lock, std::chrono::milliseconds(50), [this] { return reported_ < finished_.size(); });
  }

  const IsaInUse isa_in_use_;  // also fixes the instruction set between two fits
  std::vector<FitJob<T>> jobs_;
  RowMajorCopies<T> copies_;  // of the jobs' inputs
  const FitManyOptions& options_;
  std::vector<std::size_t> order_;
  std::vector<std::function<void(int)>> fits_;  // see prepare_fit(); null before a fit and, usually, after it
  std::vector<FitOutcome> outcomes_;
  int team_size_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> stopped_{false};
  std::exception_ptr failure_;
  std::mutex guard_;
  std::condition_variable changed_;
  std::vector<std::size_t> finished_;  // the finished jobs, in the order in which they ended
  std::size_t reported_ = 0;           // how many of them have been reported
};

}  // namespace

template <class T>
std::vector<FitOutcome> fit_many(std::span<const FitJob<T>> jobs, const FitManyOptions& options) {
  if (jobs.empty()) return {};
  return FitMany<T>(jobs, options).run();
}

template std::vector<FitOutcome> fit_many(std::span<const FitJob<float>>, const FitManyOptions&);
template std::vector<FitOutcome> fit_many(std::span<const FitJob<double>>, const FitManyOptions&);

}  // namespace chainrule
