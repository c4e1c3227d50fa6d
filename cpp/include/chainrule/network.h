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

// The targets of the m rows of X: values (m x n_L: 0/1, probabilities or numbers; for quantile, whose levels share one
// target, repeated_column(n_L) of its view), or, for softmax cross-entropy, m class numbers in [0, n_L). One of the two
// is set.
template <class T>
struct Targets {
  MatrixView<const T> values{};
  const std::int32_t* labels = nullptr;
};

// The rows over which a cost is computed. weights: one per row, or null for 1. All views must outlive the call.
template <class T>
struct Examples {
  Inputs<T> x;
  Targets<T> targets;
  const T* weights = nullptr;
};

// A custom loss. One thread calls it once per batch, with the logits of the batch and the indices of its rows in the
// examples. It returns the batch's cost and writes the complete gradient with respect to the logits (for a mean:
// divided by the number of rows). Its exceptions reach the caller.
template <class T>
using CustomLoss =
    std::function<double(MatrixView<const T> logits, std::span<const Index> rows, MatrixView<T> dlogits)>;

template <class T>
struct Model;  // internal
template <class T>
class OneFit;

struct NetworkOptions {
  Activation activation = Activation::relu;  // of every hidden layer, if activations is empty
  std::vector<Activation> activations{};     // one per hidden layer
  Loss loss = Loss::squared_error;
  // The loss's parameter, such as huber's delta: one value, or one per output where LossTraits says so. Empty: the
  // default.
  std::vector<double> loss_parameters{};
  Init init = Init::he_uniform;  // Python's default depends on the activations: Network.init there reports it
  std::uint64_t seed = 0;
};

// z[l] = a[l-1] W[l]ᵀ + b[l], a[l] = g(z[l]); rows are examples; W[l] is (n_l, n_{l-1}), column-major: the weights of
// one input are contiguous. The flat vector holds W[1], b[1], W[2], b[2], ... without gaps. Several threads may call
// const members concurrently; results are bit-identical for any number of threads. threads: 0 for
// chainrule::num_threads(). Bad shapes throw std::invalid_argument and change nothing.
template <class T>
class CHAINRULE_API Network {
 public:
  // layer_sizes: inputs, hidden layers, outputs; at least two. parameters: the initial ones, in the layout of
  // parameters(); if empty, drawn as options.init says.
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

  // Views of the network's own memory, 64-byte aligned; layer 0 is the first with weights. Moving the network keeps
  // them.
  std::span<T> parameters();
  std::span<const T> parameters() const;
  MatrixView<T> weights(Index layer);
  std::span<T> biases(Index layer);

  // Outputs before and after the output activation. x: m x n_0; out: m x n_L, unit column stride.
  void logits(Inputs<T> x, MatrixView<T> out, int threads = 0) const;
  void predict(Inputs<T> x, MatrixView<T> out, int threads = 0) const;

  // J = (1/Σw) Σ_i w_i L_i + (l2/2) Σ_l ‖W[l]‖²; its gradient in the layout of parameters() and, if dx is not null,
  // with respect to x (m x n_0, unit column stride; not for a sparse x). Without rows, J is the penalty. With a custom
  // loss the targets of the examples are ignored.
  double cost(const Examples<T>& examples, double l2 = 0, int threads = 0) const;
  double cost(Inputs<T> x, MatrixView<const T> y, double l2 = 0, int threads = 0) const {
    return cost(Examples<T>{x, {y}}, l2, threads);
  }
  double gradients(const Examples<T>& examples, std::span<T> gradients, double l2 = 0,
                   const MatrixView<T>* dx = nullptr, int threads = 0, const CustomLoss<T>* loss = nullptr) const;

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
