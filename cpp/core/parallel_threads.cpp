// Teams from a pool of our own: for macOS, where a second OpenMP library in a process crashes it, for Windows, and for
// ThreadSanitizer, which does not understand libgomp's. One pool serves the process. While it works for one caller,
// others run alone: they would only compete for the same cores, and no result depends on the size of a team.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "core/fork.h"
#include "core/parallel_backend.h"

namespace chainrule {
namespace {

using Body = void (*)(void*, Team);

void pause() {
#if defined(__x86_64__)
  asm volatile("pause");
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Steps of a training follow each other within microseconds, and to wake a thread takes 20 or more of them: who waits
// looks for that long, and then sleeps. Where there are more members than processors, looking keeps others from
// working.
constexpr std::chrono::microseconds patience{50};

void wait_while(const std::atomic<unsigned>& value, unsigned old, bool patient) {
  if (patient) {
    const auto start = std::chrono::steady_clock::now();
    do {
      for (int i = 0; i < 64; ++i) {
        if (value.load(std::memory_order_acquire) != old) return;
        pause();
      }
    } while (std::chrono::steady_clock::now() - start < patience);
  }
  value.wait(old, std::memory_order_acquire);
}

class Pool {
 public:
  bool run(int threads, Body body, void* context);
  void barrier();

 private:
  struct alignas(64) Worker {
    std::atomic<unsigned> calls{0};
  };
  bool grow(int workers);
  void work(int rank, Worker& worker);

  std::mutex owner_;              // who has it has the pool
  std::vector<Worker*> workers_;  // never freed: a worker lives as long as the process
  Body body_ = nullptr;
  void* context_ = nullptr;
  int size_ = 1;
  bool patient_ = true;
  alignas(64) std::atomic<unsigned> working_{0};
  alignas(64) std::atomic<unsigned> arrived_{0};
  alignas(64) std::atomic<unsigned> barriers_{0};
};

thread_local bool member = false;

// Not destroyed at the end of the process, when workers still wait in it.
Pool& pool() {
  static Pool* const only = [] {
    static const AtFork without_workers(nullptr, [] { new (&pool()) Pool; });
    return new Pool;
  }();
  return *only;
}

bool Pool::grow(int workers) {
  try {
    while (std::ssize(workers_) < workers) {
      workers_.reserve(workers_.size() + 1);
      auto worker = std::make_unique<Worker>();
      std::thread(&Pool::work, this, static_cast<int>(workers_.size()) + 1, std::ref(*worker)).detach();
      workers_.push_back(worker.release());
    }
  } catch (const std::exception&) {  // the system has no more threads, or memory for them
  }
  return !workers_.empty();
}

bool Pool::run(int threads, Body body, void* context) {
  const std::unique_lock lock(owner_, std::try_to_lock);
  if (!lock || !grow(threads - 1)) return false;
  static const int processors = static_cast<int>(std::thread::hardware_concurrency());
  body_ = body;
  context_ = context;
  size_ = std::min(threads, static_cast<int>(workers_.size()) + 1);
  patient_ = size_ <= processors;
  working_.store(static_cast<unsigned>(size_ - 1), std::memory_order_relaxed);
  for (int rank = 1; rank < size_; ++rank) {
    std::atomic<unsigned>& calls = workers_[static_cast<std::size_t>(rank - 1)]->calls;
    calls.fetch_add(1, std::memory_order_release);
    calls.notify_one();
  }
  member = true;
  body(context, {0, size_});
  member = false;
  for (unsigned left; (left = working_.load(std::memory_order_acquire)) > 0;) wait_while(working_, left, patient_);
  return true;
}

void Pool::work(int rank, Worker& worker) {
  member = true;
  bool patient = true;
  for (unsigned call = 0;; ++call) {
    wait_while(worker.calls, call, patient);
    patient = patient_;
    body_(context_, {rank, size_});
    if (working_.fetch_sub(1, std::memory_order_acq_rel) == 1) working_.notify_one();
  }
}

void Pool::barrier() {
  const unsigned barriers = barriers_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 < static_cast<unsigned>(size_)) {
    wait_while(barriers_, barriers, patient_);
  } else {
    arrived_.store(0, std::memory_order_relaxed);
    barriers_.store(barriers + 1, std::memory_order_release);
    barriers_.notify_all();
  }
}

// As OpenMP reads it: once, the first number of a list, and nothing that is no number.
int limit_of_environment() {
  const char* variable = std::getenv("OMP_NUM_THREADS");
  const long threads = variable == nullptr ? 0 : std::strtol(variable, nullptr, 10);
  if (threads > 0) return static_cast<int>(std::min(threads, 1L << 20));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

const char* const backend::name = "threads";

int backend::limit() {
  static const int limit = limit_of_environment();
  return limit;
}

bool backend::in_team() { return member; }

void backend::run(int threads, Body body, void* context) {
  if (member || !pool().run(threads, body, context)) body(context, {0, 1});
}

void Team::barrier() const {
  if (size > 1) pool().barrier();
}

}  // namespace chainrule
