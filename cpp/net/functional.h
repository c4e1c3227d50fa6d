// The textbook's steps one at a time, with every intermediate result in the caller's memory: what the array functions
// of Python are made of. The same rows-and-columns arithmetic as Backprop, so the same bits.
#pragma once

#include "net/model.h"

namespace chainrule {

// z[l] and a[l] for all layers, the last a being the prediction; (m x n_l) each, unit column stride, not overlapping.
template <class T>
void forward(const Model<T>& model, MatrixView<const T> x, const Tape<T>& z, const Tape<T>& a, int threads);

// The loss of each row of given logits, without weights; logits and target values have unit column stride.
template <class T>
void losses(const Model<T>& model, MatrixView<const T> logits, const Targets<T>& targets, T* value);

// The cost of given logits. logits has unit column stride; so have target values.
template <class T>
double cost(const Model<T>& model, MatrixView<const T> logits, const Targets<T>& targets, const T* weights, double l2);

// The gradients of all parameters, in the flat layout, and dz of every layer, from what forward() left; x of any
// strides, z and a, of which the last is not read, with unit column stride.
template <class T>
void backward(const Model<T>& model, MatrixView<const T> x, const Tape<T>& z, const Tape<T>& a,
              const Targets<T>& targets, const T* weights, double l2, T* gradients, const Tape<T>& dz, int threads);

}  // namespace chainrule
