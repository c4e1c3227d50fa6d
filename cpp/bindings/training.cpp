// Binds the training of a Network: converts settings to options, releases the GIL, calls the core once, and returns
// histories.
#include "chainrule/training.h"

#include <pybind11/stl.h>

#include <list>
#include <map>

#include "bindings/arrays.h"
#include "bindings/custom_loss.h"
#include "bindings/file_rows.h"
#include "bindings/inputs.h"
#include "bindings/mapped.h"
#include "bindings/module.h"
#include "bindings/settings.h"
#include "bindings/shared.h"
#include "core/check.h"
#include "net/checks.h"
#include "train/trainer.h"

namespace chainrule::python {
namespace {

using namespace py::literals;

py::object optional_number(const std::optional<double>& value) {
  return value ? py::object(py::float_(*value)) : py::object(py::none());
}

// X, y and weights, converted to T once for all networks that train on them. y is converted once for each form that the
// networks need.
template <class T>
class SharedExamples {
 public:
  SharedExamples(py::handle x, py::object y, py::object sample_weight)
      : x_(inputs<T>(x)), y_(std::move(y)), sample_weight_(std::move(sample_weight)) {
    if (is_file_rows(x)) files_ = py::reinterpret_borrow<py::object>(x);
  }

  // With a custom loss, y may be any object, unless some of its rows are used for validation, with the network's loss.
  // Rows in files are read separately for each network, whose order may have parts of part_rows rows.
  Examples<T> for_network(const Network<T>& network, bool with_targets = true, Index part_rows = 0) {
    const Inputs<T>& x = files_ ? readers_.emplace_back(inputs<T>(files_, part_rows)).view : x_.view;
    if (!with_targets) return {x, {}, weights()};
    check_inputs(x_.view, network.layer_sizes().front());
    const Index outputs = network.layer_sizes().back();
    const auto [form, is_new] = forms_.try_emplace({network.loss(), outputs});
    if (is_new) form->second = targets<T>(y_, network.loss(), x_.view.rows, outputs);
    return {x, form->second.targets, weights()};
  }

 private:
  // Weights are read after X and y, so that errors in X and y are reported first.
  const T* weights() {
    if (!weights_) weights_ = vector<T>(sample_weight_, x_.view.rows, "sample_weight");
    return weights_->data;
  }

  InputArrays<T> x_;
  py::object files_;                   // chainrule.Rows, or null
  std::list<InputArrays<T>> readers_;  // one per network, for files_
  py::object y_, sample_weight_;
  std::optional<Vector<T>> weights_;
  std::map<std::pair<Loss, Index>, TargetArrays<T>> forms_;
};

template <class T>
SharedExamples<T> held_out(py::handle validation) {
  const auto parts = py::reinterpret_borrow<py::object>(validation).cast<py::sequence>();
  require(parts.size() == 2 || parts.size() == 3, "validation has ", parts.size(),
          " entries, expected (X, y) or (X, y, sample_weight)");
  return {py::object(parts[0]), parts[1], parts.size() == 3 ? py::object(parts[2]) : py::object(py::none())};
}

// Prefixes errors about the validation data with "validation", including TypeErrors and Python errors.
template <class Function>
auto of_validation(Function function) {
  try {
    return with_prefix("validation", function);
  } catch (const py::type_error& error) {
    throw py::type_error(text_of("validation: ", error.what()));
  } catch (py::error_already_set& error) {
    if (error.matches(PyExc_TypeError) || error.matches(PyExc_ValueError))
      error.value().attr("args") = py::make_tuple(text_of("validation: ", std::string(py::str(error.value()))));
    throw;
  }
}

using Rows = py::array_t<Index, py::array::c_style>;

std::span<const Index> span_of(const Rows& rows) { return {rows.data(), static_cast<std::size_t>(rows.size())}; }

// Converts Python's on_epoch_end(logs, snapshot) to the function that the core calls.
template <class T>
auto epoch_callback(const py::object& on_epoch_end, const FitState<T>& state) {
  return [on_epoch_end = shared(on_epoch_end), &state](const EpochLog& log, const std::function<void()>& snapshot) {
    const WithGil gil;
    const auto open = std::make_shared<bool>(true);  // false once this returns
    const auto take = [&snapshot, &state, open] {
      if (!*open) throw std::runtime_error("snapshot() may only be called within on_epoch_end");
      snapshot();
      return state_dict(state);
    };
    const std::unique_ptr<bool, void (*)(bool*)> close(open.get(), [](bool* flag) { *flag = false; });
    const py::dict logs("epoch"_a = log.epoch, "loss"_a = log.loss, "validation"_a = optional_number(log.validation),
                        "metrics"_a = array_of(log.metrics), "learning_rate"_a = log.learning_rate,
                        "seconds"_a = log.seconds);
    return call(*on_epoch_end, logs, py::cpp_function(take)).is(py::bool_(true));
  };
}

// Converts Python's source(parameters, rows, step, seed, dropout, input_dropout) -> (gradient, loss, weight) to the
// function that the core calls.
template <class T>
auto gradient_source(const py::object& source) {
  return [source = shared(source)](const SourceBatch<T>& batch, std::span<T> gradient) {
    const WithGil gil;
    const py::object rows = batch.rows.empty() ? py::object(py::slice(batch.first, batch.first + batch.count, 1))
                                               : py::object(array_of(batch.rows));
    const auto [values, loss, weight] =
        call(*source, array_of(batch.parameters), rows, batch.step, batch.seed, batch.dropout, batch.input_dropout)
            .template cast<std::tuple<py::object, double, double>>();
    const Vector<T> computed =
        vector<T>(values, static_cast<Index>(gradient.size()), "the gradient that source returned");
    std::copy_n(computed.data, gradient.size(), gradient.begin());
    return SourceCost{loss, weight};
  };
}

// The data of a call and the validation data of its fits, each converted to T once.
template <class T>
struct FitData {
  py::object x, y, sample_weight;
  SharedExamples<T> shared{x, y, sample_weight};
  std::map<PyObject*, SharedExamples<T>> validation{};

