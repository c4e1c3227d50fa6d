// What a back end of core/parallel brings. Exactly one is compiled.
#pragma once

#include "core/parallel.h"

namespace chainrule::backend {

extern const char* const name;

// The threads a region of the calling thread may have: OMP_NUM_THREADS or, with OpenMP, who sets limits at run time
// says so; otherwise at least the number of processors.
int limit();

bool in_team();  // the calling thread is a member of one; nested teams have one member

// Runs body in `threads` > 1 members, or in fewer, and waits for them; the calling thread has rank 0. A member may
// begin at any time, or not at all. patience: of threads that wait for work. body does not throw.
void run(int threads, std::chrono::microseconds patience, void (*body)(void*, int rank, int size), void* context);

}  // namespace chainrule::backend
