// What a back end of core/parallel brings; Team::barrier is its too. Exactly one is compiled.
#pragma once

#include "core/parallel.h"

namespace chainrule::backend {

extern const char* const name;

// The threads a region of the calling thread may have: OMP_NUM_THREADS or, with OpenMP, who sets limits at run time
// says so; otherwise at least the number of processors.
int limit();

bool in_team();  // the calling thread is a member of one; nested teams have one member

// Runs body in `threads` > 1 members, the calling thread being one, or in fewer. body does not throw.
void run(int threads, void (*body)(void*, Team), void* context);

}  // namespace chainrule::backend
