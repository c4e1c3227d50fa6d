#include "bindings/settings.h"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <climits>
#include <utility>

#include "bindings/arrays.h"
#include "bindings/shared.h"
#include "core/check.h"

namespace chainrule::python {
namespace {

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
      const py::object value = values_[key];
      const std::string found = text_of(key, " is ", std::string(py::repr(value)));
      int overflow = 0;
      const long long integer = PyLong_Check(value.ptr()) ? PyLong_AsLongLongAndOverflow(value.ptr(), &overflow) : 0;
      if (overflow != 0 || integer > INT_MAX || integer < INT_MIN)
        throw std::invalid_argument(found + ", which is out of range");
      throw py::type_error(found + ", which has the wrong type");
    }
    ++seen_;
  }
  // The same by a function of the value.
  template <class Value, class Make>
  void read(const char* key, Value& into, Make make) {
    py::object value;
    read(key, value);
    if (value) into = make(value);
  }
  void done(const std::string& what) const {
    require(seen_ == values_.size(), what, " has a setting that does not exist: ", std::string(py::repr(values_)));
  }

 private:
  py::dict values_;
  std::size_t seen_ = 0;
};

// Reads settings into a struct of options by their common names.
void read(Settings& s, Sgd& o) {
  s.read("learning_rate", o.learning_rate);
  s.read("momentum", o.momentum);
  s.read("nesterov", o.nesterov);
  s.read("rate_in_velocity", o.rate_in_velocity);
  s.read("weight_decay", o.weight_decay);
}
void read(Settings& s, Adam& o) {
  s.read("learning_rate", o.learning_rate);
  s.read("beta1", o.beta1);
  s.read("beta2", o.beta2);
  s.read("epsilon", o.epsilon);
  s.read("epsilon_hat", o.epsilon_hat);
  s.read("weight_decay", o.weight_decay);
}
void read(Settings& s, RmsProp& o) {
  s.read("learning_rate", o.learning_rate);
  s.read("alpha", o.alpha);
  s.read("epsilon", o.epsilon);
  s.read("momentum", o.momentum);
  s.read("centered", o.centered);
  s.read("weight_decay", o.weight_decay);
}
void read(Settings& s, Adagrad& o) {
  s.read("learning_rate", o.learning_rate);
  s.read("learning_rate_decay", o.learning_rate_decay);
  s.read("initial_accumulator", o.initial_accumulator);
  s.read("epsilon", o.epsilon);
  s.read("weight_decay", o.weight_decay);
}
void read(Settings& s, Lbfgs& o) {
  s.read("learning_rate", o.learning_rate);
  s.read("history", o.history);
  s.read("max_evaluations", o.max_evaluations);
  s.read("tolerance_gradient", o.tolerance_gradient);
  s.read("tolerance_change", o.tolerance_change);
  s.read("unit_first_step", o.unit_first_step);
}
void read(Settings& s, StepDecay& o) {
  s.read("every", o.every);
  s.read("factor", o.factor);
}
void read(Settings& s, ExponentialDecay& o) { s.read("factor", o.factor); }
void read(Settings& s, InverseScaling& o) {
  s.read("power", o.power);
  s.read("scale", o.scale);
}
void read(Settings& s, Cosine& o) {
  s.read("epochs", o.epochs);
  s.read("warmup", o.warmup);
  s.read("restart_every", o.restart_every);
  s.read("period_factor", o.period_factor);
  s.read("lowest", o.lowest);
}
void read(Settings& s, OneCycle& o) {
  s.read("epochs", o.epochs);
  s.read("warmup", o.warmup);
  s.read("start", o.start);
  s.read("end", o.end);
}
void read(Settings& s, ReduceOnPlateau& o) {
  s.read("factor", o.factor);
  s.read("patience", o.patience);
  s.read("min_delta", o.min_delta);
  s.read("lowest", o.lowest);
}

// Whether the name is that of the struct, which is then read from its settings.
template <class Options, class Variant>
bool read_named(const char* expected, const std::string& name, const py::dict& values, Variant& into) {
  if (name != expected) return false;
  Options options;
  Settings settings(values);
  read(settings, options);
  settings.done(name);
  into = std::move(options);
  return true;
}

template <class T>
Metric<T> metric(py::handle value) {
  const auto [what, more_is_better] = value.cast<std::pair<py::object, bool>>();
  Metric<T> metric;
  metric.more_is_better = more_is_better;
  if (py::isinstance<py::str>(what)) {
    metric.score = from_name<Score>(what.template cast<std::string>(), score_names, "metric");
    return metric;
  }
  metric.function = [function = shared(what)](MatrixView<const T> predictions) {
    const WithGil gil;
    auto array = new_matrix<T>(predictions.rows, predictions.cols);
    std::copy_n(predictions.data, predictions.rows * predictions.cols, array.mutable_data());
    return call(*function, array).template cast<double>();
  };
  return metric;
}

}  // namespace

OptimizerOptions optimizer_options(py::handle named) {
  const auto [name, values] = named.cast<std::pair<std::string, py::dict>>();
  OptimizerOptions options;
  const bool found =
      read_named<Sgd>("sgd", name, values, options) || read_named<Adam>("adam", name, values, options) ||
      read_named<Adam>("adamw", name, values, options) || read_named<RmsProp>("rmsprop", name, values, options) ||
      read_named<Adagrad>("adagrad", name, values, options) || read_named<Lbfgs>("lbfgs", name, values, options);
  require(found, "optimizer '", name, "' is unknown, expected one of sgd, adam, adamw, rmsprop, adagrad, lbfgs");
  check(options);
  return options;
}

