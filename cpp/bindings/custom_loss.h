// A Python function as a custom loss.
#pragma once

#include "bindings/arrays.h"

namespace chainrule::python {

// Calls function(logits, y, weight) -> (cost, gradient with respect to the logits) for a batch, and holds the GIL only
// during the call. losses.py has checked the types. y and weight are passed as the caller gave them or, if by_rows is
// true because a batch may have only some of the rows, as those rows of numpy.asarray(y) and numpy.asarray(weight).
template <class T>
CustomLoss<T> custom_loss(py::object function, py::object y, py::object weight, bool by_rows);

}  // namespace chainrule::python
