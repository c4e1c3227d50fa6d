// Interrupts long calls: the calling thread polls between pieces of work that take some milliseconds. The function that
// it calls is thread-local, so the functions of the core need not pass it as an argument.
#pragma once

#include <chrono>
#include <functional>

namespace chainrule {

// While an object of this class exists, poll() in this thread calls `ask`, at most once per `seconds`. `ask` may throw
// to end the call.
class Polling {
 public:
  Polling(std::function<void()> ask, double seconds);
  ~Polling();
  Polling(const Polling&) = delete;
  Polling& operator=(const Polling&) = delete;

  void poll();
  void poll_at_once();

 private:
  using Clock = std::chrono::steady_clock;
  std::function<void()> ask_;
  std::chrono::duration<double> rest_;
  Clock::time_point last_ = Clock::now();
  Polling* outer_;
};

inline constexpr double poll_seconds = 0.05;

void poll();
void poll_at_once();  // after a signal has interrupted a system call

}  // namespace chainrule
