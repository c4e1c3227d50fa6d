#include "bindings/module.h"

#include <pybind11/numpy.h>

// The extension does not rely on the GIL: settings of the process are atomic, and all other state belongs to a call or
// an object.
PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
  pybind11::dtype::of<float>();  // looks up NumPy's functions now: this releases the GIL, so do it before threads start
  module.doc() = "The C++ core of chainrule.";
  chainrule::python::bind_runtime(module);
  chainrule::python::bind_traits(module);
  chainrule::python::bind_functional(module);
  chainrule::python::bind_network(module);
  chainrule::python::bind_training(module);
  chainrule::python::bind_files(module);
  chainrule::python::bind_columns(module);
  chainrule::python::bind_testing(module);
}
