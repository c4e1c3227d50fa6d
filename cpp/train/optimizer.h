// An optimizer at work: its settings, its moments in the layout of the parameters, the average of these, and how far it
// is.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <vector>

#include "chainrule/training.h"
#include "core/buffer.h"
#include "kernels/kernels.h"
#include "train/step.h"

namespace chainrule {

template <class T>
class Optimizer {
 public:
  // layers: of the network, whose groups the options may name; parameters: in the layout used.
  Optimizer(const StepOptions& options, Index layers, Index parameters);

  void begin_step(const Rates& rates);  // once per step, by one thread, before any update
  // The next steps, one for each of the rates, for those who update by themselves: of SGD or of Adam, the other stays
  // empty.
  void next_steps(std::span<const Rates> rates, std::vector<SgdUpdate<T>>& sgd, std::vector<AdamUpdate<T>>& adam);
  Moments<T> moments() const { return moments_from(0); }
  // The parameters of a region that begins at `begin`, all of layer l and one kind, by the gradients of just these;
  // threads may update disjoint ones at once.
  void update(std::size_t l, Kind kind, Index begin, Region region, Clip<T> clip, const T* gradients,
              T* parameters) const;
  bool same_for_all() const { return groups_.empty(); }  // a region may hold both kinds
  T* average() const { return average_.data(); }         // of the parameters; null where none is wanted

  // All arrays and the parameters to and from a state, by flatten(array, flat) and unflatten(flat, array), which know
  // the layout.
  using Copy = std::function<void(const T* from, T* to)>;
  void save(FitState<T>& state, Index count, const Copy& flatten, const T* parameters) const;
  void restore(const FitState<T>& state, const Copy& unflatten, T* parameters);

 private:
  using Step = std::variant<SgdUpdate<T>, AdamUpdate<T>, RmsPropUpdate<T>, AdagradUpdate<T>>;
  void advance();
  T keep(double rate, double weight_decay, const Rates& factors) const;
  SgdUpdate<T> step(const Sgd& options, const Rates& factors) const;
  AdamUpdate<T> step(const Adam& options, const Rates& factors) const;
  RmsPropUpdate<T> step(const RmsProp& options, const Rates& factors) const;
  AdagradUpdate<T> step(const Adagrad& options, const Rates& factors) const;
  Moments<T> moments_from(Index begin) const;
  std::array<std::pair<const char*, const Buffer<T>*>, 4> arrays() const {
    return {{{"first_moment", &m_}, {"second_moment", &v_}, {"mean", &mean_}, {"average", &average_}}};
  }

  OptimizerOptions options_;
  std::vector<Rates> groups_;  // factors for each layer's weights and biases; none: 1
  double average_decay_;
  Buffer<T> m_, v_, mean_, average_;
  std::vector<Step> step_;  // the current one, for each group, or for all
  T average_rate_ = 1;
  Index steps_ = 0;                           // begun
  double beta1_power_ = 1, beta2_power_ = 1;  // beta^steps, by multiplication: std::pow differs between C libraries
};

}  // namespace chainrule
