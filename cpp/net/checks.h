// Checks of the arguments of a network's functions.
#pragma once

#include <vector>

#include "chainrule/network.h"
#include "net/model.h"

namespace chainrule {

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
// rows: the number of rows of the part. hidden_layers: of the network.
void check_part(const BatchPart& part, Index rows, Index hidden_layers);

}  // namespace chainrule
