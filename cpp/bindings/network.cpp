// Network<float> and Network<double>: arrays to views, the GIL released, one call of the core, arrays back.
#include "chainrule/network.h"

#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/module.h"
#include "chainrule/training.h"
#include "core/check.h"
#include "net/network.h"

namespace chainrule::python {
namespace {

using namespace py::literals;

template <class T>
Network<T> make_network(std::vector<Index> layer_sizes, const std::vector<std::string>& activations,
                        const std::string& loss, const std::string& init, std::uint64_t seed) {
  NetworkOptions options{.loss = from_name<Loss>(loss, loss_names, "loss"),
                         .init = from_name<Init>(init, init_names, "init"),
                         .seed = seed};
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
  for (Index l = 0; l < network.layers(); ++l) {
    const MatrixView<T> w = network.weights(l);
    result.append(matrix_of<T>(w.data, w.rows, w.cols, self));
  }
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
                     void (Network<T>::*function)(MatrixView<const T>, MatrixView<T>, int) const) {
  const Matrix<T> x = matrix<T>(x_object, "X");
  auto out = new_matrix<T>(x.view.rows, network.layer_sizes().back());
  const MatrixView<T> out_view = view_of(out);
  const int threads = thread_count(n_threads);
  {
    const py::gil_scoped_release release;
    (network.*function)(x.view, out_view, threads);
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
  const py::gil_scoped_release release;
  return network.cost(e.examples, l2, threads);
}

template <class T>
py::tuple loss_and_gradients(const Network<T>& network, py::object x, py::object y, py::object sample_weight, double l2,
                             bool inputs, std::optional<int> n_threads) {
  const ExampleArrays<T> e = examples_for(network, x, y, sample_weight);
  const int threads = thread_count(n_threads);
  const std::size_t size = network.parameters().size();
  py::array_t<T> gradients(static_cast<Index>(size));
  T* data = gradients.mutable_data();
  py::object dx = py::none();
  MatrixView<T> dx_view;
  if (inputs) {
    auto array = new_matrix<T>(e.x.view.rows, e.x.view.cols);
    dx_view = view_of(array);
    dx = std::move(array);
  }
  double value = 0;
  {
    const py::gil_scoped_release release;
    value = network.gradients(e.examples, {data, size}, l2, inputs ? &dx_view : nullptr, threads);
  }
  return py::make_tuple(value, gradients, dx);
}

// Reads settings out of a mapping; done() refuses those that nobody asked for.
class Settings {
 public:
  explicit Settings(py::dict values) : values_(std::move(values)) {}

  template <class Value>
  void read(const char* key, Value& into) {
    if (!values_.contains(key)) return;
    try {
      into = values_[key].cast<Value>();
    } catch (const py::cast_error&) {
      throw py::type_error(message(key, " is ", std::string(py::repr(values_[key])), ", which has the wrong type"));
    }
    ++seen_;
  }
  void done(const char* what) const {
    require(seen_ == values_.size(), what, " has a setting that does not exist: ", std::string(py::repr(values_)));
  }

 private:
  py::dict values_;
  std::size_t seen_ = 0;
};

OptimizerOptions optimizer_options(const std::string& name, const py::dict& values) {
  Settings settings(values);
  OptimizerOptions options;
  if (name == "sgd") {
    Sgd sgd;
    settings.read("learning_rate", sgd.learning_rate);
    settings.read("momentum", sgd.momentum);
    settings.read("nesterov", sgd.nesterov);
    options = sgd;
  } else {
    require(name == "adam", "optimizer '", name, "' is unknown, expected one of sgd, adam");
    Adam adam;
    settings.read("learning_rate", adam.learning_rate);
    settings.read("beta1", adam.beta1);
    settings.read("beta2", adam.beta2);
    settings.read("epsilon", adam.epsilon);
    options = adam;
  }
  settings.done("the optimizer");
  check(options);
  return options;
}

Stop stop_options(const py::dict& values) {
  Settings settings(values);
  Stop stop;
  settings.read("loss_below", stop.loss_below);
  settings.read("loss_change_below", stop.loss_change_below);
  settings.read("loss_change_epochs", stop.loss_change_epochs);
  settings.read("gradient_norm_below", stop.gradient_norm_below);
  settings.read("no_improvement", stop.no_improvement);
  settings.read("seconds", stop.seconds);
  settings.done("stop");
  check(stop);
  return stop;
}

py::object optional_number(const std::optional<double>& value) {
  return value ? py::object(py::float_(*value)) : py::object(py::none());
}

template <class T>
py::dict fit(Network<T>& network, py::object x, py::object y, const std::pair<std::string, py::dict>& optimizer,
             std::optional<Index> batch_size, int epochs, bool shuffle, py::object sample_weight, double l2,
             py::object validation, const py::dict& stop, py::object on_epoch_end, std::optional<int> n_threads,
             std::uint64_t seed) {
  require(!batch_size || *batch_size >= 1, "batch_size is ", batch_size.value_or(0), ", expected at least 1");
  const ExampleArrays<T> e = examples_for(network, x, y, sample_weight);
  ExampleArrays<T> held_out;
  FitOptions<T> options;
  options.optimizer = optimizer_options(optimizer.first, optimizer.second);
  options.batch_size = batch_size.value_or(0);
  options.epochs = epochs;
  options.shuffle = shuffle;
  options.l2 = l2;
  options.stop = stop_options(stop);
  options.threads = thread_count(n_threads);
  options.seed = seed;
  if (!validation.is_none()) {
    const py::sequence parts(validation);
    require(parts.size() == 2 || parts.size() == 3, "validation has ", parts.size(),
            " entries, expected (X, y) or (X, y, sample_weight)");
    const py::object weights = parts.size() == 3 ? py::object(parts[2]) : py::object(py::none());
    try {
      held_out = examples_for(network, parts[0], parts[1], weights);
      check_inputs(held_out.x.view.cols, network.layer_sizes().front());
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(message("validation: ", error.what()));
    }
    options.validation = held_out.examples;
  }
  if (!on_epoch_end.is_none())
    options.on_epoch_end = [&on_epoch_end](const EpochLog& log) {
      const py::gil_scoped_acquire acquire;
      const py::object answer =
          on_epoch_end(py::dict("epoch"_a = log.epoch, "loss"_a = log.loss,
                                "validation"_a = optional_number(log.validation), "seconds"_a = log.seconds));
      return answer.is(py::bool_(true));
    };
  options.poll = [] {
    const py::gil_scoped_acquire acquire;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  };
  History history;
  {
    const py::gil_scoped_release release;
    history = chainrule::fit(network, e.examples, options);
  }
  return py::dict("loss"_a = py::array_t<double>(static_cast<Index>(history.loss.size()), history.loss.data()),
                  "validation"_a = options.validation
                                       ? py::object(py::array_t<double>(static_cast<Index>(history.validation.size()),
                                                                        history.validation.data()))
                                       : py::object(py::none()),
                  "epochs"_a = history.epochs, "stop_reason"_a = history.stop_reason, "seconds"_a = history.seconds);
}

template <class T>
void bind(py::module_& module, const char* name) {
  const auto none = py::none();
  py::class_<Network<T>>(module, name)
      .def(py::init(&make_network<T>), "layer_sizes"_a, "activations"_a, "loss"_a, "init"_a, "seed"_a)
      .def_property_readonly("layer_sizes", &Network<T>::layer_sizes)
      .def_property_readonly("activations", [](const Network<T>& n) { return activation_list(n.activations()); })
      .def_property_readonly("loss", [](const Network<T>& n) { return loss_names[static_cast<int>(n.loss())]; })
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
      .def("cost", &cost<T>, "X"_a, "y"_a, "sample_weight"_a = none, "l2"_a = 0.0, "n_threads"_a = none)
      .def("loss_and_gradients", &loss_and_gradients<T>, "X"_a, "y"_a, "sample_weight"_a = none, "l2"_a = 0.0,
           "inputs"_a = false, "n_threads"_a = none)
      .def("fit", &fit<T>, "X"_a, "y"_a, py::kw_only(), "optimizer"_a, "batch_size"_a, "epochs"_a, "shuffle"_a,
           "sample_weight"_a, "l2"_a, "validation"_a, "stop"_a, "on_epoch_end"_a, "n_threads"_a, "seed"_a);
}

}  // namespace

void bind_network(py::module_& module) {
  py::register_exception<DivergenceError>(module, "DivergenceError", PyExc_FloatingPointError).attr("__doc__") =
      "The cost or a parameter became NaN or infinite during a fit; the network keeps its last finite parameters.";
  bind<float>(module, "NetworkFloat32");
  bind<double>(module, "NetworkFloat64");
  module.def(
      "check_optimizer", [](const std::string& name, const py::dict& settings) { optimizer_options(name, settings); },
      "name"_a, "settings"_a);
  module.def("check_stop", [](const py::dict& settings) { stop_options(settings); }, "settings"_a);
}

}  // namespace chainrule::python
