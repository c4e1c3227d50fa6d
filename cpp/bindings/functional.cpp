// The array functions, which take lists of (W, b) and return NumPy arrays.
#include "net/functional.h"

#include <pybind11/stl.h>

#include <cmath>

#include "bindings/arrays.h"
#include "bindings/module.h"
#include "core/check.h"
#include "core/dispatch.h"
#include "net/checks.h"
#include "net/init.h"
#include "net/network.h"

namespace chainrule::python {
namespace {

using Names = std::vector<std::string>;

// The parameters of a call as arrays in a network's layout, and the model that points to them.
template <class T>
struct Parameters {
  std::vector<py::array> arrays;
  Model<T> model;
};

py::sequence pair_of(py::handle params, std::size_t l) {
  const py::sequence pair(py::reinterpret_borrow<py::sequence>(params)[l]);
  require(pair.size() == 2, "params[", l, "] has ", pair.size(), " entries, expected (W, b)");
  return pair;
}

std::size_t layer_count(py::handle params, const char* name) {
  if (!py::isinstance<py::sequence>(params)) throw py::type_error(text_of(name, " is not a list of (W, b)"));
  const std::size_t layers = py::len(params);
  require(layers > 0, name, " is empty, expected one (W, b) per layer");
  return layers;
}

// True only if every array is float64.
bool all_float64(py::handle params) {
  for (std::size_t l = 0; l < layer_count(params, "params"); ++l)
    for (std::size_t i = 0; i < 2; ++i)
      if (!is_float64(real_array(py::object(pair_of(params, l)[i]), "params"))) return false;
  return true;
}

template <class T>
Parameters<T> parameters(py::handle params, const Names& activations, const LossOptions& loss) {
  const std::size_t layers = layer_count(params, "params");
  require(activations.size() + 1 == layers, "activation has ", activations.size(), " names, the network has ",
          layers - 1, " hidden layers");
  Parameters<T> result;
  result.model.loss = from_name<Loss>(loss.first, loss_names, "loss");
  const py::object contiguous = py::module_::import("numpy").attr("ascontiguousarray");
  Index offset = 0;
  for (std::size_t l = 0; l < layers; ++l) {
    const py::sequence pair = pair_of(params, l);
    const Matrix<T> w = matrix<T>(pair[0], "W");
    const py::array w_array(call(contiguous, w.array.attr("T")));
    const Vector<T> b = vector<T>(pair[1], w.view.rows, "b");
    require(b.data != nullptr && w.view.rows > 0 && w.view.cols > 0, "params[", l, "]: W and b need at least one unit");
    if (l > 0)
      require(w.view.cols == result.model.outputs(), "params[", l, "]: W has ", w.view.cols,
              " columns, the preceding layer has ", result.model.outputs(), " units");
    const Activation activation =
        l + 1 < layers ? from_name<Activation>(activations[l], activation_names, "activation") : Activation::identity;
    result.arrays.push_back(w_array);
    result.arrays.push_back(b.array);
    result.model.layers.push_back(
        {w.view.cols, w.view.rows, static_cast<const T*>(w_array.data()), b.data, activation, offset});
    offset += result.model.layers.back().size();
  }
  for (const double value : checked_loss_parameters(result.model.loss, loss.second, result.model.outputs()))
    result.model.loss_parameters.push_back(static_cast<T>(value));
  return result;
}

// Returns a flat vector of parameters as a list of (W, b), which are views of it.
template <class T>
py::list as_pairs(const Model<T>& model, py::array_t<T> flat) {
  py::list pairs;
  for (const Layer<T>& layer : model.layers) {
    T* w = flat.mutable_data() + layer.offset;
    pairs.append(py::make_tuple(matrix_of(MatrixView<T>::contiguous(w, layer.n_in, layer.n_out).transposed(), flat),
                                vector_of<T>(w + layer.n_out * layer.n_in, layer.n_out, flat)));
  }
  return pairs;
}

template <class T>
py::list init_params(const std::vector<Index>& layer_sizes, Init init, std::uint64_t seed) {
  NetworkOptions options{.init = init, .seed = seed};
  Network<T> network(layer_sizes, options);
  py::array_t<T> flat(static_cast<Index>(network.parameters().size()));
  std::copy(network.parameters().begin(), network.parameters().end(), flat.mutable_data());
  return as_pairs<T>(model_of(network), flat);
}

template <class T>
py::tuple forward(py::handle params, py::handle x_object, const Names& activations, const LossOptions& loss,
                  int threads) {
  const Parameters<T> p = parameters<T>(params, activations, loss);
  const Matrix<T> x = matrix<T>(x_object, "X");
  check_inputs(x.view.cols, p.model.inputs());
  py::list z_list, a_list;
  a_list.append(x.array);
  Tape<T> z, a;
  for (const Layer<T>& layer : p.model.layers) {
    auto z_array = new_matrix<T>(x.view.rows, layer.n_out), a_array = new_matrix<T>(x.view.rows, layer.n_out);
    z.push_back(view_of(z_array));
    a.push_back(view_of(a_array));
    z_list.append(std::move(z_array));
    a_list.append(std::move(a_array));
  }
  {
    const WithoutGil released;
    chainrule::forward<T>(p.model, x.view, z, a, threads);
  }
  return py::make_tuple(z_list, a_list);
}

// Converts a matrix of a cache to a contiguous one.
template <class T>
Matrix<T> cached(py::handle object, Index rows, Index columns, const char* name) {
  const py::object contiguous = call(py::module_::import("numpy").attr("ascontiguousarray"), real_array(object, name));
  Matrix<T> result = matrix<T>(contiguous, name);
  require(result.view.rows == rows && result.view.cols == columns, name, " has shape (", result.view.rows, ", ",
          result.view.cols, "), expected (", rows, ", ", columns, ")");
  return result;
}

// Makes target values contiguous and row-major, as the loss kernels need them.
template <class T>
TargetArrays<T> contiguous_targets(py::handle y, Loss loss, Index rows, Index outputs) {
  TargetArrays<T> result = targets<T>(y, loss, rows, outputs);
  const MatrixView<const T> view = result.values.view;
  if (result.targets.labels != nullptr || (view.col_stride == 1 && view.row_stride == outputs)) return result;
  auto copy = new_matrix<T>(rows, outputs);
  const MatrixView<T> into = view_of(copy);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < outputs; ++j) into(i, j) = view(i, j);
  result.values = {std::move(copy), into};
  result.targets.values = into;
  return result;
}

template <class T>
py::array_t<T> losses(py::handle logits, py::handle y, const LossOptions& loss) {
  const Index rows = matrix<T>(logits, "logits").view.rows, outputs = matrix<T>(logits, "logits").view.cols;
  const Matrix<T> z = cached<T>(logits, rows, outputs, "logits");
  Model<T> model{
      {{1, outputs, nullptr, nullptr, Activation::identity, 0}}, from_name<Loss>(loss.first, loss_names, "loss"), {}};
  for (const double value : checked_loss_parameters(model.loss, loss.second, outputs))
    model.loss_parameters.push_back(static_cast<T>(value));
  const TargetArrays<T> t = contiguous_targets<T>(y, model.loss, rows, outputs);
  py::array_t<T> values(rows);
  T* data = values.mutable_data();
  const WithoutGil released;
  chainrule::losses<T>(model, z.view, t.targets, data);
  return values;
}

template <class T>
double cost(py::handle params, py::handle logits, py::handle y, const LossOptions& loss, py::handle sample_weight,
            double l2) {
  const Parameters<T> p = parameters<T>(params, Names(layer_count(params, "params") - 1, "identity"), loss);
  const Index rows = matrix<T>(logits, "logits").view.rows;
  const Matrix<T> z = cached<T>(logits, rows, p.model.outputs(), "logits");
  const TargetArrays<T> t = contiguous_targets<T>(y, p.model.loss, rows, p.model.outputs());
  const Vector<T> weights = vector<T>(sample_weight, rows, "sample_weight");
  check_weights(weights.data, rows);
  check_l2(l2);
  const WithoutGil released;
  return chainrule::cost<T>(p.model, z.view, t.targets, weights.data, l2);
}

template <class T>
py::tuple backward(py::handle params, const py::sequence& z_list, const py::sequence& a_list, py::handle y,
                   const Names& activations, const LossOptions& loss, py::handle sample_weight, double l2,
                   int threads) {
  const Parameters<T> p = parameters<T>(params, activations, loss);
  const std::size_t layers = p.model.layers.size();
  require(z_list.size() == layers && a_list.size() == layers + 1, "the cache has ", z_list.size(), " z and ",
          a_list.size(), " a, expected ", layers, " and ", layers + 1);
  const Matrix<T> x = matrix<T>(a_list[0], "a[0]");
  check_inputs(x.view.cols, p.model.inputs());
  const Index rows = x.view.rows;
  std::vector<Matrix<T>> matrices;
  const auto tape_entry = [&](py::handle object, std::size_t l, const char* name) -> MatrixView<T> {
    matrices.push_back(cached<T>(object, rows, p.model.layers[l].n_out, name));
    const MatrixView<const T>& v = matrices.back().view;
    return {const_cast<T*>(v.data), v.rows, v.cols, v.row_stride, v.col_stride};  // only read there
  };
  Tape<T> z, a;
  for (std::size_t l = 0; l < layers; ++l) {
    const bool last = l + 1 == layers;
    z.push_back(last || slope_reads_z(p.model.layers[l].activation) ? tape_entry(z_list[l], l, "z") : MatrixView<T>{});
    a.push_back(last ? MatrixView<T>{} : tape_entry(a_list[l + 1], l, "a"));
  }
  const TargetArrays<T> t = contiguous_targets<T>(y, p.model.loss, rows, p.model.outputs());
  const Vector<T> weights = vector<T>(sample_weight, rows, "sample_weight");
  check_weights(weights.data, rows);
  check_l2(l2);
  py::list dz_list;
  Tape<T> dz;
  for (const Layer<T>& layer : p.model.layers) {
    auto array = new_matrix<T>(rows, layer.n_out);
    dz.push_back(view_of(array));
    dz_list.append(std::move(array));
  }
  py::array_t<T> gradients(p.model.parameter_count());
  T* data = gradients.mutable_data();
  {
    const WithoutGil released;
    chainrule::backward<T>(p.model, x.view, z, a, t.targets, weights.data, l2, data, dz, threads);
  }
  return py::make_tuple(as_pairs<T>(p.model, gradients), dz_list);
}

// Returns parameters - learning_rate * gradient as a new array.
template <class T>
py::array_t<T> updated(py::handle parameters, py::handle gradient, double learning_rate) {
  const py::dtype dtype = py::dtype::of<T>();
  py::array_t<T> result(call(real_array(parameters, "params").attr("astype"), dtype, "F"));  // always a copy
  const py::object require_array = py::module_::import("numpy").attr("require");
  const py::array_t<T> g(call(require_array, real_array(gradient, "grads"), dtype, "FA"));
  require(py::tuple(result.attr("shape")).equal(py::tuple(g.attr("shape"))), "a gradient has shape ", Shape{g},
          ", its parameters have shape ", Shape{result});
  const OptimizerPass<T, Sgd>& sgd = kernels<T>().optimizers;
  sgd.apply({g.size()}, {.rate = static_cast<T>(learning_rate)}, {}, g.data(), {}, result.mutable_data());
  return result;
}

// Checks the array of `out` that will receive `result`.
template <class T>
py::array destination(py::handle out, const py::array& result) {
  if (!py::isinstance<py::array_t<T>>(out)) throw py::type_error("out needs arrays of the dtype of params");
  auto array = py::reinterpret_borrow<py::array>(out);
  require(py::tuple(array.attr("shape")).equal(py::tuple(result.attr("shape"))), "an array of out has shape ",
          Shape{array}, ", expected ", Shape{result});
  require(array.writeable(), "an array of out is read-only");
  return array;
}

// Computes and checks everything before it writes anything, so that out may overlap params and grads, and an error
// leaves it unchanged.
template <class T>
py::list update(const py::sequence& params, const py::sequence& grads, double learning_rate, py::handle out) {
  const std::size_t layers = layer_count(params, "params");
  require(std::isfinite(learning_rate), "learning_rate is ", learning_rate, ", expected a finite number");
  require(layer_count(grads, "grads") == layers, "grads has ", py::len(grads), " layers, params has ", layers);
  require(out.is_none() || layer_count(out, "out") == layers, "out and params have different numbers of layers");
  py::list results;
  std::vector<std::pair<py::array, py::array>> copies;  // to, from
  for (std::size_t l = 0; l < layers; ++l) {
    const py::sequence p = pair_of(params, l), g = pair_of(grads, l);
    py::tuple pair(2);
    for (std::size_t i = 0; i < 2; ++i) {
      py::array result = updated<T>(p[i], g[i], learning_rate);
      if (!out.is_none()) {
        const py::array to = destination<T>(py::object(pair_of(out, l)[i]), result);
        copies.emplace_back(to, std::exchange(result, to));
      }
      pair[i] = result;
    }
    results.append(pair);
  }
  for (const auto& [to, from] : copies) call(py::module_::import("numpy").attr("copyto"), to, from);
  return results;
}

}  // namespace

