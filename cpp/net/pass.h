// The forward and backward passes of some rows through the layers: the arithmetic of backpropagation for one thread of
// a team. The callers (backprop, functional, predict) determine the phases.
#pragma once

#include "core/parallel.h"
#include "net/packed_weights.h"
#include "net/scratch.h"
#include "net/work_items.h"

namespace chainrule {

// z[l] = a[l-1] Wᵀ + b for all layers, a[l] = g(z[l]) for hidden layers. z[l] and a[l] may be the same memory, unless
// Model::saves_slope(l) is true: then z[l] is replaced by g'(z[l]), by which backward_rows multiplies. With dropout,
// both a[l] and g'(z[l]) are multiplied by its factors.
template <class T>
void forward_rows(const Model<T>& model, const PackedWeights<T>& packed, const PassInputs<T>& x, const Tape<T>& z,
                  const Tape<T>& a, Share rows, Scratch<T>& scratch, std::size_t first_layer = 0);

// The same for a team that shares columns (by_columns()), for the first `layers` layers, in one phase per layer. An
// item consists of some outputs of the layer for all rows or, in a narrow layer, of some rows.
template <class T>
void forward_columns(const Model<T>& model, const PackedWeights<T>& packed, const PassInputs<T>& x, const Tape<T>& z,
                     const Tape<T>& a, std::size_t layers, Team team, Scratch<T>& scratch);

// Computes dz of all layers from dz of the last one, and dx unless it is null. saved: for each hidden layer, the
// slopes, or whichever of z and a its slope is computed from.
template <class T>
void backward_rows(const Model<T>& model, const PackedWeights<T>& packed, const Tape<T>& saved, const Tape<T>& dz,
                   const MatrixView<T>* dx, Share rows, Scratch<T>& scratch, std::size_t last_layer = 0);

// The same for a team, for the first m rows and the first `layers` layers. An item consists of some inputs of a layer
// or, in a narrow layer, of some rows.
template <class T>
void backward_columns(const Model<T>& model, const PackedWeights<T>& packed, const Tape<T>& saved, const Tape<T>& dz,
                      const MatrixView<T>* dx, Index m, std::size_t layers, Team team, Scratch<T>& scratch);

// Computes value[i] = weight_i L_i and dz = scale weight_i dL_i/dz from the logits z. dz may be z; it is not computed
// if dz.data is null.
template <class T>
void loss_rows(const Model<T>& model, MatrixView<const T> z, const Targets<T>& targets, const T* weights, double scale,
               T* value, MatrixView<T> dz, Share rows, Scratch<T>& scratch);

}  // namespace chainrule
