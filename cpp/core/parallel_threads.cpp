// Teams from a thread pool. The leader of a call begins at once and closes the call when the work is done. It waits
// only for workers that have joined; workers that slept or had no processor during the whole call are left out. The
// process has one pool. While the pool serves one caller, other callers run on their own thread: they would compete for
// the same cores, and no result depends on the size of a team.
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
#include "core/wait.h"

namespace chainrule {
namespace {

using Body = void (*)(void*, int rank, int size);

class Pool {
 public:
  bool run(int threads, std::chrono::microseconds patience, Body body, void* context);

 private:
  // The state of the call: whether it is open, the size of its team, the workers inside.
  static constexpr Watched::Number open = 1U << 31, inside = 0xffff;
  static constexpr int largest_team = 0x7fff;
  static constexpr Watched::Number team_of(int size) { return static_cast<Watched::Number>(size) << 16; }
  static int size_of(Watched::Number state) { return static_cast<int>(state >> 16 & 0x7fff); }

  struct alignas(64) Worker {
    Watched calls;  // the number of calls that the worker was asked to join
  };
  bool grow(int workers);
  void work(int rank, Worker& worker);
  bool join(int rank);

  std::mutex owner_;              // held by the call that uses the pool
  std::vector<Worker*> workers_;  // never freed: workers live as long as the process
  alignas(64) Watched state_;
  // The current call, for the workers that have joined it:
  std::uint64_t call_ = 0;
  Body body_ = nullptr;
  void* context_ = nullptr;
  int size_ = 1;
  std::chrono::microseconds patience_{};
};

thread_local bool member = false;

// The pool is never destroyed, because its workers still wait when the process ends.
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
  } catch (const std::exception&) {  // the system refused another thread, or memory ran out
  }
  return !workers_.empty();
}

bool Pool::run(int threads, std::chrono::microseconds patience, Body body, void* context) {
  const std::unique_lock lock(owner_, std::try_to_lock);
  threads = std::min(threads, largest_team);
  if (!lock || !grow(threads - 1)) return false;
  ++call_;
  body_ = body;
  context_ = context;
  size_ = std::min(threads, static_cast<int>(workers_.size()) + 1);
  patience_ = patience;
  state_.set(open | team_of(size_));
  for (int rank = 1; rank < size_; ++rank)
    workers_[static_cast<std::size_t>(rank - 1)]->calls.change(
        [](std::atomic<Watched::Number>& calls) { return calls.fetch_add(1); });
  member = true;
  body(context, 0, size_);
  member = false;
  state_.change([](std::atomic<Watched::Number>& state) { return state.fetch_and(~open); });
  state_.wait(patience_, [](Watched::Number state) { return (state & inside) == 0; });
  return true;
}

// Joins the open call, if there is one with this rank.
bool Pool::join(int rank) {
  return state_.change([rank](std::atomic<Watched::Number>& state) {
    Watched::Number now = state.load();
    while ((now & open) != 0 && rank < size_of(now))
      if (state.compare_exchange_weak(now, now + 1)) return true;
    return false;
  });
}

void Pool::work(int rank, Worker& worker) {
  member = true;
  std::chrono::microseconds patience{};
  Watched::Number calls = 0;
  for (std::uint64_t last = 0;;) {
    calls = worker.calls.wait(patience, [calls](Watched::Number now) { return now != calls; });
    if (!join(rank)) continue;
    patience = patience_;
    if (call_ != last) {  // otherwise the worker has already joined this call
      last = call_;
      body_(context_, rank, size_);
    }
    state_.change([](std::atomic<Watched::Number>& state) { return state.fetch_sub(1); });
  }
}

// Reads OMP_NUM_THREADS as OpenMP does: once, and the first number of a list. Any other text is ignored.
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

void backend::run(int threads, std::chrono::microseconds patience, Body body, void* context) {
  if (member || !pool().run(threads, patience, body, context)) body(context, 0, 1);
}

}  // namespace chainrule
