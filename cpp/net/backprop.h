// Backpropagation, in the phases of a team: forward through all layers, to the loss and back to the first dZ, where an
// item is some rows or some of a layer's outputs; then, for some outputs, all rows of dW = dZᵀ A. No element is summed
// by two threads, so no bit depends on their number.
#pragma once

#include <functional>
#include <span>

#include "net/pass.h"

namespace chainrule {

// Cost and gradients of batches of one network, with all memory allocated at construction and none in run().
template <class T>
class Backprop {
 public:
  // What follows the gradients of some weights of layer l. `made` may change these, and packs what it changed. Where
  // nothing can be done before all gradients are there, `between` is called once, and then `behind` for the weights
  // again; else both are empty.
  struct After {
    using OfBlock =
        std::function<void(std::size_t l, const WeightBlock& block, const GradientPlace<T>&, PackedWeights<T>&)>;
    OfBlock made;
    std::function<void()> between;
    OfBlock behind;
  };

  // batch_rows: of the largest batch; gradients: whether they will be asked for, or costs only; inputs: dx too.
  Backprop(const Model<T>& model, Index batch_rows, bool gradients, int threads, bool inputs = false);
  // For training, with the weights that it keeps and an array of so many gradients, or, where follows() allows it,
  // none: then each item's are there for `made` alone.
  Backprop(const Model<T>& model, Index batch_rows, int threads, PackedWeights<T> weights, Index gradient_size)
      : Backprop(model, batch_rows, threads, std::move(weights), true, gradient_size) {}

  // Whether an item leaves its gradients whole, and in a small buffer. So the batch has to be one slab: its activations
  // may take as much memory as an array of all gradients would. And sparse inputs, which no item takes a part of, keep
  // the array, where their runs of leaves wait among zeros.
  static bool follows(const Model<T>& model, Index batch_rows);

  // Without gradients: run() also leaves the logits there, a row for each of the m examples.
  void keep_logits(MatrixView<T> logits) { logits_ = logits; }

  void repack();  // after the weights changed outside of run()

  // The cost over m of the examples: those that rows[0..m) names, or, where rows is null, the first m. Without
  // gradients.data, the cost alone; in panels, gradients lack that of the penalty. dx and after may be null. upcoming:
  // the rows of the next batch, which are fetched towards the caches on the way. No run() follows one that threw: it
  // may have left a part of a sum.
  BatchCost run(const Examples<T>& examples, const Index* rows, Index m, double l2, GradientPlaces<T> gradients = {},
                const MatrixView<T>* dx = nullptr, const After* after = nullptr, std::span<const Index> upcoming = {});

 private:
  Backprop(const Model<T>& model, Index batch_rows, int threads, PackedWeights<T> weights, bool gradients,
           Index gradient_size);
  // Rows [first, first + count) of the batch: where they lie if that serves, else gathered into our own matrices.
  struct SlabExamples {
    PassInputs<T> x;
    Targets<T> targets;
    const T* weights;
  };
  SlabExamples slab(const Examples<T>& examples, const Index* rows, Index first, Index count) const;
  RowFetch<T> fetch_for(const Examples<T>& examples, std::span<const Index> upcoming, Index m, Team team) const;
  void gather(const Examples<T>& examples, const Index* rows, Index first, Share part) const;
  void call_custom_loss(const Index* rows, Index m);

  IsaInUse isa_in_use_;
  Model<T> model_;
  int threads_;
  bool by_items_;  // gradients are there for an item's `made` alone: no array of all is
  Index slab_rows_;
  PackedWeights<T> packed_;
  std::vector<Scratch<T>> scratch_;
  SumTree<T> tree_;
  std::vector<Buffer<T>> buffers_;  // of the matrices
  MatrixView<T> x_, y_;
  MatrixView<T> logits_{};  // or null
  Tape<T> a_, dz_, saved_;  // saved: a, or z where the slope is written with it
  Buffer<T> value_, weight_;
  Buffer<std::int32_t> label_;
  // Of a custom loss:
  std::vector<Index> every_row_;
  MatrixView<T> dlogits_;
  double custom_cost_ = 0;
};

}  // namespace chainrule
