// A dense feed-forward network: layer sizes, activations, a loss, and all parameters in one flat vector.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "chainrule/api.h"
#include "chainrule/view.h"

namespace chainrule {

// The targets of the m rows of X. Set either values (m x n_L: 0/1, probabilities or numbers) or, for softmax
// cross-entropy, labels (m class numbers in [0, n_L)). The levels of quantile share one target: pass
// repeated_column(n_L) of its view as values.
template <class T>
struct Targets {
  MatrixView<const T> values{};
  const std::int32_t* labels = nullptr;
  // If true, NaN in values is a missing target, which contributes nothing. With o(i) of n_L targets in row i, the cost
  // is divided by Σ_i w_i o(i) / n_L instead of Σ_i w_i: it is n_L times the weighted mean over the targets that are
  // present. Requires several outputs and a loss that is a sum over them, that is, any but softmax_cross_entropy and
  // quantile.
  bool missing = false;
};

// The rows over which a cost is computed. weights holds one weight per row; if it is null, every weight is 1. All views
// must outlive the call.
template <class T>
struct Examples {
  Inputs<T> x;
  Targets<T> targets;
  const T* weights = nullptr;
};

// A custom loss. One thread calls it once per batch, with the logits of the batch and the indices of its rows in the
// examples. It returns the cost of the batch and writes the gradient of that cost with respect to the logits (if the
// cost is a mean, the gradient includes the division by the number of rows). Its exceptions are passed to the caller.
template <class T>
using CustomLoss =
    std::function<double(MatrixView<const T> logits, std::span<const Index> rows, MatrixView<T> dlogits)>;

template <class T>
struct Model;  // internal
template <class T>
class OneFit;

// A part of a batch: some of its rows, from row `first` on. They must be an aligned run of leaves: 512 * 2^j rows,
// where `first` is a multiple of 512 * 2^j, or fewer rows up to the end of the batch. dropout and input_dropout are the
// rates of this step, as in FitOptions; seed and step determine which units are dropped.
struct BatchPart {
  Index first = 0, batch_rows = 0;
  double batch_weight = 0;  // the sum of the weights of the batch
  std::vector<double> dropout{};
  double input_dropout = 0;
  std::uint64_t seed = 0;
  Index step = 0;  // number of the step since the training began
};

struct NetworkOptions {
  Activation activation = Activation::relu;  // of every hidden layer, if activations is empty
  std::vector<Activation> activations{};     // one per hidden layer
  Loss loss = Loss::squared_error;
  // The parameter of the loss, such as huber's delta: one value, or one per output if LossParameter::one_per_output is
  // true. Empty: the default.
  std::vector<double> loss_parameters{};
  Init init = Init::he_uniform;  // Python's default depends on the activations instead
  std::uint64_t seed = 0;
};

// z[l] = a[l-1] W[l]ᵀ + b[l], a[l] = g(z[l]); rows are examples. W[l] is (n_l, n_{l-1}) and column-major, so the
// weights of one input are contiguous. The flat vector holds W[1], b[1], W[2], b[2], ... without gaps. Several threads
// may call const members concurrently. Results are bit-identical for any number of threads. threads = 0 means
// chainrule::num_threads(). Bad shapes throw std::invalid_argument and change nothing.
template <class T>
class CHAINRULE_API Network {
 public:
  // layer_sizes: the numbers of inputs, of units in each hidden layer, and of outputs; at least two entries.
  // parameters: the initial parameters in the layout of parameters(); if empty, they are drawn according to
  // options.init.
  explicit Network(std::vector<Index> layer_sizes, const NetworkOptions& options = {},
                   std::span<const T> parameters = {});
  Network(const Network&);
  Network(Network&&) noexcept;
  Network& operator=(Network) noexcept;
  ~Network();

  const std::vector<Index>& layer_sizes() const;
  Index layers() const { return static_cast<Index>(layer_sizes().size()) - 1; }
  const std::vector<Activation>& activations() const;  // one per hidden layer
  Loss loss() const;
  const std::vector<double>& loss_parameters() const;
  Init init() const;
  std::uint64_t seed() const;

  // Views of the network's memory, which is 64-byte aligned. Layer 0 is the first layer with weights. The views stay
  // valid when the network is moved.
  std::span<T> parameters();
  std::span<const T> parameters() const;
  MatrixView<T> weights(Index layer);
  std::span<T> biases(Index layer);

  // Outputs before and after the output activation. x: m x n_0; out: m x n_L, unit column stride.
  void logits(Inputs<T> x, MatrixView<T> out, int threads = 0) const;
  void predict(Inputs<T> x, MatrixView<T> out, int threads = 0) const;

  // Activations of a hidden layer, counted from 0. out: m x n_(layer+1), unit column stride.
  void hidden_activations(Inputs<T> x, Index layer, MatrixView<T> out, int threads = 0) const;

  // cost() returns J = (1/Σw) Σ_i w_i L_i + (l2/2) Σ_l ‖W[l]‖². gradients() also writes its gradient, in the layout of
  // parameters(), and, if dx is not null, the gradient with respect to x (m x n_0, unit column stride; only if x is a
  // matrix). If there are no rows, J is the penalty alone. With a custom loss, the targets of the examples are ignored.
  double cost(const Examples<T>& examples, double l2 = 0, int threads = 0) const;
  double cost(Inputs<T> x, MatrixView<const T> y, double l2 = 0, int threads = 0) const {
    return cost(Examples<T>{x, {y}}, l2, threads);
  }
  double gradients(const Examples<T>& examples, std::span<T> gradients, double l2 = 0,
                   const MatrixView<T>* dx = nullptr, int threads = 0, const CustomLoss<T>* loss = nullptr) const;
  // Computes the contribution of a part of a batch, whose rows are the examples, to the gradient of the batch's cost
  // without penalty. If the union of two neighboring parts is a part, the sum of their gradients has the bits of the
  // union's gradient, so the parts add up to the bits of the whole batch. Returns the sums of the weighted losses of
  // successive rows; the sums of all parts, added in order and divided by batch_weight, give the cost.
  std::vector<double> partial_gradients(const Examples<T>& examples, const BatchPart& part, std::span<T> gradients,
                                        int threads = 0) const;

 private:
  template <class U>
  friend const Model<U>& model_of(const Network<U>&);
  template <class U>
  friend class OneFit;
  struct State;
  std::unique_ptr<State> state_;
};

extern template class Network<float>;
extern template class Network<double>;

}  // namespace chainrule
