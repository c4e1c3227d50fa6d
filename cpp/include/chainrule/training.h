// Training: fit, its settings, and its results.
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

// L-BFGS. A batch is the whole data set and an epoch is an iteration. Steps satisfy the strong Wolfe conditions.
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
          "The first step length that each line search tries, as a multiple of the direction.");
    visit("history", &Lbfgs::history, at_least_one,
          "Number of pairs (step, change of the gradient) from which the curvature is estimated.");
    visit("max_evaluations", &Lbfgs::max_evaluations, at_least_one,
          "Stop after the iteration in which the cost has been computed this many times.");
    visit("tolerance_gradient", &Lbfgs::tolerance_gradient, not_negative,
          "Stop when no derivative is larger than this in magnitude.");
    visit("tolerance_change", &Lbfgs::tolerance_change, not_negative,
          "Stop when an iteration changes every parameter, or the cost, by no more than this.");
    visit("unit_first_step", &Lbfgs::unit_first_step, anything,
          "Try a first step of Euclidean length 1, as SciPy's L-BFGS-B does, instead of PyTorch's ``-g / max(1, "
          "Σ|g|)``.");
  }
};

template <class... More>
std::variant<More..., Lbfgs> with_lbfgs(OptimizerList<More...>);
using OptimizerOptions = decltype(with_lbfgs(PassOptimizers()));

// An order of the rows that reads a data set part by part. Part p holds the rows from p * rows to (p + 1) * rows of the
// data set. An epoch takes the parts in random order, and the rows of each part in random order. The order depends on
// the seed, the epoch, and the number of rows alone.
struct WithinParts {
  Index rows = 65536;

  static constexpr const char* name = "WithinParts";
  template <class Visit>
  static void fields(Visit visit) {
    visit("rows", &WithinParts::rows, at_least_one, "Number of rows of a part.");
  }
};
// Whether, and how, the rows of an epoch are shuffled.
using Shuffle = std::variant<bool, WithinParts>;
inline bool is_shuffled(const Shuffle& shuffle) {
  const bool* all = std::get_if<bool>(&shuffle);
  return all == nullptr || *all;
}

// Factors for the learning rate and the weight decay of some parameters. If a parameter is in several groups, their
// factors are multiplied.
enum class Kind { weights, biases };
inline constexpr const char* kind_names[] = {"weights", "biases"};
struct Group {
  std::vector<Index> layers{};
  std::optional<Kind> kind{};
  double learning_rate = 1, weight_decay = 1;

  static constexpr const char* name = "Group";
  template <class Visit>
  static void fields(Visit visit) {
    visit("layers", &Group::layers, anything, "Numbers of the layers, counted from 0. Default: all layers.");
    visit("kind", &Group::kind, anything, "Default: both.");
    visit("learning_rate", &Group::learning_rate, not_negative,
          "Factor of the learning rate; 0 freezes the parameters.");
    visit("weight_decay", &Group::weight_decay, not_negative, "Factor of the weight decay; 0 turns it off.");
  }
};

// Stopping criteria. The first one that is met ends the training before its last epoch and is named in
// History::stop_reason.
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
          "Stop when the magnitude of the change of the cost was below this value in each of the last "
          "``loss_change_epochs`` epochs.",
          "scikit-learn: `tol`");
    visit("loss_change_epochs", &Stop::loss_change_epochs, at_least_one, "Number of consecutive epochs.",
          "scikit-learn: `n_iter_no_change`");
    visit("gradient_norm_below", &Stop::gradient_norm_below, not_negative_or_infinite,
          "Stop when the Euclidean norm of the gradient of the epoch's last step is below this value.",
          "SciPy: `gtol`");
    visit("no_improvement", &Stop::no_improvement, at_least_one,
          "Stop when the watched value has not improved for this many epochs. The watched value is the first metric; "
          "without metrics, the validation cost; without validation data, the training cost. With validation data, "
          "the parameters of the best epoch are restored at the end, whatever ended the training. If the first "
          "metric becomes NaN or infinite, a warning is given and the validation cost is watched instead, as if it had "
          "been watched from the start.",
          "Keras: `EarlyStopping(patience=, restore_best_weights=True)`");
    visit("min_delta", &Stop::min_delta, anything,
          "How much better than the best epoch so far an epoch must be to count as an improvement.",
          "scikit-learn: `tol`; Keras: `min_delta`");
    visit("learning_rate_below", &Stop::learning_rate_below, not_negative_or_infinite,
          "Stop when `ReduceOnPlateau` would reduce a learning rate that is already at or below this value.");
    visit("seconds", &Stop::seconds, not_negative_or_infinite,
          "Stop after the epoch in which this much time has passed.", "`time_limit` of the estimators");
  }
};

