// Settings of the optimizers whose step is one pass over the parameters, with PyTorch's names, defaults and semantics.
// The formulas are in kernels/updates.h, and L-BFGS is in training.h. The kernels include this file, so it includes
// only settings.h.
#pragma once

#include "chainrule/settings.h"

namespace chainrule {

struct Sgd {
  double learning_rate = 1e-3;
  double momentum = 0;
  bool nesterov = false;
  bool rate_in_velocity = false;
  double weight_decay = 0;

  static constexpr const char* name = "SGD";
  template <class Visit>
  static void fields(Visit visit) {
    visit("learning_rate", &Sgd::learning_rate, positive, "The step size.");
    visit("momentum", &Sgd::momentum, zero_to_one, "Decay factor of the velocity.");
    visit("nesterov", &Sgd::nesterov, anything, "Use Nesterov momentum; needs a momentum above 0.");
    visit("rate_in_velocity", &Sgd::rate_in_velocity, anything,
          "Use scikit-learn's form, ``v = momentum · v + learning_rate · g`` with v as the step.");
    visit("weight_decay", &Sgd::weight_decay, not_negative,
          "Decoupled weight decay: before each step ``θ = (1 - learning_rate · weight_decay) θ``, biases included (see "
          "`Group`). For PyTorch's coupled weight decay use ``l2`` of `Network.fit`.");
  }
};

struct Adam {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
  bool epsilon_hat = false;
  double weight_decay = 0;  // torch.optim.AdamW has 0.01

  static constexpr const char* name = "Adam";
  template <class Visit>
  static void fields(Visit visit) {
    visit("learning_rate", &Adam::learning_rate, positive, "About the largest change of a parameter in one step.");
    visit("beta1", &Adam::beta1, below_one, "Decay factor of the mean of the gradients.");
    visit("beta2", &Adam::beta2, below_one, "Decay factor of the mean of the squared gradients.");
    visit("epsilon", &Adam::epsilon, not_negative, "Added to the bias-corrected √v.");
    visit("epsilon_hat", &Adam::epsilon_hat, anything,
          "Add epsilon to √v before the bias correction, as in the last formula of section 2 of Kingma & Ba (2015) and "
          "in scikit-learn.");
    visit("weight_decay", &Adam::weight_decay, not_negative, "Decoupled weight decay, as for `SGD`.");
  }
};

struct RmsProp {
  double learning_rate = 1e-2;
  double alpha = 0.99;
  double epsilon = 1e-8;
  double momentum = 0;
  bool centered = false;
  double weight_decay = 0;

  static constexpr const char* name = "RMSprop";
  template <class Visit>
  static void fields(Visit visit) {
    visit("learning_rate", &RmsProp::learning_rate, positive, "The step size.");
    visit("alpha", &RmsProp::alpha, below_one, "Decay factor of the mean of the squared gradients.");
    visit("epsilon", &RmsProp::epsilon, not_negative, "Added to √v.");
    visit("momentum", &RmsProp::momentum, below_one, "Decay factor of the velocity.");
    visit("centered", &RmsProp::centered, anything, "Divide by the standard deviation of the gradients.");
    visit("weight_decay", &RmsProp::weight_decay, not_negative, "Decoupled weight decay, as for `SGD`.");
  }
};

struct Adagrad {
  double learning_rate = 1e-2;
  double learning_rate_decay = 0;
  double initial_accumulator = 0;
  double epsilon = 1e-10;
  double weight_decay = 0;

  static constexpr const char* name = "Adagrad";
  template <class Visit>
  static void fields(Visit visit) {
    visit("learning_rate", &Adagrad::learning_rate, positive, "The step size.");
    visit("learning_rate_decay", &Adagrad::learning_rate_decay, not_negative,
          "The step size of step t = 0, 1, ... is ``learning_rate / (1 + t · learning_rate_decay)``.");
    visit("initial_accumulator", &Adagrad::initial_accumulator, not_negative, "Initial value of the sum of squares.");
    visit("epsilon", &Adagrad::epsilon, not_negative, "Added to √v.");
    visit("weight_decay", &Adagrad::weight_decay, not_negative, "Decoupled weight decay, as for `SGD`.");
  }
};

struct Lion {
  double learning_rate = 1e-4;
  double beta1 = 0.9, beta2 = 0.99;
  double weight_decay = 0;

  static constexpr const char* name = "Lion";
  template <class Visit>
  static void fields(Visit visit) {
    visit("learning_rate", &Lion::learning_rate, positive,
          "The change of every parameter in one step: choose a third to a tenth of Adam's learning rate.");
    visit("beta1", &Lion::beta1, below_one,
          "Weight of the mean of the gradients, against the new gradient, in the direction of a step.");
    visit("beta2", &Lion::beta2, below_one, "Decay factor of the mean of the gradients.");
    visit("weight_decay", &Lion::weight_decay, not_negative,
          "Decoupled weight decay, as for `SGD`: choose three to ten times that of Adam.");
  }
};

struct ScheduleFreeAdamW {
  double learning_rate = 2.5e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;

  static constexpr const char* name = "ScheduleFreeAdamW";
  template <class Visit>
  static void fields(Visit visit) {
    visit("learning_rate", &ScheduleFreeAdamW::learning_rate, positive,
          "About the largest change of a parameter in one step; choose it larger than Adam's. It needs no schedule, "
          "except perhaps a warm-up.");
    visit("beta1", &ScheduleFreeAdamW::beta1, below_one,
          "Weight of the average x in y, the point at which gradients are computed.");
    visit("beta2", &ScheduleFreeAdamW::beta2, below_one, "Decay factor of the mean of the squared gradients.");
    visit("epsilon", &ScheduleFreeAdamW::epsilon, not_negative, "Added to the bias-corrected √v.");
    visit("weight_decay", &ScheduleFreeAdamW::weight_decay, not_negative,
          "Decoupled weight decay: each step subtracts ``learning_rate · weight_decay · y`` from z.");
  }
};

// The optimizers, in the order of the numbers that identify them in stored states.
template <class... Optimizer>
struct OptimizerList {};
using PassOptimizers = OptimizerList<Sgd, Adam, RmsProp, Adagrad, Lion, ScheduleFreeAdamW>;

}  // namespace chainrule
