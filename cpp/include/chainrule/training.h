// The training loop: "for each iteration until convergence: compute the prediction, the derivatives, update the
// parameters".
#pragma once

#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "chainrule/api.h"
#include "chainrule/network.h"
#include "chainrule/optimizers.h"
#include "chainrule/rates.h"

namespace chainrule {

// L-BFGS, with the whole data set as batch; an epoch is an iteration. Steps satisfy the strong Wolfe conditions.
struct Lbfgs {
  double learning_rate = 1;
  int history = 10;
  std::optional<int> max_evaluations{};
  double tolerance_gradient = 1e-7;
  double tolerance_change = 1e-9;
  bool unit_first_step = false;

  static constexpr const char* name = "LBFGS";
  template <class Visit>
  static void fields(Visit visit) {
    visit("learning_rate", &Lbfgs::learning_rate, positive,
          "The first length that each line search tries, as a factor on the direction.");
    visit("history", &Lbfgs::history, at_least_one,
          "Pairs of steps and changes of the gradient that make up the curvature.");
    visit("max_evaluations", &Lbfgs::max_evaluations, at_least_one,
          "Stop after the iteration in which the cost has been computed this often.");
    visit("tolerance_gradient", &Lbfgs::tolerance_gradient, not_negative, "Converged where no derivative is larger.");
    visit("tolerance_change", &Lbfgs::tolerance_change, not_negative,
          "Converged where an iteration changes no parameter, or the cost, by more.");
    visit("unit_first_step", &Lbfgs::unit_first_step, anything,
          "Try a first step of Euclidean length 1, as SciPy's L-BFGS-B does, and not ``-g / max(1, Σ|g|)``, torch's.");
  }
};

template <class... More>
std::variant<More..., Lbfgs> with_lbfgs(OptimizerList<More...>);
using OptimizerOptions = decltype(with_lbfgs(PassOptimizers()));

// Factors on the learning rate and the weight decay of some parameters. For a parameter in several groups the factors
// are multiplied.
enum class Kind { weights, biases };
inline constexpr const char* kind_names[] = {"weights", "biases"};
struct Group {
  std::vector<Index> layers{};
  std::optional<Kind> kind{};
  double learning_rate = 1, weight_decay = 1;

  static constexpr const char* name = "Group";
  template <class Visit>
  static void fields(Visit visit) {
    visit("layers", &Group::layers, anything, "Numbers of layers, from 0. Default: all.");
    visit("kind", &Group::kind, anything, "Default: both.");
    visit("learning_rate", &Group::learning_rate, not_negative, "The factor; 0 freezes the parameters.");
    visit("weight_decay", &Group::weight_decay, not_negative, "The factor; 0 keeps the parameters from decaying.");
  }
};

// Stopping criteria: any that holds ends the run before the last epoch and is named in History::stop_reason.
struct Stop {
  std::optional<double> loss_below{};
  std::optional<double> loss_change_below{};
  int loss_change_epochs = 1;
  std::optional<double> gradient_norm_below{};
  std::optional<int> no_improvement{};
  double min_delta = 0;
  std::optional<double> learning_rate_below{};
  std::optional<double> seconds{};