// A metric, computed on the validation rows after each epoch.
template <class T>
struct Metric {
  Score score = Score::accuracy;                          // ignored if function is set
  std::function<double(MatrixView<const T>)> function{};  // takes the predictions for the validation rows, in order
  bool more_is_better = true;                             // for function
};

struct EpochLog {
  int epoch;  // from 1
  double loss;
  std::optional<double> validation;
  std::span<const double> metrics;
  double learning_rate;  // of the epoch's last step
  double seconds;        // since the start of the fit
};

// The state of a fit between two epochs: everything that the next epoch depends on, by name, so that the fit can be
// stored and resumed. The vectors are in the layout of Network::parameters().
template <class T>
struct FitState {
  int epoch = 0;  // number of completed epochs; 0 if there is no state
  std::uint64_t seed = 0;
  std::map<std::string, std::vector<double>> numbers;
  std::map<std::string, std::vector<T>> vectors;
};

struct History {
  std::vector<double> loss;        // per epoch: the mean of its batches' costs before each update, weighted by their Σw
  std::vector<double> validation;  // per epoch: the validation cost without l2; empty without validation rows
  std::vector<std::vector<double>> metrics;  // of each metric, for each epoch
  std::vector<double> learning_rate;         // of each epoch's last step
  int epochs = 0;
  int best_epoch = 0;   // the epoch of this history with the best watched value, counted from 1
  std::string watched;  // what was watched at the end: "metric", "validation" or "loss"; see Stop::no_improvement
  // "epochs", "callback", a member of Stop, or, for L-BFGS, "converged", "max_evaluations" or "stalled" (no step in
  // this precision lowers the cost, although the gradient is not small: scale the data, or use Network<double>).
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

// A batch whose gradient a source computes. Members without a comment are as in BatchPart.
template <class T>
struct SourceBatch {
  std::span<const T> parameters;  // in the layout of Network::parameters()
  std::span<const Index> rows;    // numbers of the batch's examples, in their order; empty: all from `first` on
  Index first, count;             // count: number of the batch's examples
  std::vector<double> dropout;
  double input_dropout;
  std::uint64_t seed;
  Index step;
};

// The cost of a batch without penalty, and the sum of its weights.
struct SourceCost {
  double mean, weight;
};

// Computes the gradients of batches elsewhere, for instance on other machines; it replaces the examples. `gradients`
// writes the gradient of the cost without penalty, in the layout of Network::parameters(). Called once per step
// (L-BFGS: once per trial point), in the calling thread. Its exceptions are passed on, and the network keeps its last
// complete step.
template <class T>
struct GradientSource {
  Index rows = 0;  // the number of examples
  std::function<SourceCost(const SourceBatch<T>&, std::span<T> gradient)> gradients{};

