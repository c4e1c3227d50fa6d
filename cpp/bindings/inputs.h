// Converts X: an array, a sparse CSR matrix of any package that has SciPy's attributes, BinnedRows, BinnedFeatures, or
// Rows in files.
#pragma once

#include <memory>
#include <vector>

#include "bindings/arrays.h"

namespace chainrule::python {

// Converted inputs; keeps the memory of the view alive. A CSR matrix of T with ascending int32 columns is used in
// place.
template <class T>
struct InputArrays {
  Inputs<T> view;
  std::vector<py::object> arrays;
  Buffer<std::int32_t> indices;  // used if the columns had to be copied in ascending order
  Buffer<Index> indptr;
  Buffer<T> values;
  std::vector<BinnedColumn> layout;  // of binned rows
  std::unique_ptr<RowReader<T>> reader;
};
// part_rows: for rows in files, the rows per part of an order within parts; 0 for other orders.
template <class T>
InputArrays<T> inputs(py::handle object, Index part_rows = 0);

// X, y and sample_weight of one call.
template <class T>
struct ExampleArrays {
  InputArrays<T> x;
  TargetArrays<T> y;
  Vector<T> weights;
  Examples<T> examples;
};
template <class T>
ExampleArrays<T> examples(py::handle x, py::handle y, py::handle sample_weight, Loss loss, Index outputs);

}  // namespace chainrule::python
