#include "bindings/inputs.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "bindings/binned_features.h"
#include "bindings/file_rows.h"
#include "bindings/typed_rows.h"
#include "core/check.h"

namespace chainrule::python {
namespace {

// Converts a vector of integers to a contiguous one of Integer.
template <class Integer>
py::array_t<Integer> integers(py::handle object, const char* name) {
  const py::array array = real_array(object, name);
  require(array.ndim() == 1, name, " has shape ", Shape{array}, ", expected one dimension");
  if (array.dtype().kind() != 'i' && array.dtype().kind() != 'u')
    throw py::type_error(text_of(name, " has dtype ", std::string(py::str(array.dtype())), ", expected integers"));
  const Index size = sizeof(Integer);
  if (array.size() > 0 && (array.itemsize() > size || (array.itemsize() == size && array.dtype().kind() == 'u'))) {
    const py::object lowest = call(array.attr("min")), highest = call(array.attr("max"));
    using Limits = std::numeric_limits<Integer>;
    const int bits = Limits::digits + 1;
    require(lowest >= py::int_(Limits::min()) && highest <= py::int_(Limits::max()), name, " has values from ",
            std::string(py::str(lowest)), " to ", std::string(py::str(highest)), ", expected values that fit int",
            bits);
  }
  const py::object require_array = py::module_::import("numpy").attr("require");
  return py::array_t<Integer>(call(require_array, array, py::dtype::of<Integer>(), "CA"));
}

template <class T>
bool is_ascending(const SparseView<T>& x) {
  for (Index i = 0; i < x.rows; ++i)
    for (Index k = x.indptr[i] + 1; k < x.indptr[i + 1]; ++k)
      if (x.indices[k] <= x.indices[k - 1]) return false;
  return true;
}

// Makes a copy with ascending columns in each row, and sums duplicate entries.
template <class T>
void sort_columns(InputArrays<T>& result) {
  const SparseView<T> x = result.view.sparse;
  const Index first = x.indptr[0], count = x.indptr[x.rows] - first;
  result.indptr = Buffer<Index>(x.rows + 1);
  result.indices = Buffer<std::int32_t>(count);
  result.values = Buffer<T>(count);
  std::vector<std::pair<std::int32_t, T>> row;
  Index end = 0;
  for (Index i = 0; i < x.rows; ++i) {
    row.clear();
    for (Index k = x.indptr[i]; k < x.indptr[i + 1]; ++k) row.emplace_back(x.indices[k], x.values[k]);
    std::stable_sort(row.begin(), row.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    const Index begin = end;
    for (const auto& [column, value] : row) {
      if (end > begin && result.indices[end - 1] == column) {
        result.values[end - 1] += value;
        continue;
      }
      result.indices[end] = column;
      result.values[end++] = value;
    }
    result.indptr[i + 1] = end;
  }
  result.view = SparseView<T>{result.indptr.data(), result.indices.data(), result.values.data(), x.rows, x.cols};
}

template <class T>
InputArrays<T> sparse_inputs(py::object object) {
  if (!py::isinstance<py::str>(py::getattr(object, "format", py::none())) ||
      object.attr("format").cast<std::string>() != "csr")
    object = call(object.attr("tocsr"));
  const py::tuple shape(object.attr("shape"));
  require(shape.size() == 2, "X has shape ", std::string(py::str(shape)), ", expected two dimensions: (rows, columns)");
  const Index rows = shape[0].cast<Index>(), cols = shape[1].cast<Index>();
  const auto indptr = integers<Index>(object.attr("indptr"), "X.indptr");
  const auto indices = integers<std::int32_t>(object.attr("indices"), "X.indices");
  const py::array data = real_array(object.attr("data"), "X.data");
  const Vector<T> values = vector<T>(data, data.ndim() > 0 ? data.shape(0) : 0, "X.data");
  require(rows >= 0 && indptr.size() == rows + 1, "X is not in CSR form: indptr has ", indptr.size(), " entries for ",
          rows, " rows");
  const Index* ends = indptr.data();
  for (Index i = 0; i < rows; ++i)
    require(ends[0] >= 0 && ends[i] <= ends[i + 1], "X is not in CSR form: indptr goes from ", ends[i], " to ",
            ends[i + 1], " in row ", i);
  require(ends[rows] <= indices.size() && ends[rows] <= data.shape(0), "X is not in CSR form: indptr ends with ",
          ends[rows], ", there are ", indices.size(), " indices and ", data.shape(0), " values");
  InputArrays<T> result;
  result.arrays = {indptr, indices, values.array};
  result.view = SparseView<T>{ends, indices.data(), values.data, rows, cols};
  if (!is_ascending(result.view.sparse)) sort_columns(result);
  return result;
}

// For chainrule.BinnedRows, whose constructor has converted its arrays to these types and made them contiguous.
template <class T>
InputArrays<T> binned_inputs(const py::object& object) {
  InputArrays<T> result;
  for (const py::handle column : object.attr("layout")) {
    const auto pair = py::cast<py::tuple>(column);
    result.layout.push_back({from_name<ColumnKind>(pair[0].cast<std::string>(), column_kind_names, "kind of column"),
                             pair[1].cast<Index>()});
  }
  const py::array codes = object.attr("codes");
  Matrix<T> values = matrix<T>(object.attr("values"), "X.values");
  const auto view = [&](const auto* code) {
    return BinnedView<T>(result.layout, code, values.view.data, values.view.rows);
  };
  BinnedView<T> x;
  if (py::isinstance<py::array_t<std::uint8_t, py::array::c_style>>(codes))
    x = view(static_cast<const std::uint8_t*>(codes.data()));
  else if (py::isinstance<py::array_t<std::uint16_t, py::array::c_style>>(codes))
    x = view(static_cast<const std::uint16_t*>(codes.data()));
  else if (py::isinstance<py::array_t<std::int32_t, py::array::c_style>>(codes))
    x = view(static_cast<const std::int32_t*>(codes.data()));
  require(x.codes != nullptr && codes.size() == x.rows * x.codes_per_row &&
              values.array.size() == x.rows * x.values_per_row && (values.array.flags() & py::array::c_style),
          "the arrays of X have a different type, shape or order than those that it was made with");
  result.view = x;
  result.arrays = {codes, values.array};
  return result;
}

}  // namespace

template <class T>
InputArrays<T> inputs(py::handle object, Index part_rows) {
  if (!py::isinstance<py::array>(object)) {
    const auto other = py::reinterpret_borrow<py::object>(object);
    if (py::hasattr(other, "tocsr")) return sparse_inputs<T>(other);
    const auto binned = py::module_::import("chainrule.binned");
    if (py::isinstance(other, binned.attr("BinnedRows"))) return binned_inputs<T>(other);
    if (py::isinstance(other, binned.attr("BinnedFeatures"))) {
      InputArrays<T> result = binned_inputs<T>(other.attr("rows"));
      const BinnedView<T> rows = result.view.binned;
      result.reader = binned_features<T>(rows);
      result.view = Inputs<T>(*result.reader, rows.rows, rows.cols);
      return result;
    }
    if (is_file_rows(other)) {
      auto reader = std::make_unique<FileRows<T>>(other, part_rows);
      InputArrays<T> result;
      result.view = Inputs<T>(*reader, reader->rows(), reader->cols());
      result.reader = std::move(reader);
      return result;
    }
  }
  py::array array = real_array(object, "X");
  InputArrays<T> result;
  if ((result.reader = typed_rows<T>(array))) {
    result.view = Inputs<T>(*result.reader, array.shape(0), array.shape(1));
    result.arrays = {std::move(array)};
    return result;
  }
  Matrix<T> dense = matrix<T>(array, "X");
  result.view = dense.view;
  result.arrays = {std::move(dense.array)};
  return result;
}

template <class T>
ExampleArrays<T> examples(py::handle x, py::handle y, py::handle sample_weight, Loss loss, Index outputs) {
  ExampleArrays<T> result;
  result.x = inputs<T>(x);
  const Index rows = result.x.view.rows;
  result.y = targets<T>(y, loss, rows, outputs);
  result.weights = vector<T>(sample_weight, rows, "sample_weight");
  result.examples = {result.x.view, result.y.targets, result.weights.data};
  return result;
}

#define CHAINRULE_INSTANTIATE(T)                     \
  template InputArrays<T> inputs(py::handle, Index); \
  template ExampleArrays<T> examples(py::handle, py::handle, py::handle, Loss, Index);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule::python
