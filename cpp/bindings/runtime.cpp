#include "chainrule/runtime.h"

#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/module.h"
#include "core/caches.h"

namespace chainrule::python {
namespace {

#ifdef __clang__
constexpr const char* compiler = __VERSION__;  // begins with the compiler's name
#else
constexpr const char* compiler = "GCC " __VERSION__;
#endif

py::dict build_config() {
  using namespace py::literals;
  return py::dict("version"_a = CHAINRULE_VERSION, "compiler"_a = compiler, "isas_compiled"_a = compiled_isas(),
                  "isas_available"_a = available_isas(), "isa"_a = active_isa(), "thread_backend"_a = thread_backend(),
                  "threads"_a = num_threads(), "threads_because"_a = num_threads_reason(),
                  "caches"_a = sizes_of(caches()), "caches_because"_a = caches().source);
}

}  // namespace

// Marks this library for threadpoolctl: chainrule._threadpools.
extern "C" PYBIND11_EXPORT int chainrule_num_threads() { return num_threads(); }

void bind_runtime(py::module_& module) {
  module.attr("__version__") = CHAINRULE_VERSION;
  module.def("set_num_threads", [](std::optional<int> n) { set_num_threads(thread_count(n)); }, py::arg("n_threads"));
  module.def("get_num_threads", &num_threads);
  module.def("available_isas", &available_isas);
  module.def("get_isa", &active_isa);
  module.def("set_isa", [](const std::string& name) { set_isa(name); }, py::arg("name"));
  module.def("build_config", &build_config);
}

}  // namespace chainrule::python
