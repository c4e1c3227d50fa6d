#include "bindings/settings.h"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <type_traits>
#include <utility>
#include <variant>

#include "bindings/arrays.h"
#include "bindings/shared.h"
#include "core/check.h"

namespace chainrule::python {
namespace {

// Reads the settings that are in the dict; the others keep their defaults.
template <class Options>
void read_fields(const py::dict& values, Options& options);

// Reads the attributes of an object, which have the names of the settings of its struct.
template <class Options>
Options options_of(py::handle object) {
  Options options;
  read_fields(object.attr("__dict__"), options);
  return options;
}

// Reads the struct that the object's core_name names; returns false if it is none of these.
template <class... Options>
bool read_named(py::handle object, std::variant<Options...>& into) {
  const auto name = object.attr("core_name").cast<std::string>();
  const auto read_if = [&]<class One>(std::type_identity<One>) {
    if constexpr (requires { One::name; }) {
      if (name != One::name) return false;
      into = options_of<One>(object);
      return true;
    }
    return false;
  };
  return (read_if(std::type_identity<Options>()) || ...);
}

// For each type of a setting: read() converts it from Python, which has checked the type; type_of() is its name in
// Python; default_of() is its default.
template <class Value>
void read(py::handle value, Value& into) {
  into = value.cast<Value>();
}
const char* type_of(bool) { return "bool"; }
const char* type_of(int) { return "int"; }
const char* type_of(Index) { return "int"; }
const char* type_of(double) { return "float"; }
template <class Value>
const char* type_of(const std::optional<Value>&) {
  return type_of(Value());
}
template <class Value>
py::object default_of(const Value& value) {
  if constexpr (std::is_arithmetic_v<Value>) return py::cast(value);
  return py::none();
}

void read(py::handle optimizer, OptimizerOptions& into) {
  if (!optimizer.is_none()) read_named(optimizer, into);
}
const char* type_of(const OptimizerOptions&) { return "Optimizer"; }

void read(py::handle schedule, RateSchedule& into) {
  if (PyCallable_Check(schedule.ptr()) == 0) {
    read_named(schedule, into);
    return;
  }
  into = [function = shared(schedule)](int epoch) {
    const WithGil gil;
    return call(*function, epoch).template cast<double>();
  };
}
const char* type_of(const RateSchedule&) { return "schedule"; }

void read(py::handle schedules, RateSchedules& into) { read_fields(schedules.cast<py::dict>(), into); }
const char* type_of(const RateSchedules&) { return "schedule, or dict of str to schedule"; }

void read(py::handle stop, Stop& into) {
  if (!stop.is_none()) into = options_of<Stop>(stop);
}
const char* type_of(const Stop&) { return "Stop"; }

void read(py::handle shuffle, Shuffle& into) {
  if (py::isinstance<py::bool_>(shuffle))
    into = shuffle.cast<bool>();
  else
    into = options_of<WithinParts>(shuffle);
}
const char* type_of(const Shuffle&) { return "bool or WithinParts"; }
py::object default_of(const Shuffle& value) { return py::bool_(is_shuffled(value)); }

void read(py::handle groups, std::vector<Group>& into) {
  for (const py::handle group : groups) into.push_back(options_of<Group>(group));
}
const char* type_of(const std::vector<Group>&) { return "iterable of Group"; }
py::object default_of(const std::vector<Group>&) { return py::tuple(); }

void read(py::handle layers, std::vector<Index>& into) {
  if (!layers.is_none()) into = layers.cast<std::vector<Index>>();
}
const char* type_of(const std::vector<Index>&) { return "iterable of int"; }

const char* type_of(const std::vector<double>&) { return "float or sequence of float"; }
py::object default_of(const std::vector<double>&) { return py::float_(0.0); }

void read(py::handle kind, std::optional<Kind>& into) {
  if (!kind.is_none()) into = from_name<Kind>(kind.cast<std::string>(), kind_names, "the kind of a group");
}
const char* type_of(const std::optional<Kind>&) { return "{\"weights\", \"biases\"}"; }

void read(py::handle name, Precision& into) {
  into = from_name<Precision>(name.cast<std::string>(), precision_names, "precision");
}
const char* type_of(Precision) { return "{\"float32\", \"bf16\"}"; }
py::object default_of(Precision value) { return py::str(precision_names[static_cast<int>(value)]); }

template <class Options>
void read_fields(const py::dict& values, Options& options) {
  Options::fields([&](const char* name, auto member, auto...) {
    if (values.contains(name)) read(values[name], options.*member);
  });
}

// (name, type, default, range, meaning, elsewhere) of each setting, by the name of the struct.
template <class Options>
void describe(py::dict& all) {
  const Options defaults;
  py::list settings;
  Options::fields(
      [&](const char* name, auto member, const Range& range, const char* meaning, const char* elsewhere = "") {
        const auto& value = defaults.*member;
        settings.append(
            py::make_tuple(name, type_of(value), default_of(value), range_text(range, name), meaning, elsewhere));
      });
  all[Options::name] = py::tuple(settings);
}
template <class... Options>
void describe_each(py::dict& all, std::type_identity<std::variant<Options...>>) {
  const auto describe_if = [&]<class One>(std::type_identity<One>) {
    if constexpr (requires { One::name; }) describe<One>(all);
  };
  (describe_if(std::type_identity<Options>()), ...);
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

py::dict described_settings() {
  py::dict all;
  describe_each(all, std::type_identity<OptimizerOptions>());
  describe_each(all, std::type_identity<RateSchedule>());
  describe<RateSchedules>(all);
  describe<Group>(all);
  describe<Stop>(all);
  describe<WithinParts>(all);
  describe<FitOptions<float>>(all);
  return all;
}

void check_settings(py::handle object) {
  std::variant<Group, Stop, WithinParts> other;
  if (OptimizerOptions optimizer; read_named(object, optimizer)) check(optimizer);
  if (RateSchedule schedule; read_named(object, schedule)) check(schedule);
  if (!read_named(object, other)) return;
  if (const Stop* stop = std::get_if<Stop>(&other)) check(*stop);
  if (const WithinParts* parts = std::get_if<WithinParts>(&other)) check(*parts);
  if (const Group* group = std::get_if<Group>(&other)) check_fields(*group, " of a group");
}

template <class T>
FitOptions<T> fit_options(const py::dict& values) {
  FitOptions<T> options;
  read_fields(values, options);
  options.seed = values["seed"].cast<std::uint64_t>();
  for (const py::handle value : values["metrics"]) options.metrics.push_back(metric<T>(value));
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
    const std::string key = py::str(name);  // ValueError if it is not Unicode
    const std::string what = "the state to resume: " + key;
    const py::array array = real_array(values, what.c_str());
    if (array.dtype().kind() != 'f' || array.itemsize() != sizeof(Value))
      throw std::invalid_argument(text_of(what, " has dtype ", std::string(py::str(array.dtype())), ", expected ",
                                          std::string(py::str(py::dtype::of<Value>()))));
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
