// A Python function as a custom loss.
#pragma once

#include "bindings/arrays.h"

namespace chainrule::python {

// Calls function(logits, y, weight) -> (cost, gradient by the logits) for a batch, with the GIL held only for the call;
// losses.py has checked the types. y and weight are passed as the caller gave them, or, if a batch may have only `some`
// rows, as entries of numpy.asarray of them.
template <class T>
CustomLoss<T> custom_loss(py::object function, py::object y, py::object weight, bool some);

}  // namespace chainrule::python
