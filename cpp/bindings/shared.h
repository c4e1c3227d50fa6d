// Python objects captured by std::functions that the core may copy and destroy in any thread, without the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "bindings/gil.h"

namespace chainrule::python {

using SharedObject = std::shared_ptr<const pybind11::object>;

inline SharedObject shared(pybind11::handle object) {
  return {new pybind11::object(pybind11::reinterpret_borrow<pybind11::object>(object)),
          [](const pybind11::object* held) {
            const WithGil gil;
            delete held;
          }};
}

}  // namespace chainrule::python
