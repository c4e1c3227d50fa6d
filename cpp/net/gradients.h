// Computes the gradients of some weights from the dZ of all rows.
#pragma once

#include "core/gemm.h"
#include "net/scratch.h"
#include "net/sums.h"
#include "net/work_items.h"

namespace chainrule {

// Where the gradients of a block of weights are written: dWᵀ, and db of its outputs. Both are inside `array`; the sum
// tree has more arrays with the same layout.
template <class T>
struct GradientPlace {
  T* array;
  Place<T> dw;
  T* db;
};

// Where all gradients are written. If data is not null, it is an array of all of them, in the layout of
// Network::parameters() or in panels. Otherwise Scratch::gradients holds one block at a time, dense in rows or panels,
// followed by its biases.
template <class T>
struct GradientPlaces {
  T* data = nullptr;
  const Panels<T>* panels = nullptr;

  GradientPlace<T> of(const Layer<T>& layer, std::size_t l, const WeightBlock& block, const Scratch<T>& scratch) const;
};

// Rows of a batch whose activations are in memory at the same time. A slab has whole leaves of the sums over rows,
// except at the end of the batch.
struct Slab {
  Index first, batch_rows;
};

// Computes dW = dzᵀ a and db = Σ dz of a block of layer l over the rows of a slab. The leaves are added in the tree;
// after the last slab, `gradients` holds the complete sum. fetch: rows of the next batch to prefetch, or null.
template <class T>
void gradients_of_block(const Model<T>& model, std::size_t l, const WeightBlock& block, const PassInputs<T>& inputs,
                        MatrixView<const T> dz, Slab slab, const SumTree<T>& tree, const GradientPlace<T>& gradients,
                        Scratch<T>& scratch, RowFetch<T>* fetch);

// The same for one item of a phase over all layers. x: the rows of the slab. tree: used if there is an array of all
// gradients. Calls done(l, block, place) when the item is complete.
template <class T, class Done>
void gradients_of_item(const Model<T>& model, const OutputItems<T>& items, Index item, const PassInputs<T>& x,
                       const Tape<T>& a, const Tape<T>& dz, Slab slab, const SumTree<T>& tree,
                       GradientPlaces<T> gradients, Scratch<T>& scratch, RowFetch<T>* fetch, Done done) {
  items.visit(item, [&](std::size_t l, const WeightBlock& block) {
    // The tapes (a, dz) may have more rows than the slab.
    const PassInputs<T> inputs = l == 0 ? x : PassInputs<T>(a[l - 1].rows_between(0, x.rows));
    const GradientPlace<T> place = gradients.of(model.layers[l], l, block, scratch);
    gradients_of_block<T>(model, l, block, inputs, dz[l], slab, gradients.data != nullptr ? tree : scratch.tree, place,
                          scratch, fetch);
    done(l, block, place);
  });
}

// dW = dW + l2 W for a block whose dW is stored in rows.
template <class T>
void add_penalty(const Layer<T>& layer, const WeightBlock& block, double l2, const Place<T>& dw);

// l2 / 2 Σ_l ‖W[l]‖²
template <class T>
double penalty(const Model<T>& model, double l2);

}  // namespace chainrule
