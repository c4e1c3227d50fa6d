// Training steps of small networks. A call of the kernel slice_steps executes many steps, and takes each slice of a
// batch through all layers before the next one. This class holds the memory, and the parameters in the layout of the
// kernel.
#pragma once

#include "core/dispatch.h"
#include "train/gathered.h"
#include "train/optimizer.h"
#include "train/stepper.h"

namespace chainrule {

template <class T>
class Sliced final : public Stepper<T> {
 public:
  Sliced(const Model<T>& model, T* parameters, Index batch_rows, const FitOptions<T>& options);

  Index steps_at_once() const override { return static_cast<Index>(costs_.size()); }
  std::span<const BatchCost> run(const Batches<T>& batches) override;
  bool in_place() const override { return false; }
  bool finite() const override;
  void load() override;
  void store() override;
  void gradients(T* gradients) const override;
  void save(FitState<T>& state) override;
  void restore(const FitState<T>& state) override;

 private:
  // The memory of one thread.
  struct Workspace {
    Workspace(const Model<T>& model, Index rows);
    std::vector<SliceLayer<T>> layers;
    Buffer<T> memory;
    Buffer<std::int32_t> label;
    T *x, *y, *weight, *da, *loss;
  };

  IsaInUse isa_in_use_;
  const Model<T> model_;
  T* parameters_;
  double l2_;
  bool l2_per_row_;
  int threads_;
  std::vector<Workspace> workspaces_;
  Index size_;  // number of parameters in the kernel's layout, including padding
  Buffer<T> sliced_, partials_, value_;
  Optimizer<T> optimizer_;
  bool is_sgd_;  // otherwise Adam
  std::vector<BatchCost> costs_;
  GatheredExamples<T> gathered_;
};

}  // namespace chainrule
