// Tells callgrind when to count: calls from a Python process that runs in it, by way of ctypes. Outside of valgrind
// they do nothing. Before the first `begin` nothing is counted and little simulated, so starting Python takes seconds.
#include <valgrind/callgrind.h>

extern "C" void begin() {
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
}

extern "C" void end(const char* name) { CALLGRIND_DUMP_STATS_AT(name); }
