#include "net/checks.h"

#include <cmath>

#include "core/check.h"
#include "net/binned.h"

namespace chainrule {

std::vector<double> default_loss_parameters(Loss loss) {
  const LossParameter& parameter = traits_of(loss).parameter;
  return parameter.name != nullptr ? std::vector{parameter.value} : std::vector<double>{};
}

std::vector<double> checked_loss_parameters(Loss loss, std::vector<double> parameters, Index outputs) {
  const LossParameter& parameter = traits_of(loss).parameter;
  const char* name = loss_names[static_cast<int>(loss)];
  require(parameters.empty() || parameter.name != nullptr, name, " has no parameters");
  if (parameters.empty()) parameters = default_loss_parameters(loss);
  const auto count = static_cast<std::size_t>(parameter.one_per_output ? outputs : 1);
  require(parameter.name == nullptr || parameters.size() == count, name, " has ", parameters.size(),
          parameters.size() == 1 ? " value for " : " values for ", parameter.name, ", expected ", count);
  if (parameter.name != nullptr) check_range(parameter.name, "", parameters, parameter.allowed);
  return parameters;
}

void check_inputs(Index columns, Index expected) {
  require(columns == expected, "X has ", columns, " columns, the network expects ", expected);
}

template <class T>
void check_inputs(const Inputs<T>& x, Index expected) {
  check_inputs(x.cols, expected);
  if (x.is_binned()) return check_binned(x.binned);
  if (!x.is_sparse()) return;
  const SparseView<T>& s = x.sparse;
  require(s.indptr[0] >= 0, "X is not in CSR form: indptr[0] is ", s.indptr[0]);
  for (Index i = 0; i < s.rows; ++i) {
    require(s.indptr[i] <= s.indptr[i + 1], "X is not in CSR form: indptr decreases after row ", i);
    std::int32_t before = -1;
    for (Index k = s.indptr[i]; k < s.indptr[i + 1]; before = s.indices[k++])
      require(s.indices[k] > before && s.indices[k] < s.cols, "X has column ", s.indices[k], " in row ", i,
              ", expected columns from 0 to ", s.cols - 1, " in ascending order");
  }
}

void check_l2(double l2) { require(l2 >= 0 && std::isfinite(l2), "l2 is ", l2, ", expected 0 or more"); }

template <class T>
void check_targets(Loss loss, const Targets<T>& targets, Index rows, Index outputs) {
  if (targets.labels != nullptr) {
    require(traits_of(loss).output == Output::softmax,
            "y holds class numbers, which need the loss softmax_cross_entropy");
    for (Index i = 0; i < rows; ++i)
      require(targets.labels[i] >= 0 && targets.labels[i] < outputs, "y[", i, "] is class ", targets.labels[i],
              ", the network has classes 0 to ", outputs - 1);
    return;
  }
  const MatrixView<const T>& y = targets.values;
  require(y.rows == rows && y.cols == outputs, "y has shape (", y.rows, ", ", y.cols, "), expected (", rows, ", ",
          outputs, ")");
  if (targets.missing) {
    require(outputs > 1 && traits_of(loss).output != Output::softmax && !traits_of(loss).parameter.one_per_output,
            "masked targets need at least two outputs and a loss that is summed over the outputs; this network has ",
            outputs, outputs == 1 ? " output" : " outputs", " and the loss ", loss_names[static_cast<int>(loss)]);
    for (Index j = 0; j < outputs; ++j) {
      Index i = 0;
      while (i < rows && std::isnan(y(i, j))) ++i;
      require(rows == 0 || i < rows, "y has no target in column ", j, ": every row is masked");
    }
  }
  const Range& allowed = traits_of(loss).targets;
  if (traits_of(loss).unit_free()) return;
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < outputs; ++j) {
      const auto value = static_cast<double>(y(i, j));
      if (std::isnan(value) || allowed.holds(value)) continue;
      require(false, "y[", i, ", ", j, "] is ", value, ", ", loss_names[static_cast<int>(loss)], " expects ",
              range_text(allowed, "y"));
    }
}

template <class T>
void check_weights(const T* weights, Index rows, bool zeros) {
  if (weights == nullptr || rows == 0) return;
  double sum = 0;
  for (Index i = 0; i < rows; ++i) {
    require(weights[i] >= 0 && std::isfinite(weights[i]), "sample_weight[", i, "] is ", weights[i],
            ", expected a non-negative number");
    sum += static_cast<double>(weights[i]);
  }
  require(zeros || sum > 0, "sample_weight is 0 for every row");
}

template <class T>
void check_examples(const Model<T>& model, const Examples<T>& examples) {
  check_inputs(examples.x, model.inputs());
  if (model.custom_loss == nullptr) check_targets(model.loss, examples.targets, examples.x.rows, model.outputs());
  check_weights(examples.weights, examples.x.rows);
}

void check_part(const BatchPart& part, Index rows, Index hidden_layers) {
  const Index end = part.first + rows;
  require(rows > 0, "a part of a batch needs at least one row");
  require(part.first >= 0 && end <= part.batch_rows, "the part has rows ", part.first, " to ", end - 1,
          ", the batch has rows 0 to ", part.batch_rows - 1);
  const auto leaves = [](Index n) { return (n + sum_rows - 1) / sum_rows; };
  require(part.first % sum_rows == 0 && (rows % sum_rows == 0 || end == part.batch_rows) &&
              is_run(part.first / sum_rows, leaves(rows), leaves(part.batch_rows)),
          "the rows ", part.first, " to ", end - 1, " of ", part.batch_rows, " are not an aligned part: expected ",
          sum_rows,
          " * 2^j rows that begin at a multiple of their number, or the last n rows of the batch, beginning at a "
          "multiple of ",
          sum_rows, " * 2^j, where ", sum_rows, " * 2^j >= n");
  require(part.batch_weight >= 0 && std::isfinite(part.batch_weight), "total_weight is ", part.batch_weight,
          ", expected a non-negative number");
  require(part.step >= 0, "step is ", part.step, ", expected 0 or more");
  require(part.dropout.size() <= 1 || static_cast<Index>(part.dropout.size()) == hidden_layers, "dropout has ",
          part.dropout.size(), " entries, the network has ", hidden_layers, " hidden layers");
  const auto check_rate = [](const char* name, double rate) {
    require(rate >= 0 && rate < 1, name, " is ", rate, ", expected 0 <= ", name, " < 1");
  };
  check_rate("input_dropout", part.input_dropout);
  for (const double rate : part.dropout) check_rate("dropout", rate);
}

#define CHAINRULE_INSTANTIATE(T)                                      \
  template void check_inputs(const Inputs<T>&, Index);                \
  template void check_targets(Loss, const Targets<T>&, Index, Index); \
  template void check_weights(const T*, Index, bool);                 \
  template void check_examples(const Model<T>&, const Examples<T>&);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
