// The training of a Network: settings to options, the GIL released, one call of the core, histories back.
#include "chainrule/training.h"

#include <pybind11/stl.h>

#include <map>
#include <tuple>

#include "bindings/inputs.h"
#include "bindings/mapped.h"
#include "bindings/module.h"
#include "core/check.h"
#include "net/network.h"

namespace chainrule::python {
namespace {

using namespace py::literals;

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

// X, y and weights, brought to T once for all networks that train on them; y once for each form that they need.
template <class T>
class SharedExamples {
 public:
  SharedExamples(py::handle x, py::object y, py::handle sample_weight)
      : x_(inputs<T>(x)), y_(std::move(y)), weights_(vector<T>(sample_weight, x_.view.rows, "sample_weight")) {}

  Examples<T> for_network(const Network<T>& network) {
    const Index outputs = network.layer_sizes().back();
    check_inputs(x_.view, network.layer_sizes().front());
    const auto [form, is_new] = forms_.try_emplace({network.loss(), outputs});
    if (is_new) form->second = targets<T>(y_, network.loss(), x_.view.rows, outputs);
    return {x_.view, form->second.targets, weights_.data};
  }

 private:
  InputArrays<T> x_;
  py::object y_;
  Vector<T> weights_;
  std::map<std::pair<Loss, Index>, TargetArrays<T>> forms_;
};

template <class T>
SharedExamples<T> held_out(py::handle validation) {
  const auto parts = py::reinterpret_borrow<py::object>(validation).cast<py::sequence>();
  require(parts.size() == 2 || parts.size() == 3, "validation has ", parts.size(),
          " entries, expected (X, y) or (X, y, sample_weight)");
  return {py::object(parts[0]), parts[1], parts.size() == 3 ? py::object(parts[2]) : py::object(py::none())};
}

// What concerns the held-out data says so.
template <class Function>
auto of_validation(Function function) {
  try {
    return function();
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(message("validation: ", error.what()));
  }
}

using Named = std::pair<std::string, py::dict>;  // an optimizer

template <class T>
FitOptions<T> fit_options(const OptimizerOptions& optimizer, std::optional<Index> batch_size, int epochs, bool shuffle,
                          double l2, const Stop& stop, std::uint64_t seed) {
  require(!batch_size || *batch_size >= 1, "batch_size is ", batch_size.value_or(0), ", expected at least 1");
  FitOptions<T> options;
  options.optimizer = optimizer;
  options.batch_size = batch_size.value_or(0);
  options.epochs = epochs;
  options.shuffle = shuffle;
  options.l2 = l2;
  options.stop = stop;
  options.seed = seed;
  return options;
}

void check_signals() {
  const py::gil_scoped_acquire acquire;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

py::dict history_dict(const History& history, bool validated) {
  const auto array = [](const std::vector<double>& values) {
    return py::array_t<double>(static_cast<Index>(values.size()), values.data());
  };
  return py::dict("loss"_a = array(history.loss),
                  "validation"_a = validated ? py::object(array(history.validation)) : py::object(py::none()),
                  "epochs"_a = history.epochs, "stop_reason"_a = history.stop_reason, "seconds"_a = history.seconds);
}

template <class T>
py::dict fit(Network<T>& network, py::object x, py::object y, const Named& optimizer, std::optional<Index> batch_size,
             int epochs, bool shuffle, py::object sample_weight, double l2, const std::string& precision,
             py::object validation, const py::dict& stop, py::object on_epoch_end, std::optional<int> n_threads,
             std::uint64_t seed) {
  const ExampleArrays<T> e = examples<T>(x, y, sample_weight, network.loss(), network.layer_sizes().back());
  auto options = fit_options<T>(optimizer_options(optimizer.first, optimizer.second), batch_size, epochs, shuffle, l2,
                                stop_options(stop), seed);
  options.precision = from_name<Precision>(precision, precision_names, "precision");
  options.threads = thread_count(n_threads);
  std::optional<SharedExamples<T>> held;
  if (!validation.is_none())
    of_validation([&] {
      held.emplace(held_out<T>(validation));
      options.validation = held->for_network(network);
    });
  if (!on_epoch_end.is_none())
    options.on_epoch_end = [&on_epoch_end](const EpochLog& log) {
      const py::gil_scoped_acquire acquire;
      const py::object answer =
          on_epoch_end(py::dict("epoch"_a = log.epoch, "loss"_a = log.loss,
                                "validation"_a = optional_number(log.validation), "seconds"_a = log.seconds));
      return answer.is(py::bool_(true));
    };
  const MappedFiles mapped{x, y, validation.is_none() ? validation : py::object(validation[py::int_(0)])};
  options.poll = [&mapped] {
    check_signals();
    mapped.release();
  };
  if (!mapped.empty()) options.poll_seconds = MappedFiles::seconds;
  History history;
  {
    const py::gil_scoped_release release;
    history = chainrule::fit(network, e.examples, options);
  }
  return history_dict(history, options.validation.has_value());
}

// What make() makes of an object, once for all networks that share it.
template <class Value, class Make>
Value& once(std::map<PyObject*, Value>& made, py::handle object, Make make) {
  const auto found = made.find(object.ptr());
  return found != made.end() ? found->second : made.emplace(object.ptr(), make()).first->second;
}

using Rows = py::array_t<Index, py::array::c_style>;

std::span<const Index> span_of(const Rows& rows) { return {rows.data(), static_cast<std::size_t>(rows.size())}; }

py::object error_of(const std::exception_ptr& error, const py::object& divergence) {
  try {
    std::rethrow_exception(error);
  } catch (const DivergenceError& e) {
    return divergence(e.what());
  } catch (const std::bad_alloc&) {
    return py::reinterpret_borrow<py::object>(PyExc_MemoryError)();
  } catch (const std::exception& e) {
    return py::reinterpret_borrow<py::object>(PyExc_RuntimeError)(e.what());
  }
}

// Each setting is a list with an entry for each network; entries that are one object are read once. A network looks
// at its validation, or at validation_rows of the shared examples.
template <class T>
py::list fit_many(const py::list& networks, py::object x, py::object y, py::object sample_weight, const py::list& rows,
                  const py::list& validation, const py::list& validation_rows, const py::list& optimizer,
                  const py::list& batch_size, const py::list& epochs, const py::list& shuffle, const py::list& l2,
                  const py::list& stop, const py::list& seed, py::object on_finished, std::optional<int> n_threads) {
  SharedExamples<T> shared(x, std::move(y), sample_weight);
  std::map<PyObject*, OptimizerOptions> optimizers;
  std::map<PyObject*, Stop> stops;
  std::map<PyObject*, SharedExamples<T>> held;
  std::vector<Rows> kept;  // what the spans look at
  const auto rows_of = [&kept](py::handle object) -> std::span<const Index> {
    if (object.is_none()) return {};
    kept.push_back(object.cast<Rows>());
    return span_of(kept.back());
  };
  std::vector<FitJob<T>> jobs;
  for (std::size_t i = 0; i < networks.size(); ++i) try {
      auto& network = networks[i].template cast<Network<T>&>();
      const auto& method = once(optimizers, optimizer[i], [&] {
        const auto named = optimizer[i].template cast<Named>();
        return optimizer_options(named.first, named.second);
      });
      const Stop& until = once(stops, stop[i], [&] { return stop_options(stop[i].template cast<py::dict>()); });
      auto options = fit_options<T>(method, batch_size[i].template cast<std::optional<Index>>(),
                                    epochs[i].template cast<int>(), shuffle[i].template cast<bool>(),
                                    l2[i].template cast<double>(), until, seed[i].template cast<std::uint64_t>());
      options.rows = rows_of(rows[i]);
      options.validation_rows = rows_of(validation_rows[i]);
      const Examples<T> examples = shared.for_network(network);
      if (!options.validation_rows.empty()) options.validation = examples;
      if (const py::object data = validation[i]; !data.is_none())
        options.validation =
            of_validation([&] { return once(held, data, [&] { return held_out<T>(data); }).for_network(network); });
      jobs.push_back({&network, examples, std::move(options)});
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(message("networks[", i, "]: ", error.what()));
    }
  const py::object divergence = py::module_::import("chainrule._core").attr("DivergenceError");
  const auto result_of = [&](std::size_t i, const FitOutcome& outcome) -> py::object {
    if (outcome.error) return error_of(outcome.error, divergence);
    return history_dict(outcome.history, jobs[i].options.validation.has_value());
  };
  const MappedFiles mapped{x};
  FitManyOptions options{.threads = thread_count(n_threads), .poll = [&mapped] {
                           check_signals();
                           mapped.release();
                         }};
  if (!on_finished.is_none())
    options.on_finished = [&](std::size_t i, const FitOutcome& outcome) {
      const py::gil_scoped_acquire acquire;
      on_finished(i, result_of(i, outcome));
    };
  std::vector<FitOutcome> outcomes;
  {
    const py::gil_scoped_release release;
    outcomes = chainrule::fit_many<T>(jobs, options);
  }
  py::list results;
  for (std::size_t i = 0; i < outcomes.size(); ++i) results.append(result_of(i, outcomes[i]));
  return results;
}

template <class T>
void bind(const py::object& type) {
  py::class_<Network<T>>(type)
      .def("fit", &fit<T>, "X"_a, "y"_a, py::kw_only(), "optimizer"_a, "batch_size"_a, "epochs"_a, "shuffle"_a,
           "sample_weight"_a, "l2"_a, "precision"_a, "validation"_a, "stop"_a, "on_epoch_end"_a, "n_threads"_a,
           "seed"_a)
      .def_static("fit_many", &fit_many<T>, "networks"_a, "X"_a, "y"_a, py::kw_only(), "sample_weight"_a, "rows"_a,
                  "validation"_a, "validation_rows"_a, "optimizer"_a, "batch_size"_a, "epochs"_a, "shuffle"_a, "l2"_a,
                  "stop"_a, "seed"_a, "on_finished"_a, "n_threads"_a);
}

}  // namespace

void bind_training(py::module_& module) {
  py::register_exception<DivergenceError>(module, "DivergenceError", PyExc_FloatingPointError).attr("__doc__") =
      "The cost or a parameter became NaN or infinite during a fit; the network keeps its last finite parameters.";
  bind<float>(module.attr("NetworkFloat32"));
  bind<double>(module.attr("NetworkFloat64"));
  module.def(
      "check_optimizer", [](const std::string& name, const py::dict& settings) { optimizer_options(name, settings); },
      "name"_a, "settings"_a);
  module.def("check_stop", [](const py::dict& settings) { stop_options(settings); }, "settings"_a);
}

}  // namespace chainrule::python
