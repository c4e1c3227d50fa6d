// Training steps of medium and large networks: backpropagation in its two phases, then the update. The parameters lie
// in panels meanwhile; but for batches of so few rows that the products read weights where they lie anyway, and for
// bf16.
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
  bool in_place() const override { return !in_panels(); }
  bool finite() const override;
  void load() override;
  void store() override;
  void gradients(T* gradients) const override;

 private:
  void update(Team team, PackedWeights<T>& packed);
  bool in_panels() const { return panels_.size() > 0; }

  IsaInUse isa_in_use_;
  T* flat_;  // the network's own parameters
  double l2_;
  Panels<T> panels_;      // none for flat ones
  Buffer<T> parameters_;  // in panels
  Buffer<T> weights_;     // the same for the penalty, which is summed in the order of the flat layout
  Model<T> model_;
  Buffer<T> gradients_;
  Optimizer<T> optimizer_;
  Backprop<T> backprop_;
  BatchCost cost_{};
  typename Backprop<T>::After update_;
};

}  // namespace chainrule
