// Handlers for fork: a child has only the thread that forked, so locks and counters of the parent's other threads must
// be reset in it.
#pragma once

#ifndef _WIN32
#include <pthread.h>
#endif

namespace chainrule {

// Registers functions that are called in the parent before each fork and in each child after it. No-op without fork.
struct AtFork {
  AtFork([[maybe_unused]] void (*before)(), [[maybe_unused]] void (*in_child)()) {
#ifndef _WIN32
    pthread_atfork(before, nullptr, in_child);
#endif
  }
};

}  // namespace chainrule
