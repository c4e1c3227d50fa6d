// The extension's table of contents: one function per topic, each in its own file.
#pragma once

#include <pybind11/pybind11.h>

namespace chainrule::python {

void bind_runtime(pybind11::module_& module);     // threads, instruction sets, version
void bind_traits(pybind11::module_& module);      // the lists of activations, losses, metrics
void bind_functional(pybind11::module_& module);  // the array functions
void bind_network(pybind11::module_& module);     // Network
void bind_training(pybind11::module_& module);    // training, after bind_network
void bind_files(pybind11::module_& module);       // model files, after bind_network
void bind_columns(pybind11::module_& module);     // columns of tables as rows
void bind_testing(pybind11::module_& module);     // for tests and benchmarks

}  // namespace chainrule::python
