// The weights in the layout that the products read: copies in panels, which are updated during training.
#pragma once

#include "core/gemm.h"
#include "core/gemm_bf16.h"
#include "core/parallel.h"
#include "net/model.h"
#include "net/panels.h"

namespace chainrule {

// Wᵀ for the forward product and W for the backward product.
template <class T>
class PackedWeights {
 public:
  // For few rows: makes no copies, because products of few rows are fastest if they read the weights in place. For
  // binned inputs, it stores the running sums.
  explicit PackedWeights(const Model<T>& model);
  // Makes copies. Wᵀ is copied only if it is so large that reading it in place would touch too many pages. backward:
  // copy W of every layer except the first. inputs: copy W of the first layer too, for the gradient with respect to the
  // inputs.
  PackedWeights(const Model<T>& model, bool backward, bool inputs = false);
  // Uses views of Wᵀ in the panels of the training parameters, and makes copies of W.
  PackedWeights(const Model<T>& model, const Panels<T>& panels, T* parameters);
  PackedWeights(PackedWeights&&) noexcept = default;  // not copyable: the views of a copy would point into the source
  PackedWeights& operator=(PackedWeights&&) noexcept = default;

  bool bf16() const { return !forward_bf16_.empty(); }
  void pack(const Model<T>& model, Team team);
  void pack_block(const Layer<T>& layer, std::size_t l, const WeightBlock& block);
  // The packed weights of layer l; data is null if the product reads the weights in place.
  PanelView<const T> forward(std::size_t l) const { return l < forward_.size() ? forward_[l] : PanelView<T>{}; }
  PanelView<const T> backward(std::size_t l) const { return l < backward_.size() ? backward_[l] : PanelView<T>{}; }
  // The weights by which the entries of sparse inputs are multiplied, n_in x n_out: Wᵀ, or E (binned.h) if the inputs
  // are binned.
  const T* entry_weights(const Model<T>& model) const {
    return binned_inputs_.empty() ? model.layers.front().w : sums_.data();
  }
  const PackedBf16<T>& forward_bf16(std::size_t l) const { return forward_bf16_[l]; }
  const PackedBf16<T>& backward_bf16(std::size_t l) const { return backward_bf16_[l]; }

 private:
  PanelView<T> copy(Index k, Index n);

  std::vector<Buffer<T>> memory_;  // the copies
  std::vector<PanelView<T>> forward_, backward_;
  bool in_panels_ = false;
  std::span<const BinnedColumn> binned_inputs_;  // their layout
  Buffer<T> sums_;                               // E
  std::vector<PackedBf16<T>> forward_bf16_, backward_bf16_;
};

// The packed weights for batches of batch_rows rows. For few rows nothing is copied, because packing would not pay off.
template <class T>
PackedWeights<T> copies_of_weights(const Model<T>& model, Index batch_rows, bool backward, bool inputs = false) {
  if (batch_rows <= kernels<T>().few_rows && model.precision != Precision::bf16) return PackedWeights<T>(model);
  return PackedWeights<T>(model, backward, inputs);
}

}  // namespace chainrule
