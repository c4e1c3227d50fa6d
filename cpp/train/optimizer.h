// The state of an optimizer: its settings, its progress, and, in the layout of the parameters, its moments and the
// average.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <vector>

#include "chainrule/training.h"
#include "core/buffer.h"
#include "kernels/kernels.h"
#include "train/rates.h"

namespace chainrule {

// True if the optimizer itself averages the parameters.
template <class T>
bool averages(const OptimizerOptions& options);
// True if the parameters of the trained network are an average.
template <class T>
bool ends_with_average(const FitOptions<T>& options);

template <class T>
class Optimizer {
 public:
  // layers: the number of layers of the network. parameters: the number of parameters in the layout that is used.
  Optimizer(const FitOptions<T>& options, Index layers, Index parameters);

  void begin_step(const Rates& rates);  // called once per step, by one thread, before any update
  // The coefficients of the next steps, one per entry of rates, for callers that apply the updates themselves.
  std::span<const Update<T>> next_steps(std::span<const Rates> rates);
  Moments<T> moments() const { return moments_from(0); }
  // Updates a region of parameters that begins at `begin` and belongs to layer l and one kind. gradients: those of the
  // region only. Threads may update disjoint regions concurrently.
  void update(std::size_t l, Kind kind, Index begin, Region region, Clip<T> clip, const T* gradients,
              T* parameters) const;
  bool same_for_all() const { return groups_.empty(); }  // if true, a region may contain weights and biases
  // The average of the parameters, or null if there is none or no step has begun.
  T* average() const { return progress_.steps > 0 ? (averages_ ? mean_ : average_).data() : nullptr; }

  // Copy all arrays and the parameters to and from a state. flatten(array, flat) and unflatten(flat, array) convert the
  // layout.
  using Copy = std::function<void(const T* from, T* to)>;
  void save(FitState<T>& state, Index count, const Copy& flatten, const T* parameters) const;
  void restore(const FitState<T>& state, const Copy& unflatten, T* parameters);

 private:
  Moments<T> moments_from(Index begin) const;
  std::array<std::pair<const char*, const Buffer<T>*>, 4> arrays() const {
    return {{{"first_moment", &m_}, {"second_moment", &v_}, {"mean", &mean_}, {"average", &average_}}};
  }

  OptimizerOptions options_;
  std::vector<Rates> groups_;  // factors of the weights and biases of each layer; if empty, all factors are 1
  double average_decay_;
  Buffer<T> m_, v_, mean_, average_;
  bool averages_ = false;           // true if mean_ is an average of the parameters
  std::vector<Update<T>> updates_;  // coefficients of the current step, per group or for all; or of the next steps
  T average_rate_ = 1;
  Progress progress_;
};

}  // namespace chainrule
