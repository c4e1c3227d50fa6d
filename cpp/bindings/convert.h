// Numbers of the real types of NumPy, converted to the network's type.
#pragma once

#include "bindings/arrays.h"

namespace chainrule::python {

// How to read the numbers of an array as T.
template <class T>
struct NumberType {
  Index bytes;                                            // size of a number; 0 if the type is not a real type
  void (*convert)(const char* from, Index count, T* to);  // of contiguous, aligned numbers; null if they are T already
};

template <class T>
NumberType<T> number_type(const py::array& array);

}  // namespace chainrule::python
