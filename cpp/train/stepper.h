// Trains batch by batch, in one of three ways: in two phases over a whole batch (two_phase), slice by slice without
// storing z (sliced), or by L-BFGS (lbfgs). Shapes, activations and options determine which one. All three add in the
// same order.
#pragma once

#include <memory>
#include <span>

#include "chainrule/training.h"
#include "kernels/kernels.h"
#include "net/model.h"
#include "train/rates.h"

namespace chainrule {

// Batches of m examples. Batch s consists of the m examples whose indices are in rows from position first + s * advance
// on or, if rows is empty, of the m examples from that position on. rows may extend into the next batches, which can
// then be prefetched. rates has one entry per batch.
template <class T>
struct Batches {
  const Examples<T>& examples;
  std::span<const Index> rows;
  Index first, m, advance;
  std::span<const Rates> rates;
  Index step = 0;          // number of the first batch since the training began
  std::uint64_t seed = 0;  // for dropout
};

// The examples from number `first` on.
template <class T>
Examples<T> examples_from(Examples<T> e, Index first) {
  e.x = e.x.rows_between(first, e.x.rows);
  if (e.targets.labels != nullptr)
    e.targets.labels += first;
  else
    e.targets.values = e.targets.values.rows_between(first, e.targets.values.rows);
  if (e.weights != nullptr) e.weights += first;
  return e;
}

// Computes the cost and the gradients and applies the update, batch by batch.
template <class T>
class Stepper {
 public:
  virtual ~Stepper() = default;

  virtual Index steps_at_once() const = 0;  // the maximum number of batches for run()
  // The costs of the batches, each before its update. Valid until the next call.
  virtual std::span<const BatchCost> run(const Batches<T>& batches) = 0;
  // True if the steps change the parameters of the network directly, so that store() does nothing.
  virtual bool in_place() const = 0;
  virtual bool finite() const = 0;  // true if all parameters are finite
  virtual void load() = 0;          // must be called after other code has changed the network's parameters
  virtual void store() = 0;         // writes the parameters, or their average if there is one, to the network
  // The gradients of the last batch (L-BFGS: after its step), in the layout of the network's parameters. Only available
  // if Stop::gradient_norm_below is set.
  virtual void gradients(T* gradients) const = 0;
  // Why no further step is possible, or null.
  virtual const char* converged() const { return nullptr; }

  // Saves everything that the next step depends on, in the layout of the network's parameters. After restore(), the
  // next step is the one that would have followed save().
  virtual void save(FitState<T>& state) = 0;
  virtual void restore(const FitState<T>& state) = 0;
};

// options must outlive the stepper.
template <class T>
std::unique_ptr<Stepper<T>> make_stepper(const Model<T>& model, T* parameters, Index batch_rows,
                                         const FitOptions<T>& options);

}  // namespace chainrule
