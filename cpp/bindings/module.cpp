#include "bindings/module.h"

#include <pybind11/numpy.h>

// No state of ours needs the GIL: settings of the process are atomic, everything else belongs to a call or an object.
PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
  pybind11::dtype::of<float>();  // NumPy's functions, looked up before there are threads: it gives the GIL away
  module.doc() = "The C++ core of chainrule.";
  chainrule::python::bind_runtime(module);
  chainrule::python::bind_traits(module);
  chainrule::python::bind_functional(module);
  chainrule::python::bind_network(module);
  chainrule::python::bind_training(module);
  chainrule::python::bind_files(module);
  chainrule::python::bind_testing(module);
}