  SharedExamples<T>& held_out_by(py::handle data) {
    const auto found = validation.find(data.ptr());
    return found != validation.end() ? found->second : validation.emplace(data.ptr(), held_out<T>(data)).first->second;
  }
};

template <class Value>
py::object as_object(const Value& value) {
  return py::cast(value);
}
py::object as_object(const std::vector<double>& values) { return array_of<double>(values); }
py::object as_object(const std::vector<std::vector<double>>& many) {
  py::list list;
  for (const std::vector<double>& values : many) list.append(as_object(values));
  return list;
}

// A fit requested by chainrule/training.py: the arguments for the core, and the arrays that they refer to.
template <class T>
class FitRequest {
 public:
  // arguments: a dict with the settings and these entries, each of which may be None: loss (replaces that of the
  // network), source (a function, and the number of rows that replace those of the data), rows (to train on),
  // validation (data) or validation_rows (rows of the examples), on_epoch_end, and state (to resume). The entry
  // keep_state is true if the result must include the final state.
  FitRequest(const Network<T>& network, FitData<T>& data, const py::dict& arguments)
      : options(fit_options<T>(arguments["settings"].cast<py::dict>())) {
    const py::object loss = arguments["loss"], validation = arguments["validation"],
                     on_epoch_end = arguments["on_epoch_end"];
    const py::object state = arguments["state"];
    if (const py::object rows = arguments["rows"]; !rows.is_none()) options.rows = span_of(rows_ = rows.cast<Rows>());
    if (const py::object rows = arguments["validation_rows"]; !rows.is_none())
      options.validation_rows = span_of(validation_rows_ = rows.cast<Rows>());
    const py::object source = arguments["source"];
    if (!source.is_none())
      options.source = {source[py::int_(1)].cast<Index>(), gradient_source<T>(source[py::int_(0)])};
    const auto* parts = std::get_if<WithinParts>(&options.shuffle);
    if (is_file_rows(data.x) && parts == nullptr && is_shuffled(options.shuffle) && options.batch_size) {
      const auto rows = py::cast<py::tuple>(data.x.attr("shape"))[0].template cast<Index>();
      require(*options.batch_size >= rows,
              "rows in files are read part by part, not in arbitrary order: choose shuffle=", "WithinParts(",
              data.x.attr("largest_part").template cast<Index>(), "), or shuffle=False");
    }
    examples = data.shared.for_network(
        network, source.is_none() && (loss.is_none() || !options.validation_rows.empty()), parts ? parts->rows : 0);
    if (!loss.is_none()) options.custom_loss = custom_loss<T>(loss, data.y, data.sample_weight, true);
    if (!validation.is_none())
      options.validation = of_validation([&] { return data.held_out_by(validation).for_network(network); });
    else if (!options.validation_rows.empty())
      options.validation = examples;
    if (!state.is_none()) state_ = state_of<T>(state.cast<py::dict>());
    if (state_.epoch > 0) check_lengths(state_, options);
    keeps_state_ = !state.is_none() || arguments["keep_state"].cast<bool>();
    if (keeps_state_ || !on_epoch_end.is_none()) options.state = &state_;
    if (!on_epoch_end.is_none()) options.on_epoch_end = epoch_callback(on_epoch_end, state_);
  }
  FitRequest(const FitRequest&) = delete;

  Examples<T> examples;
  FitOptions<T> options;

  // The dict from which chainrule.History.from_core makes a History.
  py::dict result(const History& history) const {
    py::dict all;
    History::fields([&](const char* name, auto member) { all[name] = as_object(history.*member); });
    if (!options.validation) all["validation"] = py::none();
    all["state"] = keeps_state_ ? py::object(state_dict(state_)) : py::object(py::none());
    return all;
  }

