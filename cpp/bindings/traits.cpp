// The lists of activations, losses and metrics as read-only dicts: for each name, the properties from
// chainrule/names.h.
#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/module.h"
#include "net/checks.h"
#include "train/metrics.h"

namespace chainrule::python {
namespace {

using namespace py::literals;

template <int Count>
py::tuple names(const char* const (&list)[Count]) {
  py::tuple result(Count);
  for (int i = 0; i < Count; ++i) result[static_cast<std::size_t>(i)] = list[i];
  return result;
}

// Returns a read-only dict of namespaces by name. Namespace i has the entries of the dict traits(i).
template <int Count, class Traits>
py::object by_name(const char* const (&list)[Count], Traits traits) {
  const py::module_ types = py::module_::import("types");
  py::dict result;
  for (int i = 0; i < Count; ++i) result[list[i]] = types.attr("SimpleNamespace")(**traits(i));
  return types.attr("MappingProxyType")(result);
}

py::dict activation(int index) {
  const ActivationTraits& traits = activation_traits[index];
  return py::dict("formula"_a = traits.formula, "init"_a = init_names[static_cast<int>(traits.init)],
                  "slope_reads"_a = traits.slope_reads == SlopeReads::z ? "z" : "a");
}

py::dict loss(int index) {
  const LossTraits& traits = loss_traits[index];
  const LossParameter& parameter = traits.parameter;
  const std::string targets = range_text(traits.targets, "y");
  return py::dict("formula"_a = traits.formula, "output"_a = output_names[static_cast<int>(traits.output)],
                  "targets"_a = targets.empty() ? "any number" : targets, "of_classes"_a = traits.of_classes(),
                  "unit_free"_a = traits.unit_free(), "metric"_a = traits.metric(),
                  "best_constant"_a = constant_names[static_cast<int>(traits.best_constant)],
                  "parameter"_a = parameter.name, "default"_a = parameter.value,
                  "one_per_output"_a = parameter.one_per_output);
}

py::dict metric(int index) {
  const ScoreTraits& traits = score_traits[index];
  return py::dict("meaning"_a = traits.meaning, "more_is_better"_a = traits.more_is_better,
                  "of_classes"_a = traits.of_classes, "unit_free"_a = traits.unit_free,
                  "undefined"_a = traits.undefined);
}

template <class T>
double score_of(Score metric, Loss loss, py::handle predictions, py::handle y, py::handle sample_weight) {
  const Matrix<T> p = matrix<T>(predictions, "predictions");
  const TargetArrays<T> t = targets<T>(y, loss, p.view.rows, p.view.cols);
  const Vector<T> weights = vector<T>(sample_weight, p.view.rows, "sample_weight");
  check_weights(weights.data, p.view.rows);
  return score<T>(metric, loss, p.view, {{}, t.targets, weights.data}, nullptr);
}

}  // namespace

void bind_traits(py::module_& module) {
  module.attr("ACTIVATIONS") = by_name(activation_names, activation);
  module.attr("LOSSES") = by_name(loss_names, loss);
  module.attr("METRICS") = by_name(score_names, metric);
  module.attr("INITS") = names(init_names);
  module.attr("COLUMN_KINDS") = names(column_kind_names);
  module.attr("PRECISIONS") = names(precision_names);
  module.def(
      "check_loss_parameter",
      [](const std::string& loss, const std::string& called, double value) {
        check_range(called, "", value, traits_of(from_name<Loss>(loss, loss_names, "loss")).parameter.allowed);
      },
      "loss"_a, "called"_a, "value"_a);
  module.def(
      "score",
      [](const std::string& metric_name, const std::string& loss_name, py::object predictions, py::object y,
         py::object sample_weight) {
        const auto metric = from_name<Score>(metric_name, score_names, "metric");
        const auto loss = from_name<Loss>(loss_name, loss_names, "loss");
        check_score(metric, loss);
        return is_float64(real_array(predictions, "predictions")) || is_float64(real_array(y, "y"))
                   ? score_of<double>(metric, loss, predictions, y, sample_weight)
                   : score_of<float>(metric, loss, predictions, y, sample_weight);
      },
      "metric"_a, "loss"_a, "predictions"_a, "y"_a, "sample_weight"_a = py::none());
}

}  // namespace chainrule::python
