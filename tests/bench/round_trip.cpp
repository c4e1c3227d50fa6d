// The time of a spin barrier between two cores, in nanoseconds: what two threads pay whenever they meet. On the
// development machine it is 51-60 ("near") or 265-360 ("far") and flips within minutes; print it beside every figure
// for two threads. Usage: round_trip CPU CPU
#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace {

constexpr int kWarmUp = 10'000;
constexpr int kBarriers = 100'000;

struct alignas(128) Flag {
  std::atomic<int> arrived{0};
};
Flag flags[2];

double meet(int me, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
  auto start = std::chrono::steady_clock::now();
  for (int i = 1; i <= kWarmUp + kBarriers; ++i) {
    if (i == kWarmUp + 1) start = std::chrono::steady_clock::now();
    flags[me].arrived.store(i, std::memory_order_release);
    while (flags[1 - me].arrived.load(std::memory_order_acquire) < i) {
    }
  }
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / kBarriers;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::thread other(meet, 1, std::atoi(argv[2]));
  const double nanoseconds = meet(0, std::atoi(argv[1]));
  other.join();
  std::printf("%.1f\n", nanoseconds);
}