RateSchedule rate_schedule(py::handle schedule) {
  if (schedule.is_none()) return {};
  if (PyCallable_Check(schedule.ptr()) != 0)
    return [function = shared(schedule)](int epoch) {
      const WithGil gil;
      return call(*function, epoch).template cast<double>();
    };
  const auto [name, values] = schedule.cast<std::pair<std::string, py::dict>>();
  RateSchedule options;
  const bool found = read_named<StepDecay>("stepdecay", name, values, options) ||
                     read_named<ExponentialDecay>("exponentialdecay", name, values, options) ||
                     read_named<InverseScaling>("inversescaling", name, values, options) ||
                     read_named<Cosine>("cosine", name, values, options) ||
                     read_named<OneCycle>("onecycle", name, values, options) ||
                     read_named<ReduceOnPlateau>("reduceonplateau", name, values, options);
  require(found, "schedule '", name, "' is unknown");
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
  settings.read("min_delta", stop.min_delta);
  settings.read("learning_rate_below", stop.learning_rate_below);
  settings.read("seconds", stop.seconds);
  settings.done("stop");
  check(stop);
  return stop;
}

Group group_options(const py::dict& values) {
  static constexpr const char* kind_names[] = {"weights", "biases"};
  Settings settings(values);
  Group group;
  std::optional<std::string> kind;
  std::optional<std::vector<Index>> layers;
  settings.read("layers", layers);
  settings.read("kind", kind);
  settings.read("learning_rate", group.learning_rate);
  settings.read("weight_decay", group.weight_decay);
  settings.done("a group");
  group.layers = layers.value_or(std::vector<Index>{});
  if (kind) group.kind = from_name<Kind>(*kind, kind_names, "the kind of a group");
  return group;
}

template <class T>
FitOptions<T> fit_options(const py::dict& values) {
  Settings settings(values);
  FitOptions<T> options;
  const auto list_of = [](auto make) {
    return [make](const py::object& values) {
      std::vector<decltype(make(py::handle()))> list;
      for (const py::handle value : values) list.push_back(make(value));
      return list;
    };
  };
  settings.read("optimizer", options.optimizer, [](const py::object& value) { return optimizer_options(value); });
  std::optional<Index> batch_size;
  settings.read("batch_size", batch_size);
  require(!batch_size || *batch_size >= 1, "batch_size is ", batch_size.value_or(0), ", expected at least 1");
  options.batch_size = batch_size.value_or(0);
  settings.read("epochs", options.epochs);
  settings.read("shuffle", options.shuffle);
  settings.read("l2", options.l2);
  settings.read("l2_per_row", options.l2_per_row);
  settings.read("groups", options.groups, list_of([](py::handle g) { return group_options(g.cast<py::dict>()); }));
  settings.read("clip_norm", options.clip_norm);
  settings.read("clip_value", options.clip_value);
  settings.read("ema", options.ema);
  settings.read("dropout", options.dropout);
  settings.read("input_dropout", options.input_dropout);
  settings.read("schedules", options.schedules, [](const py::object& value) {
    Settings of_rates(value.cast<py::dict>());
    RateSchedules schedules;
    const auto make = [](const py::object& schedule) { return rate_schedule(schedule); };
    of_rates.read("learning_rate", schedules.learning_rate, make);
    of_rates.read("weight_decay", schedules.weight_decay, make);
    of_rates.read("dropout", schedules.dropout, make);
    of_rates.done("schedules");
    return schedules;
  });
  settings.read("precision", options.precision, [](const py::object& name) {
    return from_name<Precision>(name.cast<std::string>(), precision_names, "precision");
  });
  settings.read("metrics", options.metrics, list_of([](py::handle value) { return metric<T>(value); }));
  settings.read("stop", options.stop, [](const py::object& value) { return stop_options(value.cast<py::dict>()); });
  settings.read("seed", options.seed);
  settings.done("fit");
  return options;
}

namespace {

template <class Value>
py::dict arrays_of(const std::map<std::string, std::vector<Value>>& vectors) {
  py::dict arrays;
  for (const auto& [name, values] : vectors) arrays[py::str(name)] = array_of<Value>(values);
  return arrays;
}

template <class Value>
std::map<std::string, std::vector<Value>> vectors_of(const py::handle& arrays) {
  std::map<std::string, std::vector<Value>> vectors;
  for (const auto& [name, values] : arrays.cast<py::dict>()) {
    const std::string key = py::str(name);  // ValueError where it is no Unicode
    const std::string what = "the state to go on from: " + key;
    const py::array array = real_array(values, what.c_str());
    require(array.dtype().kind() == 'f' && array.itemsize() == sizeof(Value), what, " has dtype ",
            std::string(py::str(array.dtype())), ", expected ", std::string(py::str(py::dtype::of<Value>())));
    const Vector<Value> vector = python::vector<Value>(array, array.size(), what.c_str());
    vectors[key].assign(vector.data, vector.data + array.size());
  }
  return vectors;
}

}  // namespace

template <class T>
py::dict state_dict(const FitState<T>& state) {
  using namespace py::literals;
  return py::dict("epoch"_a = state.epoch, "seed"_a = state.seed, "numbers"_a = arrays_of(state.numbers),
                  "vectors"_a = arrays_of(state.vectors));
}

template <class T>
FitState<T> state_of(const py::dict& values) {
  return {values["epoch"].cast<int>(), values["seed"].cast<std::uint64_t>(), vectors_of<double>(values["numbers"]),
          vectors_of<T>(values["vectors"])};
}

#define CHAINRULE_INSTANTIATE(T)                          \
  template FitOptions<T> fit_options(const py::dict&);    \
  template py::dict state_dict(const FitState<T>& state); \
  template FitState<T> state_of(const py::dict&);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule::python
