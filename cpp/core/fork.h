// What the child of a fork puts right: of its parent's threads it has only the one that forked, and what the others
// held or counted stays so.
#pragma once

#ifndef _WIN32
#include <pthread.h>
#endif

namespace chainrule {

struct InChildOfFork {
  // Calls `function` in every child from now on, in the thread that forked.
  explicit InChildOfFork([[maybe_unused]] void (*function)()) {
#ifndef _WIN32
    pthread_atfork(nullptr, nullptr, function);
#endif
  }
};

}  // namespace chainrule
