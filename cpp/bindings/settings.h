// The options of a fit: from Python's plain values to the core's structs.
#pragma once

#include <memory>
#include <string>

#include "bindings/arrays.h"
#include "chainrule/training.h"

namespace chainrule::python {

// All settings, as Python shows them: tuples of (name, type, default, range, meaning, elsewhere), by the name of their
// struct.
py::dict described_settings();

// Raises as fit would, for an object that has the core_name of a struct and its settings as attributes.
void check_settings(py::handle object);

// All options except data and callbacks: the settings that are given, metrics, and seed.
template <class T>
FitOptions<T> fit_options(const py::dict& settings);

// A state as a dict of epoch, seed, numbers and vectors, and back.
template <class T>
py::dict state_dict(const FitState<T>& state);
template <class T>
FitState<T> state_of(const py::dict& values);

}  // namespace chainrule::python
