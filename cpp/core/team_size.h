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
    seconds_ += std::chrono::duration<double>(Clock::now() - start_).count();
    amount_ += amount;
    ++pieces_;
    if (seconds_ >= (pieces_ < enough_pieces ? long_window : short_window)) decide();
  }

 private:
  using Clock = std::chrono::steady_clock;
  // A judgement needs several pieces, or, if they are long, some time.
  static constexpr int enough_pieces = 4;
  static constexpr double short_window = 2e-3, long_window = 20e-3;
  static constexpr double shortest_rest = 0.2;  // seconds between trials of the other size, doubled by each lost trial

  void decide() {
    const double seconds = seconds_, pace = seconds_ / amount_, piece = seconds_ / pieces_;
    rested_ += seconds;
    seconds_ = amount_ = 0;
    pieces_ = 0;
    if (trying_) {
      trying_ = false;
      rested_ = 0;
      const bool better = pace < 0.95 * pace_;
      rest_ = better ? shortest_rest : std::max(2 * rest_, 100 * seconds);  // a lost trial costs 1 % of what follows
      if (better)
        pace_ = pace;
      else
        full_ = !full_;
    } else {
      pace_ = pace;
      // On one thread a piece may take threads_ times as long: that must be little beside what has passed.
      if (rested_ >= std::max(rest_, 20 * threads_ * piece)) {
        full_ = !full_;
        trying_ = true;
      }
    }
  }

  int threads_;
  bool full_ = true, trying_ = false;
  double pace_ = 0;  // seconds per amount of the size in use
  double rest_ = shortest_rest, rested_ = 0;
  double seconds_ = 0, amount_ = 0;  // of the present window
  int pieces_ = 0;
  Clock::time_point start_;
};

}  // namespace chainrule
