// Internals for tests and benchmarks: the matrix product, dropout's factors, and the arithmetic peak of the machine.
#include <pybind11/stl.h>

#include <chrono>

#include "bindings/arrays.h"
#include "bindings/module.h"
#include "core/caches.h"
#include "core/check.h"
#include "core/gemm.h"
#include "core/gemm_bf16.h"
#include "core/parallel.h"
#include "net/dropout.h"

namespace chainrule::python {
namespace {

using namespace py::literals;

template <class T>
using Product = void (*)(MatrixView<const T>, MatrixView<const T>, MatrixView<T>, int threads);

template <class T>
py::array multiply(Product<T> product, py::handle a_object, py::handle b_object, int threads, py::object out) {
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
    const WithoutGil released;
    product(a.view, b.view, view, threads);
  }
  return c;
}

py::array multiply(Product<float> product32, Product<double> product64, py::object a, py::object b,
                   std::optional<int> n_threads, py::object out) {
  const int threads = thread_count(n_threads);
  return is_float64(real_array(a, "a")) && is_float64(real_array(b, "b"))
             ? multiply<double>(product64, a, b, threads, out)
             : multiply<float>(product32, a, b, threads, out);
}

template <class T>
double peak(double (*operations_of)(Index repeats, T* sink), int threads, double seconds) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> best(static_cast<std::size_t>(threads), 0.0);
  const WithoutGil released;
  parallel(threads, [&](Team team) {
    Buffer<T> sink(kernels<T>().lanes);
    const auto start = Clock::now();
    while (std::chrono::duration<double>(Clock::now() - start).count() < seconds) {
      const auto begin = Clock::now();
      const double operations = operations_of(100000, sink.data());
      const double rate = operations / std::chrono::duration<double>(Clock::now() - begin).count();
      double& fastest = best[static_cast<std::size_t>(team.rank)];
      fastest = std::max(fastest, rate);
    }
  });
  double sum = 0;
  for (const double rate : best) sum += rate;
  return sum / 1e9;
}

// The dropout factors of the inputs (place 0) or of a hidden layer (place 1, 2, ...) in a step.
template <class T>
py::array dropout_factors(Index rows, Index columns, std::size_t place, double rate, std::uint64_t seed, Index step) {
  StepDropout dropout(rate, {rate}, static_cast<Index>(place));
  dropout.begin_step(seed, step, 1);
  auto factors = new_matrix<T>(rows, columns);
  const Dropout* settings = dropout.of(place);
  require(settings != nullptr, "rate is ", rate, ", expected a positive number");
  std::fill_n(factors.mutable_data(), factors.size(), T(1));
  kernels<T>().drop(*settings, rows, columns, 0, 0, factors.mutable_data(), columns, nullptr, 0);
  return factors;
}

}  // namespace

void bind_testing(py::module_& module) {
  module.def("set_caches", [](const std::string& sizes) { set_caches(sizes); }, "sizes"_a);
  module.def(
      "gemm",
      [](py::object a, py::object b, std::optional<int> n_threads, py::object out) {
        return multiply(gemm<float>, gemm<double>, a, b, n_threads, out);
      },
      "a"_a, "b"_a, "n_threads"_a = py::none(), "out"_a = py::none());
  module.def(
      "gemm_bf16",
      [](py::object a, py::object b, std::optional<int> n_threads, py::object out) {
        require_bf16<float>();
        return multiply<float>(gemm_bf16<float>, a, b, thread_count(n_threads), out);
      },
      "a"_a, "b"_a, "n_threads"_a = py::none(), "out"_a = py::none());
  module.def(
      "dropout_factors",
      [](Index rows, Index columns, std::size_t place, double rate, std::uint64_t seed, Index step,
         const std::string& dtype) {
        return dtype == "float64" ? dropout_factors<double>(rows, columns, place, rate, seed, step)
                                  : dropout_factors<float>(rows, columns, place, rate, seed, step);
      },
      "rows"_a, "columns"_a, "place"_a, "rate"_a, "seed"_a, "step"_a, "dtype"_a);
  module.def(
      "peak_gflops",
      [](const std::string& dtype, int n_threads, double seconds) {
        const int threads = thread_count(n_threads);
        if (dtype == "float64") return peak(kernels<double>().peak, threads, seconds);
        if (dtype == "float32") return peak(kernels<float>().peak, threads, seconds);
        require_bf16<float>();
        return peak(bf16_kernels<float>()->peak, threads, seconds);
      },
      "dtype"_a, "n_threads"_a = 1, "seconds"_a = 0.2);
}

}  // namespace chainrule::python
