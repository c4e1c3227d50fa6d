// What tests and benchmarks need of the inside: the matrix product and its naive twin, the elementary functions, and
// the arithmetic peak of the machine.
#include <pybind11/stl.h>

#include <chrono>

#include "bindings/arrays.h"
#include "bindings/module.h"
#include "core/check.h"
#include "core/gemm.h"
#include "core/parallel.h"

namespace chainrule::python {
namespace {

using namespace py::literals;

template <class T>
py::array gemm(py::handle a_object, py::handle b_object, int threads, py::object out, bool naive) {
  const Matrix<T> a = matrix<T>(a_object, "a"), b = matrix<T>(b_object, "b");
  require(a.view.cols == b.view.rows, "a has ", a.view.cols, " columns, b has ", b.view.rows, " rows");
  const bool own = out.is_none();
  if (own) out = new_matrix<T>(a.view.rows, b.view.cols);
  if (!py::isinstance<py::array_t<T>>(out)) throw py::type_error("out needs the dtype of a and b");
  auto c = py::reinterpret_borrow<py::array_t<T>>(out);
  require(c.ndim() == 2 && c.shape(0) == a.view.rows && c.shape(1) == b.view.cols && (c.flags() & py::array::c_style),
          "out needs the shape of the product and C order");
  const MatrixView<T> view = view_of(c);
  {
    const py::gil_scoped_release release;
    if (naive)
      chainrule::gemm_naive<T>(a.view, b.view, view);
    else
      chainrule::gemm<T>(a.view, b.view, view, threads);
  }
  return c;
}

py::array any_gemm(py::object a, py::object b, std::optional<int> n_threads, py::object out, bool naive) {
  const int threads = thread_count(n_threads);
  return is_float64(real_array(a, "a")) && is_float64(real_array(b, "b")) ? gemm<double>(a, b, threads, out, naive)
                                                                          : gemm<float>(a, b, threads, out, naive);
}

template <class T>
py::array elementwise(const std::string& name, const py::array& x) {
  const py::array_t<T, py::array::c_style> source(x);
  py::array_t<T> result(std::vector<Index>(source.shape(), source.shape() + source.ndim()));
  for (const auto& function : kernels<T>().elementwise)
    if (name == function.name) {
      function.apply(source.size(), source.data(), result.mutable_data());
      return result;
    }
  throw std::invalid_argument(message("there is no elementary function '", name, "'"));
}

template <class T>
double peak(int threads, double seconds) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> best(static_cast<std::size_t>(threads), 0.0);
  const py::gil_scoped_release release;
  parallel(threads, [&](Team team) {
    Buffer<T> sink(kernels<T>().lanes);
    const auto start = Clock::now();
    while (std::chrono::duration<double>(Clock::now() - start).count() < seconds) {
      const auto begin = Clock::now();
      const double operations = kernels<T>().peak(100000, sink.data());
      const double rate = operations / std::chrono::duration<double>(Clock::now() - begin).count();
      double& mine = best[static_cast<std::size_t>(team.rank)];
      mine = std::max(mine, rate);
    }
  });
  double sum = 0;
  for (const double rate : best) sum += rate;
  return sum / 1e9;
}

}  // namespace

void bind_testing(py::module_& module) {
  module.def(
      "gemm",
      [](py::object a, py::object b, std::optional<int> n_threads, py::object out) {
        return any_gemm(a, b, n_threads, out, false);
      },
      "a"_a, "b"_a, "n_threads"_a = py::none(), "out"_a = py::none());
  module.def(
      "gemm_naive", [](py::object a, py::object b) { return any_gemm(a, b, {}, py::none(), true); }, "a"_a, "b"_a);
  module.def(
      "elementwise",
      [](const std::string& name, py::object x) {
        const py::array array = real_array(x, "x");
        return is_float64(array) ? elementwise<double>(name, array) : elementwise<float>(name, array);
      },
      "name"_a, "x"_a);
  module.def(
      "peak_gflops",
      [](const std::string& dtype, int n_threads, double seconds) {
        return dtype == "float64" ? peak<double>(thread_count(n_threads), seconds)
                                  : peak<float>(thread_count(n_threads), seconds);
      },
      "dtype"_a, "n_threads"_a = 1, "seconds"_a = 0.2);
}

}  // namespace chainrule::python
