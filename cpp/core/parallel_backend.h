// The interface of a backend of core/parallel. Exactly one is compiled.
#pragma once

#include "core/parallel.h"

namespace chainrule::backend {

extern const char* const name;

// The size of the largest team of the calling thread: OMP_NUM_THREADS or, with OpenMP, a limit that was set at run
// time. If there is no such limit, at least the number of processors.
int limit();

bool in_team();  // true if the calling thread is a member of a team; nested teams have one member

// Runs body in up to `threads` > 1 members and waits for those that have begun. The calling thread has rank 0. The
// others may begin at any time, or never. patience: how long idle threads spin before they sleep. body must not throw.
void run(int threads, std::chrono::microseconds patience, void (*body)(void*, int rank, int size), void* context);

}  // namespace chainrule::backend
