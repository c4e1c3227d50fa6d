#include "core/parallel.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>

#include "core/check.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#ifdef __linux__
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#endif

namespace chainrule {
namespace {

std::atomic<int> requested_threads{0};

// Read at every call: a job scheduler may narrow it while the process lives.
int processors_now() {
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

#ifdef _OPENMP
// A child of fork inherits libgomp's pool without its threads and would wait for them for ever: dissolve the pool
// before.
void prepare_fork_once() {
#ifdef __linux__
  static const int registered = pthread_atfork([] { omp_pause_resource_all(omp_pause_soft); }, nullptr, nullptr);
  static_cast<void>(registered);
#endif
}
#endif

bool named_by_environment() {
  const char* variable = std::getenv("OMP_NUM_THREADS");
  return variable != nullptr && *variable != '\0';
}

// Below this a second thread costs more than it brings: a region takes about 0.5 us when the team is awake, 20 us when
// it sleeps, and a core does some 1e5 multiply-adds and additions in a microsecond.
constexpr double operations_per_thread = 1e6;

}  // namespace

void set_num_threads(int threads) {
  require(threads >= 0, "n_threads must be at least 1, got ", threads);
  requested_threads = threads;
}

int num_threads() {
  if (const int threads = requested_threads) return threads;
#ifdef _OPENMP
  // omp_get_max_threads is read in the calling thread: limits such as threadpoolctl's are set per thread.
  const int limit = omp_get_max_threads();
  if (named_by_environment()) return limit;
  return std::min(limit, processors_now());
#else
  return 1;
#endif
}

std::string num_threads_reason() {
  if (requested_threads != 0) return "set_num_threads";
#ifdef _OPENMP
  return named_by_environment() ? "OMP_NUM_THREADS" : "the processors that this thread may run on";
#else
  return "built without OpenMP";
#endif
}

std::string thread_backend() {
#ifdef _OPENMP
  return "openmp";
#else
  return "serial";
#endif
}

int threads_for(double operations, int requested) {
  require(requested >= 0, "n_threads must be at least 1, got ", requested);
  if (operations < 2 * operations_per_thread) return 1;  // before anything is asked of the system
#ifdef _OPENMP
  if (omp_in_parallel()) return 1;
  // Far more threads than processors only cost; and where the system refuses them, libgomp ends the process.
  const int threads = std::min(requested > 0 ? requested : num_threads(), std::max(16, 4 * processors_now()));
  return static_cast<int>(std::clamp(operations / operations_per_thread, 1.0, static_cast<double>(threads)));
#else
  static_cast<void>(operations);
  return 1;
#endif
}

long preemptions() {
#ifdef __linux__
  rusage usage;
  if (getrusage(RUSAGE_THREAD, &usage) == 0) return usage.ru_nivcsw;
#endif
  return 0;
}

void Team::barrier() const {
#ifdef _OPENMP
  if (size > 1) {
#pragma omp barrier
  }
#endif
}

void detail::run_team(int threads, void (*body)(void*, Team), void* context) {
#ifdef _OPENMP
  if (threads > 1) {
    prepare_fork_once();
    std::exception_ptr first;
    std::mutex guard;
#pragma omp parallel num_threads(threads)
    {
      try {
        body(context, {omp_get_thread_num(), omp_get_num_threads()});
      } catch (...) {
        const std::lock_guard lock(guard);
        if (!first) first = std::current_exception();
      }
    }
    if (first) std::rethrow_exception(first);
    return;
  }
#endif
  static_cast<void>(threads);
  body(context, {0, 1});
}

}  // namespace chainrule
