// Converts NumPy arrays to views and back. Every array that a caller passes goes through here.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <optional>
#include <span>

#include "bindings/gil.h"
#include "chainrule/network.h"
#include "core/buffer.h"
#include "core/check.h"

namespace chainrule::python {

namespace py = pybind11;

// Converts an object to an array of a real dtype (bool, integers, float16, float32, float64), with the help of
// chainrule/_objects.py. Errors name the argument.
py::array real_array(py::handle object, const char* name);

// The shape of an array. It is converted to text such as "(3, 4)" only if a message needs it.
struct Shape {
  const py::array& array;
  operator std::string() const;
};

// True if arrays like this are computed in float64; all others are computed in float32.
bool is_float64(const py::array& array);

// A matrix of T that keeps its array alive. An aligned array of T in native byte order is used in place, whatever its
// strides; any other array is converted once.
template <class T>
struct Matrix {
  py::array array;
  MatrixView<const T> view;
};
template <class T>
Matrix<T> matrix(py::handle object, const char* name);

// A contiguous vector of T of a given length; null for None.
template <class T>
struct Vector {
  py::array array;
  const T* data = nullptr;
};
template <class T>
Vector<T> vector(py::handle object, Index length, const char* name);

// Converts y for a loss: shape (m,) or (m, 1) for one output, or for quantile, whose levels share one target; (m, n)
// for several outputs; m class numbers are allowed for softmax cross-entropy.
template <class T>
struct TargetArrays {
  Matrix<T> values;
  Buffer<std::int32_t> labels;
  Targets<T> targets;
};
template <class T>
TargetArrays<T> targets(py::handle object, Loss loss, Index rows, Index outputs);

// These return a new C-contiguous array, a copy of values, and views of memory that keep the memory's `owner` alive.
template <class T>
py::array_t<T> new_matrix(Index rows, Index cols) {
  return py::array_t<T>({rows, cols});
}
template <class T>
py::array_t<T> array_of(std::span<const T> values) {  // copied here because NumPy would release the GIL
  py::array_t<T> array(static_cast<Index>(values.size()));
  std::copy(values.begin(), values.end(), array.mutable_data());
  return array;
}
template <class T>
py::array_t<T> matrix_of(MatrixView<T> m, py::handle owner) {
  const auto size = static_cast<Index>(sizeof(T));
  return py::array_t<T>({m.rows, m.cols}, {m.row_stride * size, m.col_stride * size}, m.data, owner);
}
template <class T>
py::array_t<T> vector_of(T* data, Index size, py::handle owner) {
  return py::array_t<T>({size}, {static_cast<Index>(sizeof(T))}, data, owner);
}
template <class T>
MatrixView<T> view_of(py::array_t<T>& array) {
  return MatrixView<T>::contiguous(array.mutable_data(), array.shape(0), array.shape(1));
}

// The name of a loss and its parameters; if these are empty, the defaults are used.
using LossOptions = std::pair<std::string, std::vector<double>>;

// Converts Python's n_threads: None becomes 0, which means the setting of the process.
int thread_count(const std::optional<int>& n_threads);

}  // namespace chainrule::python
