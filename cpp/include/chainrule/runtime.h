// Settings of the process: the instruction set of the kernels and the number of threads. Results depend on neither,
// except for the baseline of old x86 CPUs. All functions may be called from any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chainrule/api.h"

namespace chainrule {

// Names of the compiled instruction sets that this CPU can execute, best first: avx512, avx2, baseline.
CHAINRULE_API std::vector<std::string> available_isas();
CHAINRULE_API std::vector<std::string> compiled_isas();

// The instruction set in use: initially the environment variable CHAINRULE_ISA, else the best. std::invalid_argument
// for a name that is unknown or not available; std::runtime_error while a call computes.
CHAINRULE_API std::string active_isa();
CHAINRULE_API void set_isa(std::string_view name);

// The number of threads of calls that do not state one. 0 restores the default: OMP_NUM_THREADS, else the physical
// cores that this thread may run on now and the quota of its control group. Small work uses fewer.
CHAINRULE_API void set_num_threads(int threads);
CHAINRULE_API int num_threads();
CHAINRULE_API std::string num_threads_reason();  // what decides it
CHAINRULE_API std::string thread_backend();      // "threads", "openmp" or "serial": CMake's CHAINRULE_THREADS

}  // namespace chainrule
