// Checks the options of a fit.
#include <cmath>

#include "core/check.h"
#include "net/checks.h"
#include "net/network.h"
#include "net/sums.h"
#include "train/metrics.h"
#include "train/rates.h"
#include "train/state.h"
#include "train/trainer.h"
#include "train/two_phase.h"

namespace chainrule {
namespace {

template <class T>
void check_rows(const Examples<T>& examples, std::span<const Index> rows) {
  if (rows.empty()) return;
  for (const Index row : rows)
    require(row >= 0 && row < examples.x.rows, "rows contains ", row, ", X has rows 0 to ", examples.x.rows - 1);
  require(weight_sum(examples.weights, rows.data(), static_cast<Index>(rows.size())) > 0,
          "sample_weight is 0 for every row");
}

// Calls require_length(rate, name of the schedule) for each schedule that depends on a length but does not set it.
template <class Require>
void for_schedules_without_length(const RateSchedules& schedules, Require require_length) {
  RateSchedules::fields([&](const char* rate, auto schedule, auto...) {
    if (const char* name = without_length(schedules.*schedule)) require_length(rate, name);
  });
}

template <class T>
void check_steps(const FitOptions<T>& options, Index layers, Index rows) {
  check_fields(options);
  check(options.optimizer);
  check(options.stop);
  if (const auto* parts = std::get_if<WithinParts>(&options.shuffle)) check(*parts);
  for (const Group& group : options.groups) check(group, layers);
  RateSchedules::fields([&](const char*, auto schedule, auto...) { check(options.schedules.*schedule); });
  if (options.epochs == 1 && (options.state == nullptr || options.state->epoch == 0))
    for_schedules_without_length(options.schedules, [](const char* rate, const char* name) {
      require(false, "schedules: ", name, " of ", rate,
              " has no length, and a fit of one epoch is too short for it: set its epochs to the length of the whole "
              "training");
    });
  require(options.dropout.size() <= 1 || static_cast<Index>(options.dropout.size()) == layers - 1, "dropout has ",
          options.dropout.size(), " entries, the network has ", layers - 1, " hidden layers");
  require(!options.ema || !averages<T>(options.optimizer),
          "the optimizer averages the parameters itself: do not set ema");
  if (!std::holds_alternative<Lbfgs>(options.optimizer)) return;
  const Index batch_size = options.batch_size.value_or(rows);
  require(batch_size >= rows, "L-BFGS needs all rows in one batch, batch_size is ", batch_size);
  require(has_plain_updates(options) && ScheduledRates(options.schedules, 1, 1).constant(),
          "L-BFGS does not support groups, clipping, averages or schedules");
  require(!StepDropout(options.input_dropout, options.dropout, layers - 1).drops(), "L-BFGS does not support dropout");
}

}  // namespace

void check(const Stop& stop) { check_fields(stop); }
void check(const WithinParts& parts) { check_fields(parts); }

template <class T>
void check_lengths(const FitState<T>& state, const FitOptions<T>& options) {
  const double length = numbers(state.numbers, "rates", 1).front();
  const int end = state.epoch + options.epochs;
  if (end <= length) return;
  for_schedules_without_length(options.schedules, [&](const char* rate, const char* name) {
    require(false, "schedules: ", name, " of ", rate, " ends with epoch ", length,
            ", the length of the first fit, and this fit continues to epoch ", end,
            ": set its epochs to the length of the whole training");
  });
}

template <class T>
void check_state(const FitState<T>& state, Index parameters) {
  for (const auto& [name, vector] : state.vectors)
    require(static_cast<Index>(vector.size()) == parameters, "the state to resume has ", vector.size(), " numbers in ",
            name, ", the network has ", parameters, " parameters");
}

template <class T>
Model<T> checked_model(const Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options) {
  Model<T> model = model_for(network, examples.x);
  check_steps(options, network.layers(), row_count(examples, options.rows));
  require(examples.x.rows > 0, "X has no rows, expected at least one");
  require(!options.source || (!options.custom_loss && options.precision == Precision::float32),
          "a source computes the gradients: do not set a custom loss or precision");
  if (options.precision == Precision::bf16) require_bf16<T>();
  require(options.precision != Precision::bf16 || !examples.x.is_sparse(),
          "precision bf16 is not available for sparse or binned rows");
  require(!examples.x.is_binned() || options.input_dropout == 0, "input_dropout is not available for binned rows");
  model.precision = options.precision;
  model.missing_targets = examples.targets.missing;
  if (options.custom_loss) model.custom_loss = &options.custom_loss;
  if (!options.source) check_examples(model, examples);
  check_rows(examples, options.rows);
  for (const Metric<T>& metric : options.metrics)
    if (!metric.function) check_score(metric.score, model.loss);
  require(options.metrics.empty() || options.validation, "metrics need validation rows, but there are none");
  if (options.validation)
    with_prefix("validation", [&] {
      require(options.validation->x.rows > 0, "X has no rows");
      check_examples(model_for(network, options.validation->x), *options.validation);
      check_rows(*options.validation, options.validation_rows);
    });
  return model;
}

#define CHAINRULE_INSTANTIATE(T)                                         \
  template void check_state(const FitState<T>&, Index);                  \
  template void check_lengths(const FitState<T>&, const FitOptions<T>&); \
  template Model<T> checked_model(const Network<T>&, const Examples<T>&, const FitOptions<T>&);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
