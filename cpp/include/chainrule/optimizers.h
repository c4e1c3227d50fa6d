// The optimizers as values, with PyTorch's names, defaults and semantics. Formulas in kernels/updates.h.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "chainrule/api.h"
#include "chainrule/names.h"

namespace chainrule {

// weight_decay of all but L-BFGS is decoupled (Loshchilov & Hutter 2019): before each step parameters are multiplied by
// 1 - learning_rate * weight_decay.
struct Sgd {
  double learning_rate = 1e-3;
  double momentum = 0;
  bool nesterov = false;
  bool rate_in_velocity = false;  // the rate multiplies the gradient that joins the velocity: scikit-learn's form
  double weight_decay = 0;
};
struct Adam {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;     // outside the square root,
  bool epsilon_hat = false;  // which is not corrected then: scikit-learn's form, the last of section 2 of the paper
  double weight_decay = 0;   // torch.optim.AdamW has 0.01
};
struct RmsProp {
  double learning_rate = 1e-2;
  double alpha = 0.99;
  double epsilon = 1e-8;
  double momentum = 0;
  bool centered = false;
  double weight_decay = 0;
};
struct Adagrad {
  double learning_rate = 1e-2;
  double learning_rate_decay = 0;  // the rate of step t = 0, 1, ... is learning_rate / (1 + t learning_rate_decay)
  double initial_accumulator = 0;
  double epsilon = 1e-10;
  double weight_decay = 0;
};
// With the whole data set as batch; an epoch is an iteration. Steps satisfy the strong Wolfe conditions.
struct Lbfgs {
  double learning_rate = 1;              // the first trial of each search
  int history = 10;                      // pairs of steps that the curvature is made from
  std::optional<int> max_evaluations{};  // of the cost, in all
  double tolerance_gradient = 1e-7;      // ends where no element of the gradient is larger,
  double tolerance_change = 1e-9;        // or no parameter, or the cost, changes more
  bool unit_first_step = false;          // SciPy's: the first trial of all moves by 1, not by g / max(1, sum |g|)
};
using OptimizerOptions = std::variant<Sgd, Adam, RmsProp, Adagrad, Lbfgs>;

// Factors on the learning rate and the weight decay of some parameters: of all layers if none is named, of both kinds
// if none is. A parameter that is in several groups has the product of their factors.
enum class Kind { weights, biases };
struct Group {
  std::vector<Index> layers{};
  std::optional<Kind> kind{};
  double learning_rate = 1, weight_decay = 1;
};

// What fit() asks of them: std::invalid_argument says what is out of range.
CHAINRULE_API void check(const OptimizerOptions&);
CHAINRULE_API void check(const Group&, Index layers);

// The step size of the options.
CHAINRULE_API double learning_rate(const OptimizerOptions&);

}  // namespace chainrule
