#include "core/parallel.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <mutex>

#include "core/check.h"
#include "core/parallel_backend.h"
#include "core/processors.h"

#ifdef __linux__
#include <sys/resource.h>
#endif

namespace chainrule {
namespace {

std::atomic<int> requested_threads{0};

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
  if (limit < useful) return {limit, "the limit of the thread back end"};
  if (useful < std::min(granted.allowed, granted.cores)) return {useful, "the quota of the control group"};
  if (useful < granted.allowed) return {useful, "the physical cores that this thread may run on"};
  return {useful, "the processors that this thread may run on"};
}

// Below this a second thread costs more than it brings: a region takes about 0.5 us when the team is awake, 20 us when
// it sleeps, and a core does some 1e5 multiply-adds and additions in a microsecond.
constexpr double operations_per_thread = 1e6;

}  // namespace

void set_num_threads(int threads) {
  require(threads >= 0, "n_threads must be at least 1, got ", threads);
  requested_threads = threads;
}

int num_threads() { return default_threads().threads; }
std::string num_threads_reason() { return default_threads().reason; }
std::string thread_backend() { return backend::name; }

int threads_for(double operations, int requested) {
  require(requested >= 0, "n_threads must be at least 1, got ", requested);
  if (operations < 2 * operations_per_thread) return 1;  // before anything is asked of the system
  if (backend::in_team()) return 1;
  // Far more threads than processors only cost; and where the system refuses them, libgomp ends the process.
  const int threads = std::min(requested > 0 ? requested : num_threads(), std::max(16, 4 * processors().allowed));
  return static_cast<int>(std::clamp(operations / operations_per_thread, 1.0, static_cast<double>(threads)));
}

long preemptions() {
#ifdef __linux__
  rusage usage;
  if (getrusage(RUSAGE_THREAD, &usage) == 0) return usage.ru_nivcsw;
#endif
  return 0;
}

void detail::run_team(int threads, void (*body)(void*, Team), void* context) {
  if (threads <= 1) return body(context, {0, 1});
  struct Guarded {
    void (*body)(void*, Team);
    void* context;
    std::exception_ptr first{};
    std::mutex guard{};
  } guarded{body, context};
  backend::run(
      threads,
      [](void* all, Team team) {
        Guarded& mine = *static_cast<Guarded*>(all);
        try {
          mine.body(mine.context, team);
        } catch (...) {
          const std::lock_guard lock(mine.guard);
          if (!mine.first) mine.first = std::current_exception();
        }
      },
      &guarded);
  if (guarded.first) std::rethrow_exception(guarded.first);
}

}  // namespace chainrule
