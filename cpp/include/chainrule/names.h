// The lists: every activation and loss by name. A new one is a line here and a struct in kernels/activations.h or
// kernels/losses.h; dispatch, bindings, tests and documentation follow these lists. Includes nothing more: the kernels
// use it.
#pragma once

#include <cstddef>

#ifndef __cpp_concepts
#error "chainrule needs C++20: -std=c++20"
#endif

namespace chainrule {

using Index = std::ptrdiff_t;

enum class Activation {
  identity,
  logistic,
  tanh,
  relu,
  leaky_relu,
  elu,
  selu,
  gelu,
  gelu_tanh,
  silu,
  softplus,
  mish,
  hard_tanh,
  sin
};
inline constexpr const char* activation_names[] = {"identity", "logistic", "tanh",      "relu",      "leaky_relu",
                                                   "elu",      "selu",     "gelu",      "gelu_tanh", "silu",
                                                   "softplus", "mish",     "hard_tanh", "sin"};
inline constexpr int activation_count = sizeof activation_names / sizeof *activation_names;

// All computed from the logits; the loss decides the output activation: logistic, softmax, exp for poisson, identity
// for the others.
enum class Loss {
  binary_cross_entropy,
  softmax_cross_entropy,
  squared_error,
  absolute_error,
  huber,
  quantile,
  poisson
};
inline constexpr const char* loss_names[] = {
    "binary_cross_entropy", "softmax_cross_entropy", "squared_error", "absolute_error", "huber", "quantile", "poisson"};
inline constexpr int loss_count = sizeof loss_names / sizeof *loss_names;

// Distributions of the initial weights (biases start at 0): Glorot & Bengio 2010, He et al. 2015, LeCun et al. 1998.
// given: none, all parameters are 0 until the caller writes them.
enum class Init { glorot_uniform, glorot_normal, he_uniform, he_normal, lecun_uniform, lecun_normal, given };
inline constexpr const char* init_names[] = {"glorot_uniform", "glorot_normal", "he_uniform", "he_normal",
                                             "lecun_uniform",  "lecun_normal",  "given"};
inline constexpr int init_count = sizeof init_names / sizeof *init_names;

// Of the operands of a training's products: the network's own, or rounded to bf16 with sums in float32.
enum class Precision { float32, bf16 };
inline constexpr const char* precision_names[] = {"float32", "bf16"};

// Scores of predictions (m x n_L): accuracy of the class that is
// likeliest, or of all labels of a row together; its mean over the classes; -log p of the class, mean over labels; area
// under the ROC curve, mean over classes or labels; R², mean absolute error and root of the mean squared error, means
// over the outputs. All weighted as the rows are.
enum class Score { accuracy, balanced_accuracy, log_loss, auc, r2, mae, rmse };
inline constexpr const char* score_names[] = {"accuracy", "balanced_accuracy", "log_loss", "auc", "r2", "mae", "rmse"};

}  // namespace chainrule
