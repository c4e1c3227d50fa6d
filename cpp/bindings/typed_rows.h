// Large arrays of a type other than the network's, converted a batch at a time instead of as a whole.
#pragma once

#include <memory>

#include "bindings/arrays.h"

namespace chainrule::python {

// Returns a reader of a matrix of another real type, or null if the array should be converted at once, because it is
// small, is not stored as rows of contiguous numbers, or has a type for which there is no reader. The array must
// outlive the reader.
template <class T>
std::unique_ptr<RowReader<T>> typed_rows(const py::array& array);

}  // namespace chainrule::python
