// Training steps of medium and large networks: backpropagation in its two phases, then the update.
#pragma once

#include "net/backprop.h"
#include "net/optimizer.h"
#include "net/schedule.h"

namespace chainrule {

template <class T>
class TwoPhase final : public Schedule<T> {
 public:
  TwoPhase(const Model<T>& model, T* parameters, Index batch_rows, const OptimizerOptions& optimizer, double l2,
           int threads);

  Index steps_at_once() const override { return 1; }
  std::span<const BatchCost> run(const Batches<T>& batches) override;
  void load() override { backprop_.repack(); }
  void store() override {}
  void gradients(T* gradients) const override { std::copy_n(gradients_.data(), gradients_.size(), gradients); }

 private:
  const Model<T> model_;
  T* parameters_;
  double l2_;
  Backprop<T> backprop_;
  Optimizer<T> optimizer_;
  Buffer<T> gradients_;
  BatchCost cost_{};
  typename Backprop<T>::After update_;
};

}  // namespace chainrule
