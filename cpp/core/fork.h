// What a fork has to be prepared for, and its child to put right: of its parent's threads a child has only the one that
// forked, and what the others held or counted stays so.
#pragma once

#ifndef _WIN32
#include <pthread.h>
#endif

namespace chainrule {

// Has these called from now on, where there are forks: in the parent before one, and in each child.
struct AtFork {
  AtFork([[maybe_unused]] void (*before)(), [[maybe_unused]] void (*in_child)()) {
#ifndef _WIN32
    pthread_atfork(before, nullptr, in_child);
#endif
  }
};

}  // namespace chainrule
