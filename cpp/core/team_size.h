// Chooses between a full team and one thread for a repeated piece of work, by the clock. No result depends on the
// number of threads, so the choice is free; and it matters: when other processes want the cores, a team waits at every
// barrier for its member that is off the processor (measured: 30 times slower than one thread), which no count of
// operations foresees.
#pragma once

#include <algorithm>
#include <chrono>

namespace chainrule {

class TeamSize {
 public:
  explicit TeamSize(int threads) : threads_(threads) {}

  int largest() const { return threads_; }
  int current() const { return full_ ? threads_ : 1; }

  // Around each piece of work with current() threads; `amount` in any unit.
  void begin() {
    if (threads_ > 1) start_ = Clock::now();
  }
  void end(double amount) {
    if (threads_ == 1) return;
    period_.seconds += std::chrono::duration<double>(Clock::now() - start_).count();
    period_.amount += amount;
    ++period_.pieces;
    decide();
  }

 private:
  using Clock = std::chrono::steady_clock;
  // Seconds between trials of the other size: at first, and at most as long as trials are lost.
  static constexpr double shortest_rest = 0.01, longest_rest = 2;
  // A trial of one thread may be short. The scheduler takes turns of some milliseconds: with the cores wanted elsewhere
  // a team runs well in one and waits in the next, and a trial of it has to see both.
  static constexpr double trial_of_one = 2e-3, trial_of_team = 20e-3;

  // Work that was done with the present size.
  struct Period {
    double seconds = 0, amount = 0;
    int pieces = 0;
  };

  void decide() {
    if (!trying_) {
      // A trial of one thread is two pieces or more that take threads_ times as long: a quarter of what has passed.
      if (period_.seconds < std::max(rest_, 8 * threads_ * period_.seconds / period_.pieces)) return;
      before_ = period_;
      trying_ = true;
      full_ = !full_;
    } else {
      const double enough = full_ ? trial_of_team : std::min(trial_of_one, before_.seconds / 20);
      if (period_.pieces < 2 || period_.seconds < enough) return;
      trying_ = false;
      const bool better = period_.seconds * before_.amount < 0.95 * before_.seconds * period_.amount;
      // Lost trials become rare: they cost a few percent of what follows. One thread that was better is given time.
      rest_ = better ? (full_ ? shortest_rest : 10 * shortest_rest)
                     : std::max(std::min(2 * rest_, longest_rest), 50 * period_.seconds);
      if (!better) full_ = !full_;
    }
    period_ = {};
  }

  int threads_;
  bool full_ = true, trying_ = false;
  double rest_ = shortest_rest;
  Period period_, before_;
  Clock::time_point start_;
};

}  // namespace chainrule
