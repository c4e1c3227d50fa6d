// Teams of OpenMP threads, for C++ programs that use OpenMP themselves and want a single pool. A region ends only when
// all of its threads have joined it, even if one comes too late to find work.
#include <omp.h>

#include "core/fork.h"
#include "core/parallel_backend.h"

namespace chainrule {
namespace {

// A forked child inherits libgomp's pool without its threads and would wait for them forever, so the pool is released
// before each fork.
void prepare_fork_once() {
  static const AtFork release_pool([] { omp_pause_resource_all(omp_pause_soft); }, nullptr);
}

}  // namespace

const char* const backend::name = "openmp";

// Read in the calling thread, because limits such as those of threadpoolctl are set per thread.
int backend::limit() { return omp_get_max_threads(); }

bool backend::in_team() { return omp_in_parallel() != 0; }

void backend::run(int threads, std::chrono::microseconds, void (*body)(void*, int, int), void* context) {
  prepare_fork_once();
#pragma omp parallel num_threads(threads)
  body(context, omp_get_thread_num(), omp_get_num_threads());
}

}  // namespace chainrule
