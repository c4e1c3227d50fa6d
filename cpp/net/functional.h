// The steps of backpropagation one at a time, with every intermediate result in the caller's memory, for Python's array
// functions. They use the same arithmetic as Backprop, so they give the same bits.
#pragma once

#include "net/model.h"

namespace chainrule {

// Computes z[l] and a[l] for all layers; the last a is the prediction. Each is (m x n_l) with unit column stride, and
// they do not overlap.
template <class T>
void forward(const Model<T>& model, MatrixView<const T> x, const Tape<T>& z, const Tape<T>& a, int threads);

// The loss of each row of the logits, without weights. Logits and target values have unit column stride.
template <class T>
void losses(const Model<T>& model, MatrixView<const T> logits, const Targets<T>& targets, T* value);

// The cost of the logits. Logits and target values have unit column stride.
template <class T>
double cost(const Model<T>& model, MatrixView<const T> logits, const Targets<T>& targets, const T* weights, double l2);

// Computes the gradients of all parameters, in the flat layout, and dz of every layer, from the results of forward(). x
// may have any strides; z and a have unit column stride. The last a is not read.
template <class T>
void backward(const Model<T>& model, MatrixView<const T> x, const Tape<T>& z, const Tape<T>& a,
              const Targets<T>& targets, const T* weights, double l2, T* gradients, const Tape<T>& dz, int threads);

}  // namespace chainrule
