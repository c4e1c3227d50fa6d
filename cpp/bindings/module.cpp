#include "bindings/module.h"

#include <pybind11/numpy.h>

// No state of the extension needs the GIL: settings of the process are atomic, the rest belongs to a call or an object.
PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
  pybind11::dtype::of<float>();  // looks up NumPy's functions, which releases the GIL, before there are threads
  module.doc() = "The C++ core of chainrule.";
  chainrule::python::bind_runtime(module);
  chainrule::python::bind_traits(module);
  chainrule::python::bind_functional(module);
  chainrule::python::bind_network(module);
  chainrule::python::bind_training(module);
  chainrule::python::bind_files(module);
  chainrule::python::bind_testing(module);
}
