#include "bindings/arrays.h"

#include <cmath>

#include "core/check.h"
#include "net/checks.h"

namespace chainrule::python {
namespace {

// True if the elements are of type T, aligned, and the strides are multiples of their size.
template <class T>
bool readable_in_place(const py::array& array) {
  if (!py::isinstance<py::array_t<T>>(array) || !(array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_))
    return false;
  for (Index d = 0; d < array.ndim(); ++d)
    if (array.strides(d) % static_cast<Index>(sizeof(T)) != 0) return false;
  return true;
}

// Copies are row-major, which is faster to train on.
template <class T>
py::array as(py::array array) {
  if (readable_in_place<T>(array)) return array;
  return call(array.attr("astype"), py::dtype::of<T>(), "C");
}

// Class numbers: integers, or floating-point numbers with integer values.
Buffer<std::int32_t> class_numbers(const py::array& array, Index rows, Index outputs) {
  const py::array_t<double> values(call(call(array.attr("reshape"), -1).attr("astype"), "float64"));
  Buffer<std::int32_t> labels(rows);
  for (Index i = 0; i < rows; ++i) {
    const double value = values.at(i);
    require(
        value >= 0 && value < static_cast<double>(outputs) && value == static_cast<double>(static_cast<Index>(value)),
        "y[", i, "] is ", value, ", expected a class number from 0 to ", outputs - 1);
    labels[i] = static_cast<std::int32_t>(value);
  }
  return labels;
}

// For quantile, rejects a y whose columns differ: all levels share one target, so the caller probably has two targets.
template <class T>
void check_one_target(const MatrixView<const T>& y) {
  for (Index i = 0; i < y.rows; ++i)
    for (Index j = 1; j < y.cols; ++j)
      require(
          y(i, j) == y(i, 0) || (std::isnan(y(i, j)) && std::isnan(y(i, 0))), "y has ", y.cols,
          " columns, quantile expects one, which its levels share: for several targets, train one network per target");
}

bool is_masked_array(py::handle object) { return py::isinstance<py::array>(object) && py::hasattr(object, "mask"); }

}  // namespace

py::array real_array(py::handle object, const char* name) {
  // An exact ndarray of numbers is used unchanged; subclasses (matrix, memmap) and other objects are converted by
  // NumPy.
  const auto is_real = [](const py::array& array) {
    const char kind = array.dtype().kind();
    return kind == 'b' || kind == 'i' || kind == 'u' || (kind == 'f' && array.itemsize() <= 8);
  };
  const bool exact = Py_TYPE(object.ptr()) == py::detail::npy_api::get().PyArray_Type_;
  if (!exact && is_masked_array(object))
    throw py::type_error(text_of(name, " is a masked array; fill it or leave the masked entries out"));
  if (exact && is_real(py::reinterpret_borrow<py::array>(object))) return py::reinterpret_borrow<py::array>(object);
  const py::array array(call(py::module_::import("chainrule._objects").attr("numbers"), object, name));
  if (!is_real(array))
    throw py::type_error(
        text_of(name, " has dtype ", std::string(py::str(array.dtype())),
                ", expected float32, float64, or a type that converts to float32: integers, bool, float16"));
  return array;
}

Shape::operator std::string() const { return py::str(py::tuple(array.attr("shape"))); }

bool is_float64(const py::array& array) { return array.dtype().kind() == 'f' && array.itemsize() == 8; }

template <class T>
Matrix<T> matrix(py::handle object, const char* name) {
  py::array array = as<T>(real_array(object, name));
  require(array.ndim() == 2, name, " has shape ", Shape{array}, ", expected two dimensions: (rows, columns)",
          array.ndim() == 1 ? "; for a single row, pass [row]" : "");
  const Index size = sizeof(T);
  const MatrixView<const T> view{static_cast<const T*>(array.data()), array.shape(0), array.shape(1),
                                 array.strides(0) / size, array.shape(1) == 1 ? 1 : array.strides(1) / size};
  return {std::move(array), view};
}

template <class T>
Vector<T> vector(py::handle object, Index length, const char* name) {
  if (object.is_none()) return {};
  py::array array = as<T>(real_array(object, name));
  require(array.ndim() == 1 && array.shape(0) == length, name, " has shape ", Shape{array}, ", expected (", length,
          ",)");
  array = call(array.attr("ravel"));  // contiguous; copies only if necessary
  const T* data = static_cast<const T*>(array.data());
  return {std::move(array), data};
}

template <class T>
TargetArrays<T> targets(py::handle object, Loss loss, Index rows, Index outputs) {
  // A masked array with a masked entry becomes an array with NaN in the masked places, and Targets::missing is set.
  // Only then: nothing can be imported while the interpreter ends.
  auto values = py::reinterpret_borrow<py::object>(object);
  if (is_masked_array(object))
    values = call(py::module_::import("chainrule._objects").attr("nan_where_masked"), object);
  const bool missing = !values.is(object);
  py::array array = real_array(values, "y");
  require(array.ndim() == 1 || array.ndim() == 2, "y has shape ", Shape{array}, ", expected (", rows, ",) or (", rows,
          ", ", outputs, ")");
  require(array.shape(0) == rows, "y has ", array.shape(0), " rows, X has ", rows);
  const bool one_column = array.ndim() == 1 || array.shape(1) == 1;
  const bool class_column = traits_of(loss).output == Output::softmax && one_column;
  const bool shared_column = traits_of(loss).parameter.one_per_output;
  require(class_column || shared_column || (array.ndim() == 1 ? 1 : array.shape(1)) == outputs, "y has shape ",
          Shape{array}, ", expected (", rows, ", ", outputs, ")");
  if (missing && (one_column || shared_column)) {
    const auto row = call(py::module_::import("chainrule._objects").attr("first_masked_row"), object).cast<Index>();
    require(false, "y has no target in row ", row, ", where it is masked: leave such rows out");
  }
  TargetArrays<T> result;
  if (class_column) {
    result.labels = class_numbers(array, rows, outputs);
    result.targets.labels = result.labels.data();
    return result;
  }
  if (array.ndim() == 1) array = call(array.attr("reshape"), rows, 1);
  result.values = matrix<T>(array, "y");
  if (shared_column) {
    check_one_target(result.values.view);
    if (one_column) result.values.view = result.values.view.repeated_column(outputs);
  }
  result.targets.values = result.values.view;
  result.targets.missing = missing;
  check_targets(loss, result.targets, rows, outputs);
  return result;
}

int thread_count(const std::optional<int>& n_threads) {
  if (!n_threads) return 0;
  require(*n_threads >= 1, "n_threads is ", *n_threads, ", expected at least 1");
  return *n_threads;
}

#define CHAINRULE_INSTANTIATE(T)                             \
  template Matrix<T> matrix(py::handle, const char*);        \
  template Vector<T> vector(py::handle, Index, const char*); \
  template TargetArrays<T> targets(py::handle, Loss, Index, Index);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule::python
