// A Python function as a loss of its own.
#pragma once

#include "bindings/arrays.h"

namespace chainrule::python {

// function(logits, y, weight) -> (cost, gradient by the logits) of a batch, whose types losses.py has checked, with the
// GIL held for the call alone. y and weight come as the caller gave them, or, where `some` rows may be asked for, as
// the entries of numpy.asarray of them.
template <class T>
CustomLoss<T> custom_loss(py::object function, py::object y, py::object weight, bool some);

}  // namespace chainrule::python
