// Whether a long call shall go on: asked by the thread that made it, between pieces of work of some milliseconds. What
// is asked belongs to the thread, so that no function of the core has to hand it down.
#pragma once

#include <chrono>
#include <functional>

namespace chainrule {

// While one lives, poll() of this thread calls `ask`, at most every so many seconds; it may throw, to end the call.
class Polling {
 public:
  Polling(std::function<void()> ask, double seconds);
  ~Polling();
  Polling(const Polling&) = delete;
  Polling& operator=(const Polling&) = delete;

  void poll();

 private:
  using Clock = std::chrono::steady_clock;
  std::function<void()> ask_;
  std::chrono::duration<double> rest_;
  Clock::time_point last_ = Clock::now();
  Polling* outer_;
};

inline constexpr double poll_seconds = 0.05;

void poll();

}  // namespace chainrule
