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

// default_loss_parameters returns the default parameters of a loss. checked_loss_parameters returns the given
// parameters after a check, or the defaults if none are given.
std::vector<double> default_loss_parameters(Loss loss);
std::vector<double> checked_loss_parameters(Loss loss, std::vector<double> parameters, Index outputs);

// These throw std::invalid_argument, naming the argument, if a shape or a value does not fit the network.
void check_inputs(Index columns, Index expected);
template <class T>
void check_inputs(const Inputs<T>& x, Index expected);
template <class T>
void check_targets(Loss loss, const Targets<T>& targets, Index rows, Index outputs);
void check_l2(double l2);
// zeros: true if all weights may be 0.
template <class T>
void check_weights(const T* weights, Index rows, bool zeros = false);
template <class T>
void check_examples(const Model<T>& model, const Examples<T>& examples);

}  // namespace chainrule