  explicit operator bool() const { return static_cast<bool>(gradients); }
};

template <class T>
struct FitOptions {
  OptimizerOptions optimizer = Adam{};
  std::optional<Index> batch_size{};
  int epochs = 200;
  Shuffle shuffle = true;
  double l2 = 0;
  bool l2_per_row = false;
  std::vector<Group> groups{};
  std::optional<double> clip_norm{}, clip_value{}, skip_updates_above{};
  std::optional<double> ema{};
  std::vector<double> dropout{};  // one rate per hidden layer, or one for all of them; empty: 0
  double input_dropout = 0;
  CustomLoss<T> custom_loss{};  // replaces the network's loss, except in validation
  // If set, the examples are ignored. The same gradients give the same bits as training on examples, except that L-BFGS
  // never stops with "stalled": where it cannot lower the cost, it stops with "converged", however large the gradient
  // is.
  GradientSource<T> source{};
  RateSchedules schedules{};
  Precision precision = Precision::float32;
  std::optional<Examples<T>> validation{};
  std::vector<Metric<T>> metrics{};
  // If x has a col_stride other than 1 and its rows are shuffled or selected by `rows`, copy it to row-major once,
  // because reading single rows of such a matrix takes two to three times as long. Set this to false to read x in
  // place, for instance if it is a file larger than memory.
  bool copy_columns = true;
  // Indices of the examples to train on, and of the rows of `validation` to evaluate, in this order; empty: all of
  // them. Results are bit-identical to those on a copy of these rows, except that the parts of WithinParts are those of
  // all examples. The spans must outlive the call.
  std::span<const Index> rows{}, validation_rows{};
  Stop stop{};
  int threads = 0;
  std::uint64_t seed = 0;
  // If *state holds a state, fit() resumes from it, bit for bit as if the fit had not been interrupted. At its end,
  // fit() stores its state here.
  FitState<T>* state = nullptr;
  History* history = nullptr;  // if set, it is filled epoch by epoch and remains valid if fit() throws
  // Called after each epoch in the calling thread. The fit ends if it returns true or throws; an exception is passed
  // on. It may write to the parameters, unless they are an average. snapshot() updates *state.
  std::function<bool(const EpochLog&, const std::function<void()>& snapshot)> on_epoch_end{};
  // Called between batches, and within large batches, at most every poll_seconds. It may throw to interrupt the fit;
  // the network then keeps its last complete step, or the best epoch (see Stop).
  std::function<void()> poll{};
  double poll_seconds = 0.05;

