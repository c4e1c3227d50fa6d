// Columns of a table as rows: NumPy would write a column at a time, and so load each line of the rows once for each
// number in it.
#include <array>
#include <tuple>
#include <type_traits>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/module.h"
#include "core/check.h"

namespace chainrule::python {
namespace {

using namespace py::literals;

// A block of numbers is converted to T, and then written as rows while it is in the cache.
constexpr Index block_rows = 256, block_cols = 16;

template <class T>
struct Column {
  py::array array;
  const char* data;
  Index number_bytes;
  void (*convert)(const char* from, Index count, T* to);  // null if the numbers are of type T
};

template <class T, class From>
bool try_type(const py::array& array, Column<T>& column) {
  if (!py::isinstance<py::array_t<From, py::array::c_style>>(array)) return false;
  column = {array, static_cast<const char*>(array.data()), sizeof(From), nullptr};
  if constexpr (!std::is_same_v<T, From>)
    column.convert = [](const char* from, Index count, T* to) {
      for (Index i = 0; i < count; ++i) to[i] = static_cast<T>(reinterpret_cast<const From*>(from)[i]);
    };
  return true;
}

template <class T, class... From>
Column<T> first_of(const py::array& array, std::type_identity<std::tuple<From...>>) {
  Column<T> column{};
  if (!(array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) || !(try_type<T, From>(array, column) || ...))
    try_type<T, T>(py::array_t<T, py::array::c_style | py::array::forcecast>(array), column);
  return column;
}

template <class T>
Column<T> column_of(const py::array& array) {
  using Types = std::tuple<float, double, bool, std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t,
                           std::int32_t, std::uint64_t, std::int64_t>;
  return first_of<T>(array, std::type_identity<Types>());
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
        const char* data = column.data + top * column.number_bytes;
        T* to = converted[static_cast<std::size_t>(j)].data();
        if (column.convert != nullptr) column.convert(data, rows, to);
        from[static_cast<std::size_t>(j)] = column.convert != nullptr ? to : reinterpret_cast<const T*>(data);
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
          "out has shape ", Shape{out}, ", expected rows of ", columns.size(), " neighboring numbers");
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
