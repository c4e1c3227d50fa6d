// The training of a Network: settings to options, the GIL released, one call of the core, histories back.
#include "chainrule/training.h"

#include <pybind11/stl.h>

#include <map>

#include "bindings/arrays.h"
#include "bindings/custom_loss.h"
#include "bindings/inputs.h"
#include "bindings/mapped.h"
#include "bindings/module.h"
#include "bindings/settings.h"
#include "core/check.h"
#include "net/network.h"
#include "train/trainer.h"

namespace chainrule::python {
namespace {

using namespace py::literals;

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

// Errors of the held-out data say so, those of types and of Python too.
template <class Function>
auto of_validation(Function function) {
  try {
    return about("validation", function);
  } catch (const py::type_error& error) {
    throw py::type_error(text_of("validation: ", error.what()));
  } catch (py::error_already_set& error) {
    if (error.matches(PyExc_TypeError) || error.matches(PyExc_ValueError))
      error.value().attr("args") = py::make_tuple(text_of("validation: ", std::string(py::str(error.value()))));
    throw;
  }
}

py::dict history_dict(const History& history, bool validated) {
  py::list metrics;
  for (const std::vector<double>& values : history.metrics) metrics.append(array_of<double>(values));
  return py::dict(
      "loss"_a = array_of<double>(history.loss),
      "validation"_a = validated ? py::object(array_of<double>(history.validation)) : py::object(py::none()),
      "metrics"_a = metrics, "learning_rate"_a = array_of<double>(history.learning_rate), "epochs"_a = history.epochs,
      "best_epoch"_a = history.best_epoch, "watched"_a = history.watched, "stop_reason"_a = history.stop_reason,
      "seconds"_a = history.seconds);
}

// With what was done until then as its attribute.
[[noreturn]] void raise_with_history(const py::object& type, const py::object& error, const History& history,
                                     bool validated) {
  error.attr("history") = history_dict(history, validated);
  PyErr_SetObject(type.ptr(), error.ptr());
  throw py::error_already_set();
}

using Rows = py::array_t<Index, py::array::c_style>;

// The numbers of rows in arrays that are kept alive; none for None.
class RowArrays {
 public:
  std::span<const Index> span_of(py::handle object) {
    if (object.is_none()) return {};
    kept_.push_back(object.cast<Rows>());
    return {kept_.back().data(), static_cast<std::size_t>(kept_.back().size())};
  }