  static constexpr const char* name = "fit";
  template <class Visit>
  static void fields(Visit visit) {
    visit("optimizer", &FitOptions::optimizer, anything,
          "The optimizer. Default: ``Adam()``. Each call begins with a new state of it, unless ``resume`` is given.",
          "scikit-learn: `solver`");
    visit("batch_size", &FitOptions::batch_size, at_least_one,
          "Rows per step; the last batch of an epoch may have fewer. Default: all rows.");
    visit("epochs", &FitOptions::epochs, at_least_one,
          "Maximum number of passes through the data; with ``resume``, of additional passes.",
          "scikit-learn: `max_iter`");
    visit(
        "shuffle", &FitOptions::shuffle, anything,
        "Use a new random order of the rows in each epoch; `WithinParts` gives one that reads the data part by part.");
    visit("l2", &FitOptions::l2, not_negative, "λ of the penalty ``λ/2 · Σ‖W‖²`` in the cost.",
          "PyTorch: `weight_decay` of SGD and Adam; Keras: `kernel_regularizer=L2(λ/2)`");
    visit("l2_per_row", &FitOptions::l2_per_row, anything,
          "Divide the penalty of each batch by the sum of the batch's weights, as scikit-learn does.",
          "scikit-learn: always done with `alpha`");
    visit("groups", &FitOptions::groups, anything,
          "Factors for the learning rate and weight decay of some layers, weights or biases.",
          "PyTorch: parameter groups");
    visit("dropout", &FitOptions::dropout, below_one,
          "Probability that a hidden unit is dropped in a step, rounded to a multiple of 2^-16; the units that are "
          "kept are scaled by ``1 / (1 - dropout)``. One value for all hidden layers, or one per layer.",
          "Keras, PyTorch: layers `Dropout`");
    visit("input_dropout", &FitOptions::input_dropout, below_one,
          "Probability that an input (one element of a row of X) is dropped in a step, with the same rounding and "
          "scaling as ``dropout``.");
    visit("clip_norm", &FitOptions::clip_norm, positive_or_infinite,
          "Scale the gradient of all parameters down so that its Euclidean norm is at most this value.",
          "PyTorch: `clip_grad_norm_`; Keras: `global_clipnorm`");
    visit("clip_value", &FitOptions::clip_value, positive_or_infinite,
          "Clip each derivative to [-clip_value, clip_value], after ``clip_norm`` has been applied.",
          "PyTorch: `clip_grad_value_`; Keras: `clipvalue`");
    visit("skip_updates_above", &FitOptions::skip_updates_above, not_negative_or_infinite,
          "Skip the update of a batch if the Euclidean norm of its gradient, before clipping, is larger than this "
          "value. Parameters, moments and averages then stay unchanged, the cost of the batch is recorded as usual, "
          "and ``history.skipped_updates`` counts the batch.");
    visit("ema", &FitOptions::ema, below_one,
          "Keep an exponential moving average of the parameters, ``average = ema · average + (1 - ema) · θ`` after "
          "each step, starting from θ after the first step. Validation uses the average, and the trained network has "
          "it as its parameters.",
          "Keras: `use_ema`; PyTorch: `AveragedModel`");
    visit("schedules", &FitOptions::schedules, anything,
          "A schedule of the learning rate, or a dict of schedules with the keys \"learning_rate\", \"weight_decay\" "
          "and \"dropout\". A schedule is a `StepDecay`, `ExponentialDecay`, `InverseScaling`, `Cosine`, `OneCycle`, "
          "`ReduceOnPlateau`, or a callable that takes the number of the epoch, counted from 0, and returns a factor.",
          "PyTorch: `lr_scheduler`");
    visit("precision", &FitOptions::precision, anything,
          "\"bf16\" rounds the operands of all matrix products to 8 significant bits and sums in float32, which is "
          "faster for wide layers. Parameters, optimizer, activations, gradients and validation stay in float32. It "
          "needs dtype \"float32\" and a CPU with AVX512_BF16. Results are the same for any number of threads, but may "
          "differ between CPUs.",
          "PyTorch: `autocast`");
    visit("stop", &FitOptions::stop, anything, "Stopping criteria. Default: none.");
  }
};

// Thrown if the cost or a parameter became NaN or infinite. The network keeps its last finite parameters.
struct CHAINRULE_API DivergenceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Trains the network in place. Besides the network it needs memory for the gradients, the optimizer's moments, a
// workspace for one batch, and 8 bytes per row for the order of a shuffle. Throws std::invalid_argument for bad options
// or shapes before anything changes, and std::runtime_error while another call trains the network.
template <class T>
CHAINRULE_API History fit(Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options = {});

// The same for inputs and a matrix of target values.
template <class T>
History fit(Network<T>& network, std::type_identity_t<Inputs<T>> x, std::type_identity_t<MatrixView<const T>> y,
            const std::type_identity_t<FitOptions<T>>& options = {}) {
  return fit(network, Examples<T>{x, {y}}, options);
}

// The arguments of one of many fits. The examples are views; the jobs of a call may share them.
template <class T>
struct FitJob {
  Network<T>* network;
  Examples<T> examples;
  FitOptions<T> options{};
};

// The result of a job: its history, and the exception that its fit threw, or null.
struct FitOutcome {
  History history;
  std::exception_ptr error;
};

struct FitManyOptions {
  int threads = 0;
  // Called after each job, in the calling thread, with its index and outcome.
  std::function<void(std::size_t, const FitOutcome&)> on_finished{};
  // Called in the calling thread after all jobs, unless one has failed. Returns by how many epochs to continue every
  // fit with the state that it has; its history grows, and on_finished is called again. 0 ends the call. Schedules need
  // a length of their own.
  std::function<int()> more_epochs{};
  // Called in the calling thread, about 20 times a second. An exception from it or from the other functions ends all
  // fits and is passed on; each network keeps its last complete step or best epoch.
  std::function<void()> poll{};
};

// Runs many fits in one call, with one thread per network, the costliest fits first. If there are fewer networks than
// threads and each can use all threads, the networks are trained one after the other. Every result is bit-identical to
// that of fit() alone. The options threads and poll of the jobs are ignored, and on_epoch_end is called in the thread
// that trains. Throws std::invalid_argument for the first job that fit() would reject, and for a network that occurs
// twice, before anything changes.
template <class T>
CHAINRULE_API std::vector<FitOutcome> fit_many(std::span<const FitJob<T>> jobs, const FitManyOptions& options = {});

// The checks that fit() makes. They throw std::invalid_argument if a value is out of range.
CHAINRULE_API void check(const OptimizerOptions&);
CHAINRULE_API void check(const Group&, Index layers);
CHAINRULE_API void check(const Stop&);
CHAINRULE_API void check(const WithinParts&);

// The learning rate of the chosen optimizer.
CHAINRULE_API double learning_rate(const OptimizerOptions&);

}  // namespace chainrule
