// The training loop: "for each iteration until convergence: compute the prediction, the derivatives, update the
// parameters".
#pragma once

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <variant>

#include "chainrule/network.h"

namespace chainrule {

// The optimizers, with PyTorch's names, defaults and semantics. Formulas in kernels/updates.h.
struct Sgd {
  double learning_rate = 1e-3;
  double momentum = 0;
  bool nesterov = false;
};
struct Adam {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;  // outside the square root
};
using OptimizerOptions = std::variant<Sgd, Adam>;

// When to end before the last epoch: any that holds ends the run and is named in History::stop_reason. With
// no_improvement and validation rows the network ends with the parameters of the best epoch, also after an exception.
struct Stop {
  std::optional<double> loss_below{};           // the cost of the epoch
  std::optional<double> loss_change_below{};    // |change of the cost from epoch to epoch|,
  int loss_change_epochs = 1;                   // this many times in a row
  std::optional<double> gradient_norm_below{};  // Euclidean norm of the epoch's last gradient
  std::optional<int> no_improvement{};  // epochs since the lowest cost (of the validation rows, if there are some)
  std::optional<double> seconds{};
};

struct EpochLog {
  int epoch;  // from 1
  double loss;
  std::optional<double> validation;
  double seconds;  // since the start of the fit
};

template <class T>
struct FitOptions {
  OptimizerOptions optimizer = Adam{};
  Index batch_size = 0;  // 0: all rows, the notes' gradient descent
  int epochs = 100;
  bool shuffle = true;
  double l2 = 0;
  std::optional<Examples<T>> validation{};
  Stop stop{};
  int threads = 0;
  std::uint64_t seed = 0;
  // After each epoch, in the calling thread; true ends the run. It may write to the parameters. An exception ends the
  // run too and is passed on.
  std::function<bool(const EpochLog&)> on_epoch_end{};
  // Between batches, at most every 50 ms: may throw, to interrupt. The network keeps its last complete step, or the
  // best epoch (see Stop).
  std::function<void()> poll{};
};

struct History {
  std::vector<double> loss;        // of each epoch: the mean of its batches' costs, before each update, weighted by Σw
  std::vector<double> validation;  // of each epoch, without l2; empty without validation rows
  int epochs = 0;
  std::string stop_reason;  // "epochs", "callback", or the name of the member of Stop
  double seconds = 0;
};

// The cost or a parameter became NaN or infinite. The network holds its last finite parameters.
struct DivergenceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Trains in place. Memory beyond the network: gradients, the optimizer's moments, and a workspace that does not grow
// with the number of rows. Throws std::invalid_argument for bad options or shapes before anything changes.
template <class T>
History fit(Network<T>& network, const Examples<T>& examples, const FitOptions<T>& options = {});

// The same for the usual case of a matrix of inputs and one of target values.
template <class T>
History fit(Network<T>& network, MatrixView<const T> x, MatrixView<const T> y, const FitOptions<T>& options = {}) {
  return fit(network, Examples<T>{x, {y}}, options);
}

// What fit() asks of its options: std::invalid_argument says what is out of range.
void check(const OptimizerOptions&);
void check(const Stop&);

}  // namespace chainrule
