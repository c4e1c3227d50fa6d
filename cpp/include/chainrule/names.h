// The lists of activations, losses and metrics, with all their properties except the arithmetic. A new entry needs a
// line here and a formula in kernels/activations.h, kernels/losses.h or train/metrics.cpp; dispatch, checks, bindings,
// tests and documentation are derived from these lists. The kernels include this file, so of the standard library
// it includes only <cstddef>.
#pragma once

#include <cstddef>

#include "chainrule/settings.h"

#ifndef __cpp_concepts
#error "chainrule needs C++20: -std=c++20"
#endif

namespace chainrule {

using Index = std::ptrdiff_t;

// Distributions of the initial weights (biases start at 0): Glorot & Bengio 2010, He et al. 2015, LeCun et al. 1998.
// given: there is no distribution; all parameters are 0 until the caller sets them.
enum class Init { glorot_uniform, glorot_normal, he_uniform, he_normal, lecun_uniform, lecun_normal, given };
inline constexpr const char* init_names[] = {"glorot_uniform", "glorot_normal", "he_uniform", "he_normal",
                                             "lecun_uniform",  "lecun_normal",  "given"};
inline constexpr int init_count = sizeof init_names / sizeof *init_names;

// A column of binned rows (BinnedView in view.h): which codes and values of a row it uses, and its features x_j.
//   value   a value v: one feature, v
//   bins    a code b, the number of a bin, and a value f, the position within it, 0 to 1: x_j = 1 for j < b, f for
//           j = b, 0 for j > b
//   levels  a code b: x_j = 1 for j = b, else 0; if b is the number of features, all are 0
enum class ColumnKind { value, bins, levels };
inline constexpr const char* column_kind_names[] = {"value", "bins", "levels"};
struct BinnedColumn {
  ColumnKind kind;
  Index features;
};

// The array from which the kernel computes the slope g': a = g(z), in which case z is not stored, or z.
enum class SlopeReads { a, z };

struct ActivationTraits {
  Init init;  // the default initialization of layers with this activation
  SlopeReads slope_reads;
  const char* formula;  // g(z)
};

// clang-format off
#define CHAINRULE_ACTIVATIONS(ADD) \
  ADD(identity,   Init::glorot_uniform, SlopeReads::a, "z") \
  ADD(logistic,   Init::glorot_uniform, SlopeReads::a, "1 / (1 + exp(-z))") \
  ADD(tanh,       Init::glorot_uniform, SlopeReads::a, "tanh(z)") \
  ADD(relu,       Init::he_uniform,     SlopeReads::a, "max(z, 0)") \
  ADD(leaky_relu, Init::he_uniform,     SlopeReads::a, "z for z > 0, else 0.01 z") \
  ADD(elu,        Init::he_uniform,     SlopeReads::a, "z for z > 0, else exp(z) - 1") \
  ADD(selu,       Init::lecun_uniform,  SlopeReads::a, "1.0507 z for z > 0, else 1.7581 (exp(z) - 1)") \
  ADD(gelu,       Init::he_uniform,     SlopeReads::z, "z Φ(z), where Φ is the normal distribution function") \
  ADD(gelu_tanh,  Init::he_uniform,     SlopeReads::z, "z (1 + tanh(√(2/π) (z + 0.044715 z³))) / 2") \
  ADD(silu,       Init::he_uniform,     SlopeReads::z, "z / (1 + exp(-z))") \
  ADD(softplus,   Init::he_uniform,     SlopeReads::a, "log(1 + exp(z))") \
  ADD(mish,       Init::he_uniform,     SlopeReads::z, "z tanh(log(1 + exp(z)))") \
  ADD(hard_tanh,  Init::glorot_uniform, SlopeReads::a, "min(max(z, -1), 1)") \
  ADD(sin,        Init::glorot_uniform, SlopeReads::z, "sin(z)") \
  ADD(softsign,   Init::glorot_uniform, SlopeReads::a, "z / (1 + |z|)")
// clang-format on
#define CHAINRULE_NAME(name, ...) name,
#define CHAINRULE_TEXT(name, ...) #name,
#define CHAINRULE_TRAITS(name, ...) {__VA_ARGS__},
enum class Activation { CHAINRULE_ACTIVATIONS(CHAINRULE_NAME) };
inline constexpr const char* activation_names[] = {CHAINRULE_ACTIVATIONS(CHAINRULE_TEXT)};
inline constexpr ActivationTraits activation_traits[] = {CHAINRULE_ACTIVATIONS(CHAINRULE_TRAITS)};
constexpr const ActivationTraits& traits_of(Activation a) { return activation_traits[static_cast<int>(a)]; }
constexpr bool slope_reads_z(Activation a) { return traits_of(a).slope_reads == SlopeReads::z; }
inline constexpr int activation_count = sizeof activation_names / sizeof *activation_names;

// The output activation of a loss: it turns the last layer's z, the logits, into predictions.
enum class Output { identity, logistic, softmax, exp };
inline constexpr const char* output_names[] = {"identity", "logistic", "softmax", "exp"};

// The parameter of a loss. NetworkOptions::loss_parameters holds its value, or one value per output.
struct LossParameter {
  const char* name = nullptr;  // null: the loss has no parameter
  double value = 0;            // the default
  Range allowed{};
  bool one_per_output = false;  // if true, all outputs share one target
};

// The constant prediction with the lowest cost: the mean of the targets, their quantile at the parameter (the median if
// there is no parameter), or the result of a search.
enum class BestConstant { mean, quantile, searched };
inline constexpr const char* constant_names[] = {"mean", "quantile", "searched"};

// The properties of a loss L, a function of one row's logits z and targets y.
struct LossTraits {
  const char* formula;
  Output output = Output::identity;
  Range targets{};  // targets outside this range are rejected
  BestConstant best_constant = BestConstant::mean;
  LossParameter parameter{};

