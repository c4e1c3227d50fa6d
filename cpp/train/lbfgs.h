// Limited-memory BFGS (Liu & Nocedal 1989), with PyTorch's settings and convergence tests. A step is one iteration over
// all rows.
#pragma once

#include <deque>

#include "net/backprop.h"
#include "train/line_search.h"
#include "train/source_gradients.h"
#include "train/stepper.h"

namespace chainrule {

template <class T>
class LbfgsSteps final : public Stepper<T> {
 public:
  LbfgsSteps(const Model<T>& model, T* parameters, Index batch_rows, const FitOptions<T>& options);

  Index steps_at_once() const override { return 1; }
  std::span<const BatchCost> run(const Batches<T>& batches) override;
  bool in_place() const override { return true; }
  bool finite() const override;
  void load() override;
  void store() override {}
  void gradients(T* gradients) const override;
  const char* converged() const override { return ended_; }
  void save(FitState<T>& state) override;
  void restore(const FitState<T>& state) override;

 private:
  struct Pair {
    Buffer<T> s, y;  // the step of an iteration, and the change of the gradient
    double rho;      // 1 / (y · s)
  };
  void evaluate(const Batches<T>& batches, T* gradient, double& cost);
  void update_direction();
  void use_steepest_descent();  // sets the direction to the negative gradient
  double search(const Batches<T>& batches, double slope, double first, double tolerance);
  bool is_steep(const Batches<T>& batches) const;
  double cost_of_constant(const Batches<T>& batches) const;
  double first_length() const;

  const FitOptions<T>& options_;
  Lbfgs settings_;
  Model<T> model_;
  T* parameters_;
  std::optional<Backprop<T>> backprop_;  // one of these two
  std::optional<SourceGradients<T>> source_;
  SearchPoint<T> now_;  // cost and gradient at the current parameters
  Buffer<T> start_, direction_, last_gradient_;
  std::deque<Pair> pairs_;
  double scale_ = 1;   // the inverse Hessian is first approximated by scale_ times the identity
  double length_ = 0;  // of the last step, as a multiple of the direction
  Index iterations_ = 0, evaluations_ = 0;
  bool known_ = false;           // true if now_ belongs to the current parameters
  const char* ended_ = nullptr;  // why no further step is possible, or null
  BatchCost cost_{0, 1};
};

}  // namespace chainrule
