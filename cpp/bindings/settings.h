// The options of a fit: from Python's plain values to the core's structs.
#pragma once

#include <memory>
#include <string>

#include "bindings/arrays.h"
#include "chainrule/training.h"

namespace chainrule::python {

OptimizerOptions optimizer_options(py::handle named);  // (name, settings)
Stop stop_options(const py::dict& settings);
RateSchedule rate_schedule(py::handle schedule);  // (name, settings), a function of the epoch, or None
Group group_options(const py::dict& settings);

// All that concerns neither data nor callbacks.
template <class T>
FitOptions<T> fit_options(const py::dict& settings);

// A state as a dict of epoch, seed, numbers and vectors, and back.
template <class T>
py::dict state_dict(const FitState<T>& state);
template <class T>
FitState<T> state_of(const py::dict& values);

}  // namespace chainrule::python