  // True if the targets of a row are probabilities: of the classes, or of one label per output.
  constexpr bool of_classes() const { return output == Output::softmax || output == Output::logistic; }
  // The metric that the estimators watch unless another one is chosen; null: the cost.
  constexpr const char* metric() const { return of_classes() ? "accuracy" : parameter.one_per_output ? nullptr : "r2"; }
  // True if the targets may be shifted and scaled before training.
  constexpr bool unit_free() const { return targets.low == -__builtin_inf(); }
};

// clang-format off
#define CHAINRULE_LOSSES(ADD) \
  ADD(binary_cross_entropy, .formula = "Σ_j log(1 + exp(z_j)) - y_j z_j", \
      .output = Output::logistic, .targets = zero_to_one) \
  ADD(softmax_cross_entropy, .formula = "Σ_j y_j (log Σ_k exp(z_k) - z_j)", \
      .output = Output::softmax, .targets = zero_to_one, \
      .parameter = {"label_smoothing", 0, zero_to_one}) \
  ADD(squared_error, .formula = "½ Σ_j (z_j - y_j)²") \
  ADD(absolute_error, .formula = "Σ_j |z_j - y_j|", .best_constant = BestConstant::quantile) \
  ADD(huber, .formula = "Σ_j ½ d² where |d| ≤ delta, else delta (|d| - ½ delta), d = z_j - y_j", \
      .best_constant = BestConstant::searched, .parameter = {"delta", 1, positive}) \
  ADD(quantile, .formula = "Σ_j max((1 - level_j) d, -level_j d), d = z_j - y", \
      .best_constant = BestConstant::quantile, .parameter = {"levels", 0.5, between_zero_and_one, true}) \
  ADD(poisson, .formula = "Σ_j exp(z_j) - y_j z_j + y_j log(y_j) - y_j", \
      .output = Output::exp, .targets = not_negative_or_infinite) \
  ADD(gamma, .formula = "Σ_j z_j - log(y_j) + y_j exp(-z_j) - 1", \
      .output = Output::exp, .targets = positive_or_infinite) \
  ADD(tweedie, .formula = "Σ_j exp((2-p) z_j)/(2-p) - y_j exp((1-p) z_j)/(1-p) + y_j^(2-p)/((1-p) (2-p)), p = power", \
      .output = Output::exp, .targets = not_negative_or_infinite, \
      .parameter = {"power", 1.5, {.low = 1, .high = 2, .with_low = false, .with_high = false}})
// clang-format on
enum class Loss { CHAINRULE_LOSSES(CHAINRULE_NAME) };
inline constexpr const char* loss_names[] = {CHAINRULE_LOSSES(CHAINRULE_TEXT)};
inline constexpr LossTraits loss_traits[] = {CHAINRULE_LOSSES(CHAINRULE_TRAITS)};
inline constexpr int loss_count = sizeof loss_names / sizeof *loss_names;
constexpr const LossTraits& traits_of(Loss loss) { return loss_traits[static_cast<int>(loss)]; }

// Precision of the operands of matrix products in training: that of the network, or bf16 with sums in float32.
enum class Precision { float32, bf16 };
inline constexpr const char* precision_names[] = {"float32", "bf16"};

// The properties of a score of predictions (m x n_L). Scores are means over the rows, weighted by the rows' weights.
struct ScoreTraits {
  const char* meaning;
  bool more_is_better = false;
  bool of_classes = false;     // only for losses with LossTraits::of_classes()
  bool unit_free = false;      // unchanged if targets and predictions are shifted and scaled
  const char* undefined = "";  // the reason why it can be NaN
};

// clang-format off
#define CHAINRULE_SCORES(ADD) \
  ADD(accuracy, .meaning = "fraction of the rows whose likeliest class is right, or all of whose labels are right", \
      .more_is_better = true, .of_classes = true) \
  ADD(balanced_accuracy, .meaning = "accuracy within each class, averaged over the classes that occur", \
      .more_is_better = true, .of_classes = true) \
  ADD(log_loss, .meaning = "-log of the probability of the class, averaged over labels", .of_classes = true) \
  ADD(auc, .meaning = "area under the ROC curve, averaged over classes or labels", \
      .more_is_better = true, .of_classes = true, .undefined = "the held-out rows lack a class") \
  ADD(r2, .meaning = "R², averaged over the outputs", \
      .more_is_better = true, .unit_free = true, .undefined = "the held-out targets of an output are all equal") \
  ADD(mae, .meaning = "mean absolute error, averaged over the outputs") \
  ADD(rmse, .meaning = "root of the mean squared error, averaged over the outputs") \
  ADD(mape, .meaning = "mean of |error / target|, averaged over the outputs") \
  ADD(average_precision, .meaning = "area under the stepwise precision-recall curve, averaged over classes or labels", \
      .more_is_better = true, .of_classes = true, .undefined = "a class has no held-out row")
// clang-format on
enum class Score { CHAINRULE_SCORES(CHAINRULE_NAME) };
inline constexpr const char* score_names[] = {CHAINRULE_SCORES(CHAINRULE_TEXT)};
inline constexpr ScoreTraits score_traits[] = {CHAINRULE_SCORES(CHAINRULE_TRAITS)};
constexpr const ScoreTraits& traits_of(Score score) { return score_traits[static_cast<int>(score)]; }

#undef CHAINRULE_NAME
#undef CHAINRULE_TEXT
#undef CHAINRULE_TRAITS

}  // namespace chainrule
