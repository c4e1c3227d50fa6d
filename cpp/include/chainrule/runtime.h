// Settings of the process: the instruction set of the kernels and the number of threads. Results do not depend on them,
// except that the baseline for old x86 CPUs gives different bits. All functions may be called from any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chainrule/api.h"

namespace chainrule {

// Names of the compiled instruction sets that this CPU can execute, best first: avx512, avx2, baseline.
CHAINRULE_API std::vector<std::string> available_isas();
CHAINRULE_API std::vector<std::string> compiled_isas();

// The instruction set in use: initially that of the environment variable CHAINRULE_ISA, otherwise the best one. set_isa
// throws std::invalid_argument for a name that is unknown or not available, and std::runtime_error while a computation
// is running.
CHAINRULE_API std::string active_isa();
CHAINRULE_API void set_isa(std::string_view name);

// The number of threads of calls that do not specify one. 0 restores the default: OMP_NUM_THREADS or, if that is not
// set, the number of physical cores that this thread may run on now, limited by the quota of its control group. Calls
// with little work use fewer threads.
CHAINRULE_API void set_num_threads(int threads);
CHAINRULE_API int num_threads();
CHAINRULE_API std::string num_threads_reason();  // what determines num_threads()
CHAINRULE_API std::string thread_backend();      // "threads", "openmp" or "serial", as set by CMake's CHAINRULE_THREADS

}  // namespace chainrule
