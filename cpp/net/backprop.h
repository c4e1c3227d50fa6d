// Backpropagation in the phases of a team. The first phases go forward through all layers, compute the loss, and go
// back to the first dZ; an item consists of some rows, or of some outputs of a layer. Then one phase computes dW = dZᵀ
// A; an item consists of some outputs, over all rows. A single thread sums each element, so results are bit-identical
// for any number of threads.
#pragma once

#include <functional>
#include <span>

#include "net/gradients.h"
#include "net/pass.h"

namespace chainrule {

// Computes the cost and the gradients of batches of one network. The constructor allocates all memory; run() allocates
// none.
template <class T>
class Backprop {
 public:
  // What the caller does with the gradients of some weights of layer l. block_ready is called when these gradients are
  // complete; it may change the weights and then packs them. If an update needs all gradients first, all_ready is
  // called once after the last block_ready, and then update_block is called for all weights. Otherwise both are empty.
  struct UpdateHooks {
    using OfBlock =
        std::function<void(std::size_t l, const WeightBlock& block, const GradientPlace<T>&, PackedWeights<T>&)>;
    OfBlock block_ready;
    std::function<void()> all_ready;
    OfBlock update_block;
  };

  // batch_rows: rows of the largest batch. gradients: false if only costs are needed. inputs: true if dx is needed too.
  Backprop(const Model<T>& model, Index batch_rows, bool gradients, int threads, bool inputs = false);
  // For training, with its packed weights and an array of gradient_size gradients. gradient_size may be 0 if
  // updates_items() is true; then the gradients of an item exist only while block_ready runs.
  Backprop(const Model<T>& model, Index batch_rows, int threads, PackedWeights<T> weights, Index gradient_size)
      : Backprop(model, batch_rows, threads, std::move(weights), true, gradient_size) {}

  // True if every item completes its gradients in a small buffer, so that the update can follow at once. This needs a
  // batch that is a single slab, whose activations may take as much memory as an array of all gradients would. It is
  // false for sparse inputs, whose partial sums are stored in an array of all gradients.
  static bool updates_items(const Model<T>& model, Index batch_rows);

  // Makes run() also write the logits to `logits`, one row per example. Not available with gradients.
  void store_logits(MatrixView<T> logits) { logits_ = logits; }

  // Makes run() compute a part of a batch, and write to `losses` the sums of the rows' losses, one per chain. Only for
  // gradients, without a custom loss.
  void compute_part(const BatchPart& part, std::vector<double>& losses);

  void repack();  // must be called after weights were changed outside of run()

  // Returns the cost of m examples: rows[0..m), or the first m if rows is null. If gradients.data is null, computes
  // only the cost. Gradients in panels do not include the penalty. dx and hooks may be null. upcoming: rows of the next
  // batch, which are prefetched. After an exception, run() must not be called again, because partial sums may be
  // incomplete.
  BatchCost run(const Examples<T>& examples, const Index* rows, Index m, double l2, GradientPlaces<T> gradients = {},
                const MatrixView<T>* dx = nullptr, const UpdateHooks* hooks = nullptr,
                std::span<const Index> upcoming = {});

 private:
  Backprop(const Model<T>& model, Index batch_rows, int threads, PackedWeights<T> weights, bool gradients,
           Index gradient_size);
  // Rows [first, first + count) of the batch: views of the caller's memory if possible, otherwise copies.
  struct SlabExamples {
    PassInputs<T> x;
    Targets<T> targets;
    const T* weights;
  };
  SlabExamples slab(const Examples<T>& examples, const Index* rows, Index first, Index count) const;
  RowFetch<T> fetch_for(const Examples<T>& examples, std::span<const Index> upcoming, Index m, Team team) const;
  void gather(const Examples<T>& examples, const Index* rows, Index first, Share part) const;
  void call_custom_loss(const Index* rows, Index m);
  Index first_row() const { return part_ != nullptr ? part_->first : 0; }

  IsaInUse isa_in_use_;
  Model<T> model_;
  int threads_;
  bool by_items_;  // see updates_items()
  Index slab_rows_;
  PackedWeights<T> packed_;
  std::vector<Scratch<T>> scratch_;
  SumTree<T> tree_;
  std::vector<Buffer<T>> buffers_;  // memory of the matrices below
  MatrixView<T> x_, y_;
  MatrixView<T> logits_{};                 // or null
  const BatchPart* part_ = nullptr;        // null: run() computes whole batches
  std::vector<double>* losses_ = nullptr;  // of the part
  Tape<T> a_, dz_, saved_;                 // saved_: the slopes, or a if they are computed from it
  Buffer<T> value_, weight_;
  Buffer<std::int32_t> label_;
  // For a custom loss:
  std::vector<Index> every_row_;
  MatrixView<T> dlogits_;
  double custom_cost_ = 0;
};

}  // namespace chainrule
