// Writes the columns of a table as rows. NumPy would write column by column, and so load each cache line of the output
// once per number in it.
#include <array>
#include <utility>
#include <vector>

#include "bindings/convert.h"
#include "bindings/module.h"
#include "core/check.h"

namespace chainrule::python {
namespace {

using namespace py::literals;

// A block of numbers is converted to T and then written as rows, while it is in the cache.
constexpr Index block_rows = 256, block_cols = 16;

template <class T>
struct Column {
  py::array array;
  const char* data;
  NumberType<T> type;
};

template <class T>
Column<T> column_of(py::array array) {
  NumberType<T> type = number_type<T>(array);
  if (type.bytes == 0 || !(array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) ||
      (array.ndim() == 1 && array.shape(0) > 1 && array.strides(0) != type.bytes)) {
    array = py::array_t<T, py::array::c_style | py::array::forcecast>(array);
    type = {sizeof(T), nullptr};
  }
  const char* data = static_cast<const char*>(array.data());
  return {std::move(array), data, type};
}

template <class T>
void write(const std::vector<Column<T>>& columns, const MatrixView<T>& out) {
  std::array<std::array<T, block_rows>, block_cols> converted;
  std::array<const T*, block_cols> from;
  for (Index top = 0; top < out.rows; top += block_rows) {
    const Index rows = std::min(block_rows, out.rows - top);
    for (Index left = 0; left < out.cols; left += block_cols) {
      const Index cols = std::min(block_cols, out.cols - left);
      for (Index j = 0; j < cols; ++j) {
        const Column<T>& column = columns[static_cast<std::size_t>(left + j)];
        const char* data = column.data + top * column.type.bytes;
        T* to = converted[static_cast<std::size_t>(j)].data();
        if (column.type.convert != nullptr) column.type.convert(data, rows, to);
        from[static_cast<std::size_t>(j)] = column.type.convert != nullptr ? to : reinterpret_cast<const T*>(data);
      }
      for (Index i = 0; i < rows; ++i) {
        T* to = out.row(top + i) + left;
        for (Index j = 0; j < cols; ++j) to[j] = from[static_cast<std::size_t>(j)][i];
      }
    }
  }
}

template <class T>
void write_columns(const py::sequence& sequence, py::array_t<T> out) {
  std::vector<Column<T>> columns;
  for (const py::handle column : sequence) columns.push_back(column_of<T>(column.cast<py::array>()));
  const auto size = static_cast<Index>(sizeof(T));
  require(out.ndim() == 2 && out.shape(1) == std::ssize(columns) &&
              (out.shape(1) < 2 || out.size() == 0 || out.strides(1) == size),
          "out has shape ", Shape{out}, ", expected rows of ", columns.size(), " contiguous numbers");
  for (const Column<T>& column : columns)
    require(column.array.ndim() == 1 && column.array.shape(0) == out.shape(0), "a column has shape ",
            Shape{column.array}, ", expected (", out.shape(0), ",)");
  const MatrixView<T> view{out.mutable_data(), out.shape(0), out.shape(1), out.strides(0) / size, 1};
  const WithoutGil released;
  write(columns, view);
}

}  // namespace

void bind_columns(py::module_& module) {
  module.def(
      "write_columns",
      [](const py::sequence& columns, const py::array& out) {
        if (py::isinstance<py::array_t<float>>(out)) return write_columns<float>(columns, py::array_t<float>(out));
        if (py::isinstance<py::array_t<double>>(out)) return write_columns<double>(columns, py::array_t<double>(out));
        throw py::type_error("out must be an array of float32 or float64");
      },
      "columns"_a, "out"_a);
}

}  // namespace chainrule::python