  static constexpr const char* name = "Stop";
  template <class Visit>
  static void fields(Visit visit) {
    visit("loss_below", &Stop::loss_below, anything, "Stop when the epoch's cost is below this value.");
    visit("loss_change_below", &Stop::loss_change_below, not_negative_or_infinite,
          "Stop when the cost changed by less than this, up or down, in each of the last ``loss_change_epochs`` "
          "epochs.",
          "scikit-learn: `tol`");
    visit("loss_change_epochs", &Stop::loss_change_epochs, at_least_one, "How many epochs in a row.",
          "scikit-learn: `n_iter_no_change`");
    visit("gradient_norm_below", &Stop::gradient_norm_below, not_negative_or_infinite,
          "Stop when the Euclidean norm of the gradient of the epoch's last step is below this value.",
          "SciPy: `gtol`");
    visit("no_improvement", &Stop::no_improvement, at_least_one,
          "Stop when what is watched has not improved for this many epochs: the first of the metrics, or without "
          "metrics the validation cost, or without validation the training cost. With validation the parameters of the "
          "best epoch are then restored, however the training ended. A metric that is NaN or infinite in an epoch "
          "cannot be watched: a warning says so, and from there on the validation cost decides, as if it had from the "
          "first epoch.",
          "Keras: `EarlyStopping(patience=, restore_best_weights=True)`");
    visit("min_delta", &Stop::min_delta, anything,
          "By how much an epoch must be better than the best so far to be an improvement.",
          "scikit-learn: `tol`; Keras: `min_delta`");
    visit("learning_rate_below", &Stop::learning_rate_below, not_negative_or_infinite,
          "Stop when `ReduceOnPlateau` would reduce a learning rate that is already at or below this value.");
    visit("seconds", &Stop::seconds, not_negative_or_infinite,
          "Stop after the epoch in which this much time has passed.", "scikit-learn: `time_limit` of our estimators");
  }
};

// A metric, computed on the validation rows after each epoch.
template <class T>
struct Metric {
  Score score = Score::accuracy;                          // ignored if there is a function
  std::function<double(MatrixView<const T>)> function{};  // of the predictions for the validation rows, in order
  bool more_is_better = true;                             // for the function
};

struct EpochLog {
  int epoch;  // from 1
  double loss;
  std::optional<double> validation;
  std::span<const double> metrics;
  double learning_rate;  // of the epoch's last step
  double seconds;        // since the start of the fit
};

// The state of a training between two epochs, by name: all that the next epoch depends on, to store and resume. The
// vectors are in the layout of Network::parameters().
template <class T>
struct FitState {
  int epoch = 0;  // epochs done; 0: no state
  std::uint64_t seed = 0;
  std::map<std::string, std::vector<double>> numbers;
  std::map<std::string, std::vector<T>> vectors;
};

struct History {
  std::vector<double> loss;        // of each epoch: the mean of its batches' costs, before each update, weighted by Σw
  std::vector<double> validation;  // of each epoch, without l2; empty without validation rows
  std::vector<std::vector<double>> metrics;  // of each metric, for each epoch
  std::vector<double> learning_rate;         // of each epoch's last step
  int epochs = 0;
  int best_epoch = 0;   // the epoch of this history with the best watched value; from 1
  std::string watched;  // at the end: "metric", "validation" or "loss"; see Stop::no_improvement
  // "epochs", "callback", a member of Stop, or, for L-BFGS: "converged", "stalled" (no step in this precision lowers
  // the cost, but the gradient is not small: scale the data, or use Network<double>), "max_evaluations".
  std::string stop_reason;
  double seconds = 0;
  int skipped_updates = 0;  // see FitOptions::skip_updates_above

