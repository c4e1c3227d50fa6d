// Binds Network<float> and Network<double>. Each method converts arrays to views, releases the GIL, calls the core
// once, and returns arrays.
#include "chainrule/network.h"

#include <pybind11/stl.h>

#include "bindings/custom_loss.h"
#include "bindings/inputs.h"
#include "bindings/module.h"
#include "core/check.h"

namespace chainrule::python {
namespace {

using namespace py::literals;

template <class T>
Network<T> make_network(std::vector<Index> layer_sizes, const std::vector<std::string>& activations,
                        const LossOptions& loss, const std::string& init, std::uint64_t seed) {
  NetworkOptions options{.loss = from_name<Loss>(loss.first, loss_names, "loss"),
                         .loss_parameters = loss.second,
                         .init = from_name<Init>(init, init_names, "init"),
                         .seed = seed};
  require(!activations.empty() || layer_sizes.size() <= 2, "activation is an empty list");
  for (const std::string& name : activations)
    options.activations.push_back(from_name<Activation>(name, activation_names, "activation"));
  return Network<T>(std::move(layer_sizes), options);
}

std::vector<std::string> activation_list(const std::vector<Activation>& activations) {
  std::vector<std::string> names;
  for (const Activation activation : activations) names.emplace_back(activation_names[static_cast<int>(activation)]);
  return names;
}

template <class T>
py::list weights(py::object self) {
  auto& network = self.cast<Network<T>&>();
  py::list result;
  for (Index l = 0; l < network.layers(); ++l) result.append(matrix_of(network.weights(l), self));
  return result;
}

template <class T>
py::list biases(py::object self) {
  auto& network = self.cast<Network<T>&>();
  py::list result;
  for (Index l = 0; l < network.layers(); ++l)
    result.append(vector_of<T>(network.biases(l).data(), static_cast<Index>(network.biases(l).size()), self));
  return result;
}

template <class T>
py::array_t<T> apply(const Network<T>& network, py::handle x_object, std::optional<int> n_threads,
                     void (Network<T>::*function)(Inputs<T>, MatrixView<T>, int) const) {
  const InputArrays<T> x = inputs<T>(x_object);
  auto out = new_matrix<T>(x.view.rows, network.layer_sizes().back());
  const MatrixView<T> out_view = view_of(out);
  const int threads = thread_count(n_threads);
  {
    const WithoutGil released;
    (network.*function)(x.view, out_view, threads);
  }
  return out;
}

template <class T>
py::array_t<T> hidden_activations(const Network<T>& network, py::object x_object, Index layer,
                                  std::optional<int> n_threads) {
  const InputArrays<T> x = inputs<T>(x_object);
  auto out = new_matrix<T>(x.view.rows, network.layer_sizes().at(static_cast<std::size_t>(layer + 1)));
  const MatrixView<T> out_view = view_of(out);
  const int threads = thread_count(n_threads);
  {
    const WithoutGil released;
    network.hidden_activations(x.view, layer, out_view, threads);
  }
  return out;
}

template <class T>
ExampleArrays<T> examples_for(const Network<T>& network, py::handle x, py::handle y, py::handle sample_weight) {
  return examples<T>(x, y, sample_weight, network.loss(), network.layer_sizes().back());
}

template <class T>
double cost(const Network<T>& network, py::object x, py::object y, py::object sample_weight, double l2,
            std::optional<int> n_threads) {
  const ExampleArrays<T> e = examples_for(network, x, y, sample_weight);
  const int threads = thread_count(n_threads);
  const WithoutGil released;
  return network.cost(e.examples, l2, threads);
}

template <class T>
py::tuple loss_and_gradients(const Network<T>& network, py::object x, py::object y, py::object sample_weight, double l2,
                             bool inputs, std::optional<int> n_threads, py::object loss) {
  CustomLoss<T> custom;
  ExampleArrays<T> e;
  if (loss.is_none()) {
    e = examples_for(network, x, y, sample_weight);
  } else {
    e.x = python::inputs<T>(x);
    e.examples.x = e.x.view;
    custom = custom_loss<T>(loss, y, sample_weight, false);
  }
  const int threads = thread_count(n_threads);
  const std::size_t size = network.parameters().size();
  py::array_t<T> gradients(static_cast<Index>(size));
  T* data = gradients.mutable_data();
  py::object dx = py::none();
  MatrixView<T> dx_view;
  if (inputs) {
    require(!e.x.view.is_sparse(), "inputs=True is not available for sparse or binned rows");
    auto array = new_matrix<T>(e.x.view.rows, e.x.view.cols);
    dx_view = view_of(array);
    dx = std::move(array);
  }
  double value = 0;
  {
    const WithoutGil released;
    value = network.gradients(e.examples, {data, size}, l2, inputs ? &dx_view : nullptr, threads,
                              custom ? &custom : nullptr);
  }
  return py::make_tuple(value, gradients, dx);
}

// part: a dict of the members of BatchPart. Returns the gradient, the sums of the losses, and the number of rows.
template <class T>
py::tuple partial_gradients(const Network<T>& network, py::object x, py::object y, py::object sample_weight,
                            const py::dict& part, std::optional<int> n_threads) {
  const ExampleArrays<T> e = examples_for(network, x, y, sample_weight);
  const BatchPart of_batch{part["first"].cast<Index>(),
                           part["total_rows"].cast<Index>(),
                           part["total_weight"].cast<double>(),
                           part["dropout"].cast<std::vector<double>>(),
                           part["input_dropout"].cast<double>(),
                           part["seed"].cast<std::uint64_t>(),
                           part["step"].cast<Index>()};
  const int threads = thread_count(n_threads);
  const std::size_t size = network.parameters().size();
  py::array_t<T> gradients(static_cast<Index>(size));
  T* data = gradients.mutable_data();
  std::vector<double> losses;
  {
    const WithoutGil released;
    losses = network.partial_gradients(e.examples, of_batch, {data, size}, threads);
  }
  return py::make_tuple(gradients, array_of<double>(losses), e.examples.x.rows);
}

template <class T>
void bind(py::module_& module, const char* name) {
  const auto none = py::none();
  py::class_<Network<T>>(module, name)
      .def(py::init(&make_network<T>), "layer_sizes"_a, "activations"_a, "loss"_a, "init"_a, "seed"_a)
      .def_property_readonly("layer_sizes", &Network<T>::layer_sizes)
      .def_property_readonly("activations", [](const Network<T>& n) { return activation_list(n.activations()); })
      .def_property_readonly("loss", [](const Network<T>& n) { return loss_names[static_cast<int>(n.loss())]; })
      .def_property_readonly("loss_parameters", &Network<T>::loss_parameters)
      .def_property_readonly("init", [](const Network<T>& n) { return init_names[static_cast<int>(n.init())]; })
      .def_property_readonly("seed", &Network<T>::seed)
      .def_property_readonly("parameters",
                             [](py::object self) {
                               const std::span<T> p = self.cast<Network<T>&>().parameters();
                               return vector_of<T>(p.data(), static_cast<Index>(p.size()), self);
                             })
      .def_property_readonly("weights", &weights<T>)
      .def_property_readonly("biases", &biases<T>)
      .def(
          "logits",
          [](const Network<T>& n, py::object x, std::optional<int> t) { return apply(n, x, t, &Network<T>::logits); },
          "X"_a, "n_threads"_a = none)
      .def(
          "predict",
          [](const Network<T>& n, py::object x, std::optional<int> t) { return apply(n, x, t, &Network<T>::predict); },
          "X"_a, "n_threads"_a = none)
      .def("hidden_activations", &hidden_activations<T>, "X"_a, "layer"_a, "n_threads"_a = none)
      .def("cost", &cost<T>, "X"_a, "y"_a, "sample_weight"_a = none, "l2"_a = 0.0, "n_threads"_a = none)
      .def("loss_and_gradients", &loss_and_gradients<T>, "X"_a, "y"_a, "sample_weight"_a = none, "l2"_a = 0.0,
           "inputs"_a = false, "n_threads"_a = none, "loss"_a = none)
      .def("partial_gradients", &partial_gradients<T>, "X"_a, "y"_a, "sample_weight"_a, "part"_a, "n_threads"_a = none);
}

}  // namespace

void bind_network(py::module_& module) {
  bind<float>(module, "NetworkFloat32");
  bind<double>(module, "NetworkFloat64");
}

}  // namespace chainrule::python
