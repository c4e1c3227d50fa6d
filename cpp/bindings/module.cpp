#include "bindings/module.h"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The C++ core of chainrule.";
  chainrule::python::bind_runtime(module);
  chainrule::python::bind_functional(module);
  chainrule::python::bind_network(module);
  chainrule::python::bind_testing(module);
}