  template <class Visit>
  static void fields(Visit visit) {
    visit("loss", &History::loss);
    visit("validation", &History::validation);
    visit("metrics", &History::metrics);
    visit("learning_rate", &History::learning_rate);
    visit("epochs", &History::epochs);
    visit("best_epoch", &History::best_epoch);
    visit("watched", &History::watched);
    visit("stop_reason", &History::stop_reason);
    visit("seconds", &History::seconds);
    visit("skipped_updates", &History::skipped_updates);
  }
};

template <class T>
struct FitOptions {
  OptimizerOptions optimizer = Adam{};
  std::optional<Index> batch_size{};
  int epochs = 200;
  bool shuffle = true;
  double l2 = 0;
  bool l2_per_row = false;
  std::vector<Group> groups{};
  std::optional<double> clip_norm{}, clip_value{}, skip_updates_above{};
  std::optional<double> ema{};
  std::vector<double> dropout{};  // one rate per hidden layer, or one for all; empty: 0
  double input_dropout = 0;
  CustomLoss<T> custom_loss{};  // replaces the network's loss, except in validation
  RateSchedules schedules{};
  Precision precision = Precision::float32;
  std::optional<Examples<T>> validation{};
  std::vector<Metric<T>> metrics{};
  // Copy x to row-major, once, if its col_stride is not 1 and its rows are shuffled or selected by `rows`: reading
  // single rows of such a matrix takes two to three times as long. False: read x in place, for a file larger than
  // memory.
  bool copy_columns = true;
  // Indices of the examples to train on, and of the rows of `validation` to evaluate, in this order; empty: all.
  // Results are bit-identical to those on a copy of these rows. They must outlive the call.
  std::span<const Index> rows{}, validation_rows{};
  Stop stop{};
  int threads = 0;
  std::uint64_t seed = 0;
  // If it holds a state, fit() resumes it, bit for bit as if training had not ended; fit() stores its final state here.
  FitState<T>* state = nullptr;
  History* history = nullptr;  // if set, filled epoch by epoch, and kept if fit() throws
  // Called after each epoch, in the calling thread; true ends the run. It may write to the parameters, unless they are
  // an average. snapshot() updates *state. An exception ends the run too and is passed on.
  std::function<bool(const EpochLog&, const std::function<void()>& snapshot)> on_epoch_end{};
  // Called between batches, and within large ones, at most every poll_seconds; may throw, to interrupt. The network
  // then keeps its last complete step, or the best epoch (see Stop).
  std::function<void()> poll{};
  double poll_seconds = 0.05;

