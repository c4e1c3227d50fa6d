// Interrupts long calls: the calling thread polls between pieces of work that take a few milliseconds. The function
// that it calls is thread-local, so the functions of the core need not pass it as an argument.
#pragma once

#include <chrono>
#include <functional>

namespace chainrule {

// While an object of this class exists, poll() in this thread calls `check`, at most once per `seconds`. `check` may
// throw to end the long call.
class Polling {
 public:
  Polling(std::function<void()> check, double seconds);
  ~Polling();
  Polling(const Polling&) = delete;
  Polling& operator=(const Polling&) = delete;

  void poll();
  void poll_at_once();

 private:
  using Clock = std::chrono::steady_clock;
  std::function<void()> check_;
  std::chrono::duration<double> interval_;
  Clock::time_point last_check_ = Clock::now();
  Polling* outer_;
};

inline constexpr double poll_seconds = 0.05;

void poll();
void poll_at_once();  // without waiting for the interval; for use after a signal has interrupted a system call

}  // namespace chainrule
