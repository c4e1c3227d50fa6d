// Checks the options of a fit.
#include <cmath>

#include "core/check.h"
#include "net/network.h"
#include "net/pass.h"
#include "train/metrics.h"
#include "train/rates.h"
#include "train/state.h"
#include "train/trainer.h"

namespace chainrule {
namespace {

template <class T>
void check_rows(const Examples<T>& examples, std::span<const Index> rows) {
  if (rows.empty()) return;
  for (const Index row : rows)
    require(row >= 0 && row < examples.x.rows, "rows name row ", row, ", X has rows 0 to ", examples.x.rows - 1);
  require(weight_sum(examples.weights, rows.data(), static_cast<Index>(rows.size())) > 0,
          "sample_weight is 0 for every row");
}

void check_clip(const char* name, const std::optional<double>& limit) {
  require(!limit || *limit > 0, name, " is ", limit.value_or(0), ", expected a positive number");
}

// Calls require_length(rate, name of the schedule) for the schedules that state no length, but depend on it.
template <class Require>
void for_schedules_without_length(const RateSchedules& schedules, Require require_length) {
  const auto visit = [&](const char* rate, const RateSchedule& schedule) {
    if (const char* name = without_length(schedule)) require_length(rate, name);
  };
  visit("learning_rate", schedules.learning_rate);
  visit("weight_decay", schedules.weight_decay);
  visit("dropout", schedules.dropout);
}

void check_dropout(const char* name, double rate) {
  require(rate >= 0 && rate < 1, name, " is ", rate, ", expected 0 <= ", name, " < 1");
}

template <class T>
void check_steps(const FitOptions<T>& options, Index layers, Index rows) {
  check(options.optimizer);
  for (const Group& group : options.groups) check(group, layers);
  check_clip("clip_norm", options.clip_norm);
  check_clip("clip_value", options.clip_value);
  require(!options.ema || (*options.ema >= 0 && *options.ema < 1), "ema is ", options.ema.value_or(0),
          ", expected 0 <= ema < 1");
  check(options.schedules.learning_rate);
  check(options.schedules.weight_decay);
  check(options.schedules.dropout);
  if (options.epochs == 1 && (options.state == nullptr || options.state->epoch == 0))
    for_schedules_without_length(options.schedules, [](const char* rate, const char* name) {
      require(false, "schedules: ", name, " of ", rate,
              " has no length, and one epoch gives it none: set its epochs to the length of the whole training");
    });
  check_l2(options.l2);
  check_dropout("input_dropout", options.input_dropout);
  for (const double rate : options.dropout) check_dropout("dropout", rate);
  require(options.dropout.size() <= 1 || static_cast<Index>(options.dropout.size()) == layers - 1, "dropout has ",
          options.dropout.size(), " entries, the network has ", layers - 1, " hidden layers");
  if (!std::holds_alternative<Lbfgs>(options.optimizer)) return;
  require(options.batch_size == 0 || options.batch_size >= rows, "L-BFGS takes all rows at a time, batch_size is ",
          options.batch_size);
  const bool plain = options.groups.empty() && !options.clip_norm && !options.clip_value && !options.ema &&
                     options.schedules.learning_rate.index() == 0 && options.schedules.weight_decay.index() == 0 &&
                     options.schedules.dropout.index() == 0;
  require(plain, "L-BFGS has no groups, clipping, averages or schedules");
  require(!StepDropout(options.input_dropout, options.dropout, layers - 1).drops(), "L-BFGS has no dropout");
}

}  // namespace

void check(const Stop& stop) {
  const auto check_level = [](const char* name, const std::optional<double>& value) {
    require(!value || *value >= 0, name, " is ", value.value_or(0), ", expected 0 or more");
  };
  require(!stop.loss_below || !std::isnan(*stop.loss_below), "loss_below is NaN");
  require(!std::isnan(stop.min_delta), "min_delta is NaN");
  check_level("loss_change_below", stop.loss_change_below);
  check_level("gradient_norm_below", stop.gradient_norm_below);
  check_level("learning_rate_below", stop.learning_rate_below);
  check_level("seconds", stop.seconds);
  require(stop.loss_change_epochs >= 1, "loss_change_epochs is ", stop.loss_change_epochs, ", expected at least 1");
  require(!stop.no_improvement || *stop.no_improvement >= 1, "no_improvement is ", stop.no_improvement.value_or(0),
          ", expected at least 1");
}

template <class T>
void check_lengths(const FitState<T>& state, const FitOptions<T>& options) {
  const double length = numbers(state.numbers, "rates", 1).front();
  const int end = state.epoch + options.epochs;
  if (end <= length) return;
  for_schedules_without_length(options.schedules, [&](const char* rate, const char* name) {
    require(false, "schedules: ", name, " of ", rate, " ends with epoch ", length,
            ", the length of the first fit, and this one goes on to epoch ", end,
            ": set its epochs to the length of the whole training");
  });
}

template <class T>
void check_state(const FitState<T>& state, Index parameters) {
  for (const auto& [name, vector] : state.vectors)
    require(static_cast<Index>(vector.size()) == parameters, "the state to go on from has ", vector.size(),
            " numbers in ", name, ", the network has ", parameters, " parameters");
}

template <class T>
Model<T> checked_model(const Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options) {
  Model<T> model = model_for(network, examples.x);
  check_steps(options, network.layers(), row_count(examples, options.rows));
  check(options.stop);
  require(options.epochs >= 1, "epochs is ", options.epochs, ", expected at least 1");
  require(options.batch_size >= 0, "batch_size is ", options.batch_size, ", expected at least 1");
  require(examples.x.rows > 0, "X has no rows, training needs at least one");
  if (options.precision == Precision::bf16) require_bf16<T>();
  require(options.precision != Precision::bf16 || !examples.x.is_sparse(),
          "precision bf16 is not available for a sparse X");
  model.precision = options.precision;
  if (options.custom_loss) model.custom_loss = &options.custom_loss;
  check_examples(model, examples);
  check_rows(examples, options.rows);
  for (const Metric<T>& metric : options.metrics)
    if (!metric.function) check_score(metric.score, model.loss);
  require(options.metrics.empty() || options.validation, "metrics are of validation rows, and there are none");
  if (options.validation)
    about("validation", [&] {
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
