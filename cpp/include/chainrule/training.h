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
#include <vector>

#include "chainrule/api.h"
#include "chainrule/network.h"
#include "chainrule/optimizers.h"
#include "chainrule/rates.h"

namespace chainrule {

// When to end before the last epoch: any that holds ends the run and is named in History::stop_reason. With
// no_improvement and validation rows the network ends with the parameters of the best epoch, also after an exception.
struct Stop {
  std::optional<double> loss_below{};           // the cost of the epoch
  std::optional<double> loss_change_below{};    // |change of the cost from epoch to epoch|,
  int loss_change_epochs = 1;                   // this many times in a row
  std::optional<double> gradient_norm_below{};  // Euclidean norm of the epoch's last gradient
  // Epochs in which what is watched did not fall by min_delta below the lowest before: the first metric, negative where
  // more is better; without metrics the cost of the validation rows, without these the cost of the epoch. A metric that
  // is NaN or infinite in an epoch is watched no more: from then on the cost of the validation rows decides, as if it
  // had from the first epoch, so that the best epoch so far is that of the lowest cost.
  std::optional<int> no_improvement{};
  double min_delta = 0;
  std::optional<double> learning_rate_below{};  // on a plateau of ReduceOnPlateau
  std::optional<double> seconds{};
};

// What is computed of the validation rows after each epoch.
template <class T>
struct Metric {
  Score score = Score::accuracy;                          // or, if there is one:
  std::function<double(MatrixView<const T>)> function{};  // of the predictions for the validation rows, in their order
  bool more_is_better = true;                             // of the function
};

struct EpochLog {
  int epoch;  // from 1
  double loss;
  std::optional<double> validation;
  std::span<const double> metrics;
  double learning_rate;  // of the epoch's last step
  double seconds;        // since the start of the fit
};

// A training between two epochs: what the next one depends on, by name, to be stored and gone on with. The vectors are
// in the layout of Network::parameters().
template <class T>
struct FitState {
  int epoch = 0;  // done; 0: there is none
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
  int best_epoch = 0;   // with the lowest value of what is watched, among these; from 1
  std::string watched;  // in the end, see Stop::no_improvement: "metric", "validation" or "loss"
  // "epochs", "callback", the member of Stop, or of L-BFGS: "converged", "stalled" (no step that the arithmetic can
  // make lowers the cost, but the gradient is not small: scale the data, or use Network<double>), "max_evaluations".
  std::string stop_reason;
  double seconds = 0;
};

template <class T>
struct FitOptions {
  OptimizerOptions optimizer = Adam{};
  Index batch_size = 0;  // 0: all rows, the notes' gradient descent
  int epochs = 100;      // more than the state has, if one is given
  bool shuffle = true;
  double l2 = 0;
  bool l2_per_row = false;  // the penalty of a batch is divided by its Σw
  std::vector<Group> groups{};
  std::optional<double> clip_norm{};   // gradients are scaled so that their norm is not larger,
  std::optional<double> clip_value{};  // and then none of them
  // After each step average = ema average + (1 - ema) parameters, which it begins with; the network ends with the
  // average, and validation looks at it.
  std::optional<double> ema{};
  // Of every hidden layer, and of the inputs: the part of the units that each step leaves out, rounded to steps of
  // 2^-16. Only in training, where those that stay grow by 1 / (1 - dropout).
  std::vector<double> dropout{};  // one by one, or one for all; none: 0
  double input_dropout = 0;
  // In the place of the network's loss; validation keeps that one.
  CustomLoss<T> custom_loss{};
  RateSchedules schedules{};
  // bf16, for Network<float> on CPUs with AVX512_BF16: results do not depend on the number of threads, but on the CPU.
  Precision precision = Precision::float32;
  std::optional<Examples<T>> validation{};
  std::vector<Metric<T>> metrics{};
  // x with columns apart (col_stride other than 1), whose rows are shuffled or named by `rows`, is copied once, row by
  // row: reading single rows of such a matrix takes two to three times as long. False: read where it lies, for a file
  // larger than memory.
  bool copy_columns = true;
  // Those of the examples to train on, and those of `validation` to look at, in this order; none: all of them. The same
  // bits as from examples that are a copy of these rows. They must outlive the call.
  std::span<const Index> rows{}, validation_rows{};
  Stop stop{};
  int threads = 0;
  std::uint64_t seed = 0;
  // If it holds a training, fit() goes on with that, bit for bit as if it had not ended; at the end it holds this one.
  FitState<T>* state = nullptr;
  History* history = nullptr;  // if given, what fit() returns comes there too, epoch by epoch, and stays if it throws
  // After each epoch, in the calling thread; true ends the run. It may write to the parameters, unless there is an
  // average. snapshot() brings *state up to date. An exception ends the run too and is passed on.
  std::function<bool(const EpochLog&, const std::function<void()>& snapshot)> on_epoch_end{};
  // Between batches, and within large ones, at most every poll_seconds: may throw, to interrupt. The network keeps its
  // last complete step, or the best epoch (see Stop).
  std::function<void()> poll{};
  double poll_seconds = 0.05;
};

// The cost or a parameter became NaN or infinite. The network holds its last finite parameters.
struct CHAINRULE_API DivergenceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Trains in place; std::runtime_error while another call trains the network. Memory beyond the network: gradients, the
// optimizer's moments, a workspace of a batch, and for each row 8 bytes, the order of a shuffle. Throws
// std::invalid_argument for bad options or shapes before anything changes.
template <class T>
CHAINRULE_API History fit(Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options = {});

// The same for the usual case of inputs and a matrix of target values.
template <class T>
History fit(Network<T>& network, std::type_identity_t<Inputs<T>> x, std::type_identity_t<MatrixView<const T>> y,
            const std::type_identity_t<FitOptions<T>>& options = {}) {
  return fit(network, Examples<T>{x, {y}}, options);
}

// One of many fits: what fit() takes. The examples are views; the jobs of a call may share them.
template <class T>
struct FitJob {
  Network<T>* network;
  Examples<T> examples;
  FitOptions<T> options{};
};

// What became of a job: its history, or what its fit threw.
struct FitOutcome {
  History history;
  std::exception_ptr error;
};

struct FitManyOptions {
  int threads = 0;
  // After each job, in the calling thread: its index and what became of it.
  std::function<void(std::size_t, const FitOutcome&)> on_finished{};
  // In the calling thread, some 20 times a second. What it or on_finished throws ends all fits, each network keeping
  // its last complete step or best epoch, and is passed on.
  std::function<void()> poll{};
};

// Many fits in one call, one thread a network, the costliest first; where there are fewer networks than threads and
// each can use them all, one after the other. Every network ends as fit() alone would leave it. The jobs' options
// threads and poll are not used, and on_epoch_end is called in whichever thread trains. Throws std::invalid_argument
// for the first job that fit() would refuse, and for a network that stands there twice, before anything changes.
template <class T>
CHAINRULE_API std::vector<FitOutcome> fit_many(std::span<const FitJob<T>> jobs, const FitManyOptions& options = {});

// What fit() asks of it: std::invalid_argument says what is out of range.
CHAINRULE_API void check(const Stop&);

}  // namespace chainrule