 private:
  Rows rows_, validation_rows_;
  FitState<T> state_;
  bool keeps_state_;
};

// Converts an exception to a Python exception object. Rethrows exceptions that are not subclasses of Exception, such as
// KeyboardInterrupt, unless `any` is true.
py::object error_of(const std::exception_ptr& error, bool any) {
  try {
    std::rethrow_exception(error);
  } catch (const DivergenceError& e) {
    return py::module_::import("chainrule._core").attr("DivergenceError")(e.what());
  } catch (const py::error_already_set& e) {  // from a metric, a schedule or a callback
    if (!any && !e.matches(PyExc_Exception)) throw;
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

// Adds the history so far to the error of a diverged or interrupted fit.
template <class T>
void add_history(const py::object& error, const FitRequest<T>& request, const History& history) {
  const bool known = py::isinstance(error, py::module_::import("chainrule._core").attr("DivergenceError")) ||
                     PyErr_GivenExceptionMatches(error.ptr(), PyExc_KeyboardInterrupt) != 0;
  if (known) error.attr("history") = request.result(history);
}

template <class T>
py::dict fit(Network<T>& network, py::object x, py::object y, const py::dict& arguments, py::object sample_weight,
             std::optional<int> n_threads) {
  FitData<T> data{x, std::move(y), std::move(sample_weight)};
  FitRequest<T> request(network, data, arguments);
  FitOptions<T>& options = request.options;
  options.threads = thread_count(n_threads);
  const py::object validation = arguments["validation"];
  const MappedFiles mapped{x, data.y, validation.is_none() ? validation : py::object(validation[py::int_(0)])};
  options.poll = [&mapped] {
    check_signals();
    mapped.release();
  };
  if (!mapped.empty()) options.poll_seconds = MappedFiles::seconds;
  options.copy_columns = mapped.empty();
  History history;
  options.history = &history;
  try {
    const WithoutGil released;
    chainrule::fit(network, request.examples, options);
  } catch (const DivergenceError&) {
    const py::object error = error_of(std::current_exception(), true);
    add_history(error, request, history);
    PyErr_SetObject(py::type::of(error).ptr(), error.ptr());
    throw py::error_already_set();
  } catch (const py::error_already_set& e) {
    if (e.matches(PyExc_KeyboardInterrupt)) add_history(e.value(), request, history);
    throw;
  }
  return request.result(history);
}

// arguments has a dict for each network, as for fit. Calls on_finished(index, result) for each network, where result is
// the result of its fit, or the exception. more_epochs() -> int: None, or see FitManyOptions.
template <class T>
void fit_many(const py::list& networks, py::object x, py::object y, const py::list& arguments, py::object sample_weight,
              const py::object& on_finished, const py::object& more_epochs, std::optional<int> n_threads) {
  FitData<T> data{x, std::move(y), std::move(sample_weight)};
  std::vector<std::unique_ptr<FitRequest<T>>> requests;
  std::vector<FitJob<T>> jobs;
  const MappedFiles mapped{x};
  for (std::size_t i = 0; i < networks.size(); ++i) try {
      auto& network = networks[i].template cast<Network<T>&>();
      requests.push_back(std::make_unique<FitRequest<T>>(network, data, arguments[i].template cast<py::dict>()));
      requests.back()->options.copy_columns = mapped.empty();
      jobs.push_back({&network, requests.back()->examples, requests.back()->options});
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(text_of("networks[", i, "]: ", error.what()));
    }
  FitManyOptions options{.threads = thread_count(n_threads), .poll = [&mapped] {
                           check_signals();
                           mapped.release();
                         }};
  options.on_finished = [&](std::size_t i, const FitOutcome& outcome) {
    const WithGil gil;
    if (!outcome.error) {
      call(on_finished, i, requests[i]->result(outcome.history));
      return;
    }
    const py::object error = error_of(outcome.error, false);
    add_history(error, *requests[i], outcome.history);
    call(on_finished, i, error);
  };
  if (!more_epochs.is_none())
    options.more_epochs = [&] {
      const WithGil gil;
      return call(more_epochs).template cast<int>();
    };
  const WithoutGil released;
  chainrule::fit_many<T>(jobs, options);
}

template <class T>
void bind(const py::object& type) {
  const auto none = py::none();
  py::class_<Network<T>>(type)
      .def("fit", &fit<T>, "X"_a, "y"_a, "request"_a, py::kw_only(), "sample_weight"_a = none, "n_threads"_a = none)
      .def_static("fit_many", &fit_many<T>, "networks"_a, "X"_a, "y"_a, "requests"_a, py::kw_only(), "sample_weight"_a,
                  "on_finished"_a, "more_epochs"_a, "n_threads"_a);
}

}  // namespace

void bind_training(py::module_& module) {
  py::register_exception<DivergenceError>(module, "DivergenceError", PyExc_FloatingPointError).attr("__doc__") =
      "The cost or a parameter became NaN or infinite during a fit; the network keeps its last finite parameters.";
  bind<float>(module.attr("NetworkFloat32"));
  bind<double>(module.attr("NetworkFloat64"));
  module.attr("SETTINGS") = described_settings();
  module.def("check_settings", &check_settings, "settings"_a);
}

}  // namespace chainrule::python
