// Waiting for another thread. A waiting thread first spins, because most waits take a few microseconds, but waking a
// thread takes 20. Then it sleeps, which frees its processor for a thread that has lost its own.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace chainrule {

// A number that some threads wait for and others change. A change wakes the threads that sleep.
class Watched {
 public:
  using Number = std::uint32_t;

  Number load() const { return number_.load(std::memory_order_acquire); }
  // Calls change(std::atomic&), which must be sequentially consistent, so that it comes before the check for sleepers.
  template <class Change>
  auto change(Change change) {
    const auto result = change(number_);
    if (asleep_.load() > 0) number_.notify_all();
    return result;
  }
  void set(Number number) {
    change([number](std::atomic<Number>& it) { return it.exchange(number); });
  }

  // Waits until arrived(number) is true: spins for `patience`, then sleeps. Adds the time to *waited unless it is null.
  template <class Arrived>
  Number wait(std::chrono::microseconds patience, Arrived arrived, std::chrono::nanoseconds* waited = nullptr) {
    using Clock = std::chrono::steady_clock;
    Number now = load();
    if (arrived(now)) return now;
    const Clock::time_point start = Clock::now();
    if (!spin(patience, start, now, arrived)) {
      asleep_.fetch_add(1);
      while (!arrived(now = load())) number_.wait(now, std::memory_order_acquire);
      asleep_.fetch_sub(1);
    }
    if (waited != nullptr) *waited += Clock::now() - start;
    return now;
  }

 private:
  template <class Arrived>
  bool spin(std::chrono::microseconds patience, std::chrono::steady_clock::time_point start, Number& now,
            Arrived arrived) {
    while (std::chrono::steady_clock::now() - start < patience)
      for (int i = 0; i < 32; ++i) {
        pause();
        if (arrived(now = load())) return true;
      }
    return false;
  }

  static void pause() {
#if defined(__x86_64__)
    asm volatile("pause");
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  std::atomic<Number> number_{0};
  std::atomic<std::uint32_t> asleep_{0};
};

}  // namespace chainrule
