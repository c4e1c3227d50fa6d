// Handlers for fork. A child process has only the thread that called fork, so it must reset the locks and counters that
// the other threads of the parent held.
#pragma once

#ifndef _WIN32
#include <pthread.h>
#endif

namespace chainrule {

// Registers functions that are called in the parent before each fork and in the child after it. Does nothing on systems
// without fork.
struct AtFork {
  AtFork([[maybe_unused]] void (*before)(), [[maybe_unused]] void (*in_child)()) {
#ifndef _WIN32
    pthread_atfork(before, nullptr, in_child);
#endif
  }
};

}  // namespace chainrule
