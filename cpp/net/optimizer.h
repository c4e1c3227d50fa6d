// An optimizer at work: its settings, its moments in the layout of the parameters, and how far it is.
#pragma once

#include <vector>

#include "chainrule/training.h"
#include "core/buffer.h"
#include "kernels/kernels.h"

namespace chainrule {

template <class T>
class Optimizer {
 public:
  Optimizer(const OptimizerOptions& options, Index parameters);

  void begin_step();  // once per step, by one thread, before any update
  // The next `count` steps, for those who update by themselves: of SGD or of Adam, the other stays empty.
  void next_steps(Index count, std::vector<SgdUpdate<T>>& sgd, std::vector<AdamUpdate<T>>& adam);
  T* first_moment() const { return m_.data(); }  // null where there is none
  T* second_moment() const { return v_.data(); }
  // The parameters of a region that begins at `begin`, by their gradients; threads may update disjoint ones at once.
  void update(Index begin, Region region, const T* gradients, T* parameters) const;

 private:
  OptimizerOptions options_;
  Buffer<T> m_, v_;                                 // first and second moment; m_ is the velocity of Sgd with momentum
  std::variant<SgdUpdate<T>, AdamUpdate<T>> step_;  // of the current step
  bool first_ = true;
  double beta1_power_ = 1, beta2_power_ = 1;  // beta^steps, by multiplication: std::pow differs between C libraries
};

}  // namespace chainrule
