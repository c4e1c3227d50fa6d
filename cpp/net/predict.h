// The forward pass alone.
#pragma once

#include "net/model.h"

namespace chainrule {

// Computes the logits (m x n_L), or the predictions after the output activation. out has unit column stride.
template <class T>
void predict(const Model<T>& model, const Inputs<T>& x, MatrixView<T> out, bool output_activation, int threads);

}  // namespace chainrule
