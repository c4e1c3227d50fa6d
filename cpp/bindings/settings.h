// Converts the options of a fit from Python values to the structs of the core.
#pragma once

#include <memory>
#include <string>

#include "bindings/arrays.h"
#include "chainrule/training.h"

namespace chainrule::python {

// All settings for the Python side: for the name of each struct, tuples of (name, type, default, range, meaning,
// elsewhere).
py::dict described_settings();

// Checks an object that has the core_name of a struct and its settings as attributes. Raises the errors that fit would
// raise.
void check_settings(py::handle object);

// All options except data and callbacks: the given settings, the metrics, and the seed.
template <class T>
FitOptions<T> fit_options(const py::dict& settings);

// Convert a state to a dict of epoch, seed, numbers and vectors, and back.
template <class T>
py::dict state_dict(const FitState<T>& state);
template <class T>
FitState<T> state_of(const py::dict& values);

}  // namespace chainrule::python
