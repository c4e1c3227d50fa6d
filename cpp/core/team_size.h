// Chooses between a full team and one thread for a repeated piece of work. No result depends on the number of threads,
// so the choice is free; and it matters: when other processes want the cores, a team waits at every barrier for its
// member that is off the processor (measured: 30 times slower than one thread), which no count of operations foresees.
// Two signs tell: that the system takes processors from members, and the clock, by trials of the other size.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

#include "core/parallel.h"

namespace chainrule {

class TeamSize {
 public:
  explicit TeamSize(int threads) : threads_(threads), preemptions_(static_cast<std::size_t>(threads)) {}

  int largest() const { return threads_; }
  int current() const { return full_ ? threads_ : 1; }

  // Around each piece of work with current() threads; `amount` in any unit.
  void begin() {
    if (threads_ == 1) return;
    start_ = Clock::now();
    counting_ = full_ && seconds_between(counted_, start_) >= time_to_count;
  }
  // In every member, when it has done its part.
  void done(int rank) {
    if (counting_) preemptions_[static_cast<std::size_t>(rank)] = preemptions();
  }
  void end(double amount) {
    if (threads_ == 1) return;
    const Clock::time_point now = Clock::now();
    period_.seconds += seconds_between(start_, now);
    period_.amount += amount;
    ++period_.pieces;
    if (counting_ && disturbed(now))
      choose(false, std::clamp(2 * rest_, 10 * shortest_rest, longest_rest));
    else
      decide();
  }

 private:
  using Clock = std::chrono::steady_clock;
  // Seconds between trials of the other size: at first, and at most as long as trials are lost.
  static constexpr double shortest_rest = 0.01, longest_rest = 2;
  // A trial of one thread may be short. The scheduler takes turns of some milliseconds: with the cores wanted elsewhere
  // a team runs well in one and waits in the next, and a trial of it has to see both.
  static constexpr double trial_of_one = 2e-3, trial_of_team = 20e-3;
  // A neighbor that wants a core all the time takes it some 150 times a second; on an idle machine it is a few.
  static constexpr double time_to_count = 4e-3, most_preemptions = 80;  // seconds; per second

  // Work that was done with the present size.
  struct Period {
    double seconds = 0, amount = 0;
    int pieces = 0;
  };

  static double seconds_between(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
  }

  bool disturbed(Clock::time_point now) {
    long total = 0;
    for (const long count : preemptions_) total += count;
    const long since = known_ ? total - total_ : 0;
    const double seconds = seconds_between(counted_, now);
    total_ = total;
    counted_ = now;
    known_ = true;
    return since >= 2 && static_cast<double>(since) > most_preemptions * seconds;
  }

  void choose(bool full, double rest) {
    full_ = full;
    rest_ = rest;
    trying_ = known_ = false;
    period_ = {};
  }

  void decide() {
    if (!trying_) {
      // A trial of one thread is two pieces or more that take threads_ times as long: a quarter of what has passed.
      if (period_.seconds < std::max(rest_, 8 * threads_ * period_.seconds / period_.pieces)) return;
      before_ = period_;
      period_ = {};
      trying_ = true;
      full_ = !full_;
      return;
    }
    const double enough = full_ ? trial_of_team : std::min(trial_of_one, before_.seconds / 20);
    if (period_.pieces < 2 || period_.seconds < enough) return;
    const bool better = period_.seconds * before_.amount < 0.95 * before_.seconds * period_.amount;
    // Lost trials become rare: they cost a few percent of what follows. One thread that was better is given time.
    const double rest = better ? (full_ ? shortest_rest : 10 * shortest_rest)
                               : std::max(std::min(2 * rest_, longest_rest), 50 * period_.seconds);
    choose(better == full_, rest);
  }

  int threads_;
  bool full_ = true, trying_ = false;
  double rest_ = shortest_rest;
  Period period_, before_;
  Clock::time_point start_;
  // Of the members, and of all together when they were last counted.
  std::vector<long> preemptions_;
  long total_ = 0;
  bool counting_ = false, known_ = false;
  Clock::time_point counted_;
};

}  // namespace chainrule