  static constexpr const char* name = "fit";
  template <class Visit>
  static void fields(Visit visit) {
    visit("optimizer", &FitOptions::optimizer, anything,
          "Default: ``Adam()``. It starts again with every call, unless there is ``resume``.",
          "scikit-learn: `solver`");
    visit("batch_size", &FitOptions::batch_size, at_least_one,
          "Rows per step; the last batch of an epoch takes what is left. Default: all, which is gradient descent.");
    visit("epochs", &FitOptions::epochs, at_least_one,
          "How often to go through the data at most; with ``resume``, how often more.", "scikit-learn: `max_iter`");
    visit("shuffle", &FitOptions::shuffle, anything, "Take the rows in a new random order in each epoch.");
    visit("l2", &FitOptions::l2, not_negative, "λ of the penalty ``λ/2 · Σ‖W‖²`` in the cost.",
          "PyTorch: `weight_decay` of SGD and Adam; Keras: `kernel_regularizer=L2(λ/2)`");
    visit("l2_per_row", &FitOptions::l2_per_row, anything,
          "Divide the penalty of a batch by the sum of its weights, as scikit-learn's alpha is.",
          "scikit-learn: `alpha` is so");
    visit("groups", &FitOptions::groups, anything,
          "Factors on learning rate and weight decay of layers, weights or biases.", "PyTorch: parameter groups");
    visit("dropout", &FitOptions::dropout, below_one,
          "The probability that a hidden unit is dropped in a step, rounded to a multiple of 2^-16; the units that "
          "are kept are scaled by ``1 / (1 - dropout)``. One value for all hidden layers, or one per layer.",
          "Keras, PyTorch: layers `Dropout`");
    visit("input_dropout", &FitOptions::input_dropout, below_one, "The same for the columns of X.");
    visit("clip_norm", &FitOptions::clip_norm, positive_or_infinite,
          "Scale the gradient of a step, all parameters together, so that its Euclidean norm is at most this.",
          "PyTorch: `clip_grad_norm_`; Keras: `global_clipnorm`");
    visit("clip_value", &FitOptions::clip_value, positive_or_infinite,
          "Then bring each derivative into [-clip_value, clip_value].",
          "PyTorch: `clip_grad_value_`; Keras: `clipvalue`");
    visit("skip_updates_above", &FitOptions::skip_updates_above, not_negative_or_infinite,
          "Do not apply a batch whose gradient, before it is clipped, has a larger Euclidean norm: parameters, moments "
          "and averages stay as they are. Its cost is recorded as usual, and ``history.skipped_updates`` counts it.");
    visit("ema", &FitOptions::ema, below_one,
          "Keep an exponential moving average of the parameters, ``average = ema · average + (1 - ema) · θ`` after "
          "each step, starting from θ after the first step. Validation uses the average, and the network ends with it.",
          "Keras: `use_ema`; PyTorch: `AveragedModel`");
    visit("schedules", &FitOptions::schedules, anything,
          "Of the learning rate, or by name of \"learning_rate\", \"weight_decay\" and \"dropout\": `StepDecay`, "
          "`ExponentialDecay`, `InverseScaling`, `Cosine`, `OneCycle`, `ReduceOnPlateau`, or a callable that takes the "
          "number of the epoch, from 0, and returns a factor.",
          "PyTorch: `lr_scheduler`");
    visit("precision", &FitOptions::precision, anything,
          "\"bf16\" rounds the operands of all matrix products to 8 significant bits and sums in float32: faster for "
          "wide layers. Parameters, optimizer, activations, gradients and validation stay float32. It needs dtype "
          "\"float32\" and a CPU with AVX512_BF16; results are the same for any number of threads, but not on every "
          "CPU.",
          "PyTorch: `autocast`");
    visit("stop", &FitOptions::stop, anything, "Criteria of convergence. Default: none.");
  }
};

// The cost or a parameter became NaN or infinite. The network holds its last finite parameters.
struct CHAINRULE_API DivergenceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Trains in place; std::runtime_error while another call trains the network. Memory beyond the network: gradients, the
// optimizer's moments, a workspace for one batch, and 8 bytes per row for the order of a shuffle. Throws
// std::invalid_argument for bad options or shapes before anything changes.
template <class T>
CHAINRULE_API History fit(Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options = {});

// The same for inputs and a matrix of target values.
template <class T>
History fit(Network<T>& network, std::type_identity_t<Inputs<T>> x, std::type_identity_t<MatrixView<const T>> y,
            const std::type_identity_t<FitOptions<T>>& options = {}) {
  return fit(network, Examples<T>{x, {y}}, options);
}

// The arguments of one fit of many. The examples are views; the jobs of a call may share them.
template <class T>
struct FitJob {
  Network<T>* network;
  Examples<T> examples;
  FitOptions<T> options{};
};

// The result of a job: its history, and the exception that its fit threw.
struct FitOutcome {
  History history;
  std::exception_ptr error;
};

struct FitManyOptions {
  int threads = 0;
  // Called after each job, in the calling thread, with its index and outcome.
  std::function<void(std::size_t, const FitOutcome&)> on_finished{};
  // Called in the calling thread, some 20 times a second. An exception from it or on_finished ends all fits and is
  // passed on; each network keeps its last complete step or best epoch.
  std::function<void()> poll{};
};

// Many fits in one call, one thread per network, the costliest first; if there are fewer networks than threads and each
// can use all threads, one network after the other. Every network ends as fit() alone would leave it. The jobs' options
// threads and poll are ignored, and on_epoch_end is called in the thread that trains. Throws std::invalid_argument for
// the first job that fit() would refuse, and for a network that occurs twice, before anything changes.
template <class T>
CHAINRULE_API std::vector<FitOutcome> fit_many(std::span<const FitJob<T>> jobs, const FitManyOptions& options = {});

// The checks that fit() makes: std::invalid_argument says what is out of range.
CHAINRULE_API void check(const OptimizerOptions&);
CHAINRULE_API void check(const Group&, Index layers);
CHAINRULE_API void check(const Stop&);

// The step size of the options.
CHAINRULE_API double learning_rate(const OptimizerOptions&);

}  // namespace chainrule
