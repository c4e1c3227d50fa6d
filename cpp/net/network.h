// Functions of a Network that the rest of the core needs but users do not.
#pragma once

#include <atomic>

#include "chainrule/network.h"
#include "net/model.h"

namespace chainrule {

// The layers of a network of these sizes whose parameters are at `parameters`, in the flat layout.
template <class T>
Model<T> make_model(const std::vector<Index>& sizes, const std::vector<Activation>& activations, Loss loss,
                    const std::vector<double>& loss_parameters, const T* parameters);

// While an object of this class exists, constructing another one for the same network throws std::runtime_error, so
// only one fit at a time trains a network.
template <class T>
class OneFit {
 public:
  explicit OneFit(Network<T>& network);
  ~OneFit() { *trained_by_ = 0; }
  OneFit(const OneFit&) = delete;
  OneFit& operator=(const OneFit&) = delete;

 private:
  std::atomic<unsigned>* trained_by_;
};

// A model of the network's own parameters.
template <class T>
const Model<T>& model_of(const Network<T>& network);

// The same for the kind of inputs (dense or sparse) that x has.
template <class T>
Model<T> model_for(const Network<T>& network, const Inputs<T>& x);

}  // namespace chainrule
