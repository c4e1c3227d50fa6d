#include "bindings/custom_loss.h"

#include "bindings/shared.h"
#include "core/check.h"

namespace chainrule::python {

template <class T>
CustomLoss<T> custom_loss(py::object function, py::object y, py::object weight, bool by_rows) {
  const py::module_ numpy = py::module_::import("numpy");
  if (by_rows) {
    if (!y.is_none()) y = call(numpy.attr(py::hasattr(y, "mask") ? "asanyarray" : "asarray"), y);  // masks are kept
    if (!weight.is_none()) weight = call(numpy.attr("asarray"), weight);
  }
  return [by_rows, function = shared(function), y = shared(y), weight = shared(weight)](
             MatrixView<const T> logits, std::span<const Index> rows, MatrixView<T> dlogits) {
    const WithGil gil;
    auto z = new_matrix<T>(logits.rows, logits.cols);
    const MatrixView<T> copy = view_of(z);
    for (Index i = 0; i < copy.rows; ++i) std::copy_n(logits.row(i), copy.cols, copy.row(i));
    const auto part = [&](const py::object& values) -> py::object {
      if (!by_rows || values.is_none()) return values;
      return call(values.attr("__getitem__"), array_of(rows));
    };
    const auto [cost, derivatives] =
        call(*function, z, part(*y), part(*weight)).template cast<std::pair<double, py::object>>();
    const Matrix<T> gradient = matrix<T>(derivatives, "the gradient that loss returned");
    require(gradient.view.rows == dlogits.rows && gradient.view.cols == dlogits.cols,
            "loss returned a gradient of shape ", Shape{gradient.array}, ", expected (", dlogits.rows, ", ",
            dlogits.cols, ")");
    for (Index i = 0; i < dlogits.rows; ++i)
      for (Index j = 0; j < dlogits.cols; ++j) dlogits(i, j) = gradient.view(i, j);
    return cost;
  };
}

template CustomLoss<float> custom_loss(py::object, py::object, py::object, bool);
template CustomLoss<double> custom_loss(py::object, py::object, py::object, bool);

}  // namespace chainrule::python