 private:
  std::vector<Rows> kept_;
};

// on_epoch_end(logs, snapshot), as the core calls it.
template <class T>
auto epoch_callback(const py::object& on_epoch_end, const FitState<T>& state) {
  return [&on_epoch_end, &state](const EpochLog& log, const std::function<void()>& snapshot) {
    const WithGil gil;
    const auto open = std::make_shared<bool>(true);  // until this returns
    const auto take = [&snapshot, &state, open] {
      if (!*open) throw std::runtime_error("snapshot() is for on_epoch_end alone: the training has gone on since");
      snapshot();
      return state_dict(state);
    };
    const std::unique_ptr<bool, void (*)(bool*)> close(open.get(), [](bool* flag) { *flag = false; });
    const py::dict logs("epoch"_a = log.epoch, "loss"_a = log.loss, "validation"_a = optional_number(log.validation),
                        "metrics"_a = array_of(log.metrics), "learning_rate"_a = log.learning_rate,
                        "seconds"_a = log.seconds);
    return call(on_epoch_end, logs, py::cpp_function(take)).is(py::bool_(true));
  };
}

// With a loss of one's own y may be anything, unless a part of it is held out.
template <class T>
ExampleArrays<T> examples_to_fit(const Network<T>& network, py::handle x, py::handle y, py::handle sample_weight,
                                 bool own_loss, bool held_out) {
  if (!own_loss || held_out) return examples<T>(x, y, sample_weight, network.loss(), network.layer_sizes().back());
  ExampleArrays<T> e;
  e.x = inputs<T>(x);
  e.weights = vector<T>(sample_weight, e.x.view.rows, "sample_weight");
  e.examples = {e.x.view, {}, e.weights.data};
  return e;
}

// loss: a function in the place of the network's, or None; state: of a training to go on with, or None; keep_state:
// whether the result has the state at the end. Held out are `validation`, or those of the examples that validation_rows
// names.
template <class T>
py::dict fit(Network<T>& network, py::object x, py::object y, const py::dict& settings, py::object sample_weight,
             py::object loss, py::object rows, py::object validation, py::object validation_rows,
             py::object on_epoch_end, const std::optional<py::dict>& state, bool keep_state,
             std::optional<int> n_threads) {
  const ExampleArrays<T> e = examples_to_fit(network, x, y, sample_weight, !loss.is_none(), !validation_rows.is_none());
  auto options = fit_options<T>(settings);
  if (!loss.is_none()) options.custom_loss = custom_loss<T>(loss, y, sample_weight, true);
  options.threads = thread_count(n_threads);
  RowArrays named;
  options.rows = named.span_of(rows);
  options.validation_rows = named.span_of(validation_rows);
  std::optional<SharedExamples<T>> held;
  if (!validation.is_none())
    of_validation([&] {
      held.emplace(held_out<T>(validation));
      options.validation = held->for_network(network);
    });
  else if (!options.validation_rows.empty())
    options.validation = e.examples;
  FitState<T> training;
  if (state) training = state_of<T>(*state);
  if (training.epoch > 0) check_lengths(training, options);
  if (state || keep_state || !on_epoch_end.is_none()) options.state = &training;
  if (!on_epoch_end.is_none()) options.on_epoch_end = epoch_callback(on_epoch_end, training);
  const MappedFiles mapped{x, y, validation.is_none() ? validation : py::object(validation[py::int_(0)])};
  options.poll = [&mapped] {
    check_signals();
    mapped.release();
  };
  if (!mapped.empty()) options.poll_seconds = MappedFiles::seconds;
  options.copy_columns = mapped.empty();
  History history;
  options.history = &history;
  const bool validated = options.validation.has_value();
  try {
    const WithoutGil released;
    chainrule::fit(network, e.examples, options);
  } catch (const DivergenceError& error) {
    const py::object type = py::module_::import("chainrule._core").attr("DivergenceError");
    raise_with_history(type, type(error.what()), history, validated);
  } catch (const py::error_already_set& error) {
    if (!error.matches(PyExc_KeyboardInterrupt)) throw;
    raise_with_history(error.type(), error.value(), history, validated);
  }
  py::dict result = history_dict(history, validated);
  result["state"] = keep_state || state ? py::object(state_dict(training)) : py::object(py::none());
  return result;
}

// What make() makes of an object, once for all networks that share it.
template <class Value, class Make>
Value& once(std::map<PyObject*, Value>& made, py::handle object, Make make) {
  const auto found = made.find(object.ptr());
  return found != made.end() ? found->second : made.emplace(object.ptr(), make()).first->second;
}

py::object error_of(const std::exception_ptr& error, const py::object& divergence) {
  try {
    std::rethrow_exception(error);
  } catch (const DivergenceError& e) {
    return divergence(e.what());
  } catch (const py::error_already_set& e) {  // of a function that scores or schedules
    if (!e.matches(PyExc_Exception)) throw;   // but ends the program
    return e.value();
  } catch (const py::builtin_exception& e) {
    e.set_error();
    return py::error_already_set().value();
  } catch (const std::bad_alloc&) {
    return py::reinterpret_borrow<py::object>(PyExc_MemoryError)();
  } catch (const std::invalid_argument& e) {
    return py::reinterpret_borrow<py::object>(PyExc_ValueError)(e.what());
  } catch (const std::exception& e) {
    return py::reinterpret_borrow<py::object>(PyExc_RuntimeError)(e.what());
  }
}

// The lists have an entry for each network, as fit takes them. A network looks at its validation, or at validation_rows
// of the shared examples.
template <class T>
py::list fit_many(const py::list& networks, py::object x, py::object y, const py::list& settings,
                  py::object sample_weight, const py::list& rows, const py::list& validation,
                  const py::list& validation_rows, py::object on_finished, std::optional<int> n_threads) {
  SharedExamples<T> shared(x, std::move(y), sample_weight);
  std::map<PyObject*, SharedExamples<T>> held;
  RowArrays named;
  std::vector<FitJob<T>> jobs;
  for (std::size_t i = 0; i < networks.size(); ++i) try {
      auto& network = networks[i].template cast<Network<T>&>();
      auto options = fit_options<T>(settings[i].template cast<py::dict>());
      options.rows = named.span_of(rows[i]);
      options.validation_rows = named.span_of(validation_rows[i]);
      const Examples<T> examples = shared.for_network(network);
      if (!options.validation_rows.empty()) options.validation = examples;
      if (const py::object data = validation[i]; !data.is_none())
        options.validation =
            of_validation([&] { return once(held, data, [&] { return held_out<T>(data); }).for_network(network); });
      jobs.push_back({&network, examples, std::move(options)});
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(text_of("networks[", i, "]: ", error.what()));
    }
  const py::object divergence = py::module_::import("chainrule._core").attr("DivergenceError");
  const auto result_of = [&](std::size_t i, const FitOutcome& outcome) -> py::object {
    if (outcome.error) return error_of(outcome.error, divergence);
    return history_dict(outcome.history, jobs[i].options.validation.has_value());
  };
  const MappedFiles mapped{x};
  for (FitJob<T>& job : jobs) job.options.copy_columns = mapped.empty();
  FitManyOptions options{.threads = thread_count(n_threads), .poll = [&mapped] {
                           check_signals();
                           mapped.release();
                         }};
  options.on_finished = [&](std::size_t i, const FitOutcome& outcome) {
    const WithGil gil;
    const py::object result = result_of(i, outcome);
    if (!on_finished.is_none()) call(on_finished, i, result);
  };
  std::vector<FitOutcome> outcomes;
  {
    const WithoutGil released;
    outcomes = chainrule::fit_many<T>(jobs, options);
  }
  py::list results;
  for (std::size_t i = 0; i < outcomes.size(); ++i) results.append(result_of(i, outcomes[i]));
  return results;
}

template <class T>
void bind(const py::object& type) {
  const auto none = py::none();
  py::class_<Network<T>>(type)
      .def("fit", &fit<T>, "X"_a, "y"_a, "settings"_a, py::kw_only(), "sample_weight"_a = none, "loss"_a = none,
           "rows"_a = none, "validation"_a = none, "validation_rows"_a = none, "on_epoch_end"_a = none,
           "state"_a = none, "keep_state"_a = false, "n_threads"_a = none)
      .def_static("fit_many", &fit_many<T>, "networks"_a, "X"_a, "y"_a, "settings"_a, py::kw_only(), "sample_weight"_a,
                  "rows"_a, "validation"_a, "validation_rows"_a, "on_finished"_a, "n_threads"_a);
}

}  // namespace

void bind_training(py::module_& module) {
  py::register_exception<DivergenceError>(module, "DivergenceError", PyExc_FloatingPointError).attr("__doc__") =
      "The cost or a parameter became NaN or infinite during a fit; the network keeps its last finite parameters.";
  bind<float>(module.attr("NetworkFloat32"));
  bind<double>(module.attr("NetworkFloat64"));
  const auto make_optimizer = [](const std::string& name, const py::dict& settings) {
    optimizer_options(py::make_tuple(name, settings));
  };
  const auto make_schedule = [](const std::string& name, const py::dict& settings) {
    rate_schedule(py::make_tuple(name, settings));
  };
  module.def("check_optimizer", make_optimizer, "name"_a, "settings"_a);
  module.def("check_schedule", make_schedule, "name"_a, "settings"_a);
  module.def("check_stop", [](const py::dict& settings) { stop_options(settings); }, "settings"_a);
}

}  // namespace chainrule::python
