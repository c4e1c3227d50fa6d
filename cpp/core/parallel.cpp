#include "core/parallel.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <mutex>

#include "core/backoff.h"
#include "core/check.h"
#include "core/parallel_backend.h"
#include "core/processors.h"

namespace chainrule {
namespace {

std::atomic<int> requested_threads{0};
std::atomic<int> processors_seen{0};  // number of processors at the last call of threads_for

bool named_by_environment() {
  const char* variable = std::getenv("OMP_NUM_THREADS");
  return variable != nullptr && *variable != '\0';
}

struct Choice {
  int threads;
  const char* reason;
};

Choice default_threads() {
  if (const int threads = requested_threads) return {threads, "set_num_threads"};
  const int limit = backend::limit();
  if (named_by_environment()) return {limit, "OMP_NUM_THREADS"};
  const Processors granted = processors();
  const int useful = granted.useful();
  if (limit < useful) return {limit, "the limit of the thread backend"};
  if (useful < std::min(granted.allowed, granted.cores)) return {useful, "the quota of the control group"};
  if (useful < granted.allowed) return {useful, "the physical cores that this thread may run on"};
  return {useful, "the processors that this thread may run on"};
}

// With fewer operations than this, a second thread costs more time than it saves: starting a region takes about 0.5 us
// if the team is awake and 20 us if it sleeps, and a core executes about 1e5 operations per microsecond.
constexpr double operations_per_thread = 1e6;

}  // namespace

void set_num_threads(int threads) {
  require(threads >= 0, "threads is ", threads, ", expected 0 or more");
  requested_threads = threads;
}

int num_threads() { return default_threads().threads; }
std::string num_threads_reason() { return default_threads().reason; }
std::string thread_backend() { return backend::name; }

int threads_for(double operations, int requested) {
  require(requested >= 0, "threads is ", requested, ", expected 0 or more");
  if (operations < 2 * operations_per_thread) return 1;  // without a system call
  if (backend::in_team()) return 1;
  // Many more threads than processors only cost time, and libgomp ends the process if the system refuses to start them.
  processors_seen = processors().allowed;
  const int threads = std::min(requested > 0 ? requested : num_threads(), std::max(16, 4 * processors_seen));
  return static_cast<int>(std::clamp(operations / operations_per_thread, 1.0, static_cast<double>(threads)));
}

void detail::run_team(int threads, Length length, void (*body)(void*, Team), void* context) {
  using Clock = std::chrono::steady_clock;
  static thread_local Backoff backoff;
  if (threads <= 1) return body(context, {0, 1});
  const Clock::time_point start = Clock::now();
  if (length == Length::brief && backoff.lasts(start)) return body(context, {0, 1});
  static thread_local Phases phases;  // a thread leads one team at a time
  struct Members {
    void (*body)(void*, Team);
    void* context;
    Phases* phases;
    Clock::time_point leader_end{};  // when rank 0 finished its body
    std::exception_ptr first{};
    std::mutex guard{};
  } members{body, context, &phases};
  // If there are more members than processors, a member that spins while it waits would keep another from working.
  if (processors_seen == 0) processors_seen = processors().allowed;
  const std::chrono::microseconds patience(threads <= processors_seen ? 50 : 0);
  phases.begin(threads, patience);
  backend::run(
      threads, patience,
      [](void* all, int rank, int size) {
        Members& team = *static_cast<Members*>(all);
        try {
          team.body(team.context, {rank, size, team.phases});
        } catch (...) {
          {
            const std::lock_guard lock(team.guard);
            if (!team.first) team.first = std::current_exception();
          }
          team.phases->abandon();
        }
        if (rank == 0) team.leader_end = Clock::now();
      },
      &members);
  const Clock::time_point end = Clock::now();
  const auto waited = phases.waited() + (end - members.leader_end);
  if (length == Length::brief) backoff.record(threads, start, end, waited);
  if (members.first) std::rethrow_exception(members.first);
}

}  // namespace chainrule
