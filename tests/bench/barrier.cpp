// Measures a spin barrier between two cores, in nanoseconds: the time that two threads lose whenever they meet. On the
// development machine it is 51-60 ("near") or 265-360 ("far") and changes within minutes; print it next to every figure
// for two threads. The fastest of several stretches counts, so that other processes have no effect.
// Usage: barrier CPU CPU
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace {

constexpr int kStretches = 20;
constexpr int kBarriers = 5'000;

struct alignas(128) Flag {
  std::atomic<int> arrived{0};
};
Flag flags[2];

double meet(int me, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
  double best = 1e9;
  for (int stretch = 0, i = 1; stretch < kStretches; ++stretch) {
    const auto start = std::chrono::steady_clock::now();
    for (const int end = i + kBarriers; i < end; ++i) {
      flags[me].arrived.store(i, std::memory_order_release);
      while (flags[1 - me].arrived.load(std::memory_order_acquire) < i) {
      }
    }
    const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
    best = std::min(best, time.count() / kBarriers);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::thread other(meet, 1, std::atoi(argv[2]));
  const double nanoseconds = meet(0, std::atoi(argv[1]));
  other.join();
  std::printf("%.1f\n", nanoseconds);
}