void bind_functional(py::module_& module) {
  using namespace py::literals;
  module.def(
      "init_params",
      [](const std::vector<Index>& layer_sizes, const std::string& init, std::uint64_t seed, const std::string& dtype) {
        const Init kind = from_name<Init>(init, init_names, "init");
        if (dtype != "float32" && dtype != "float64")
          throw py::type_error(text_of("dtype '", dtype, "' is not supported, expected float32 or float64"));
        return dtype == "float64" ? init_params<double>(layer_sizes, kind, seed)
                                  : init_params<float>(layer_sizes, kind, seed);
      },
      "layer_sizes"_a, "init"_a, "seed"_a, "dtype"_a);
  module.def(
      "forward",
      [](py::object params, py::object x, const Names& activations, const LossOptions& loss,
         std::optional<int> threads) {
        return all_float64(params) ? forward<double>(params, x, activations, loss, thread_count(threads))
                                   : forward<float>(params, x, activations, loss, thread_count(threads));
      },
      "params"_a, "X"_a, "activations"_a, "loss"_a, "n_threads"_a = py::none());
  module.def(
      "cost",
      [](py::object params, py::object logits, py::object y, const LossOptions& loss, py::object sample_weight,
         double l2) {
        return all_float64(params) ? cost<double>(params, logits, y, loss, sample_weight, l2)
                                   : cost<float>(params, logits, y, loss, sample_weight, l2);
      },
      "params"_a, "logits"_a, "Y"_a, "loss"_a, "sample_weight"_a = py::none(), "l2"_a = 0.0);
  module.def(
      "backward",
      [](py::object params, py::sequence z, py::sequence a, py::object y, const Names& activations,
         const LossOptions& loss, py::object sample_weight, double l2, std::optional<int> threads) {
        const int n = thread_count(threads);
        return all_float64(params) ? backward<double>(params, z, a, y, activations, loss, sample_weight, l2, n)
                                   : backward<float>(params, z, a, y, activations, loss, sample_weight, l2, n);
      },
      "params"_a, "z"_a, "a"_a, "Y"_a, "activations"_a, "loss"_a, "sample_weight"_a = py::none(), "l2"_a = 0.0,
      "n_threads"_a = py::none());
  module.def(
      "losses",
      [](py::object logits, py::object y, const LossOptions& loss) -> py::array {
        if (is_float64(real_array(logits, "logits"))) return losses<double>(logits, y, loss);
        return losses<float>(logits, y, loss);
      },
      "logits"_a, "Y"_a, "loss"_a);
  module.def(
      "update",
      [](py::sequence params, py::sequence grads, double learning_rate, py::object out) {
        return all_float64(params) ? update<double>(params, grads, learning_rate, out)
                                   : update<float>(params, grads, learning_rate, out);
      },
      "params"_a, "grads"_a, "learning_rate"_a, "out"_a = py::none());
}

}  // namespace chainrule::python
