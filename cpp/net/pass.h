// The passes of some rows through the layers, forward and back, as one thread of a team computes its part: the
// arithmetic of backpropagation, without the order of the phases (backprop, functional, predict).
#pragma once

#include "core/parallel.h"
#include "net/packed_weights.h"
#include "net/scratch.h"
#include "net/work_items.h"

namespace chainrule {

// z[l] = a[l-1] Wᵀ + b for all layers, a[l] = g(z[l]) for hidden layers. z[l] and a[l] may be the same memory, except
// in a layer with dropout: there a[l] = g(z[l]) times the units' factors, and z[l] becomes g'(z[l]) times the factors,
// which backward_rows multiplies with.
template <class T>
void forward_rows(const Model<T>& model, const PackedWeights<T>& packed, const PassInputs<T>& x, const Tape<T>& z,
                  const Tape<T>& a, Share rows, Scratch<T>& scratch, std::size_t first_layer = 0);

// The same by a team that shares columns (by_columns()), for the first `layers` layers, one phase each: an item is some
// outputs of the layer for all rows or, in a narrow layer, some rows.
template <class T>
void forward_columns(const Model<T>& model, const PackedWeights<T>& packed, const PassInputs<T>& x, const Tape<T>& z,
                     const Tape<T>& a, std::size_t layers, Team team, Scratch<T>& scratch);

// From dz of the last layer to dz of all others, and to dx unless it is null. saved: for each hidden layer z or a,
// whichever its slope is computed from.
template <class T>
void backward_rows(const Model<T>& model, const PackedWeights<T>& packed, const Tape<T>& saved, const Tape<T>& dz,
                   const MatrixView<T>* dx, Share rows, Scratch<T>& scratch, std::size_t last_layer = 0);

// The same by a team, for the first m rows and the first `layers` layers: an item is some inputs of a layer, or some
// rows of a narrow one.
template <class T>
void backward_columns(const Model<T>& model, const PackedWeights<T>& packed, const Tape<T>& saved, const Tape<T>& dz,
                      const MatrixView<T>* dx, Index m, std::size_t layers, Team team, Scratch<T>& scratch);

// value[i] = weight_i L_i and dz = scale weight_i dL_i/dz from the logits z. dz may be z; without dz.data it is
// skipped.
template <class T>
void loss_rows(const Model<T>& model, MatrixView<const T> z, const Targets<T>& targets, const T* weights, double scale,
               T* value, MatrixView<T> dz, Share rows, Scratch<T>& scratch);

}  // namespace chainrule
