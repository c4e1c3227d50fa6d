// Backpropagation. Two phases a batch, with a barrier between: first forward through all layers, to the loss and back
// to the first dZ, where threads share the rows or each layer's outputs; then every thread takes its outputs of every
// dW = dZᵀ A over all rows. No element is summed by two threads, so no bit depends on their number.
#pragma once

#include <exception>
#include <functional>
#include <span>

#include "core/team_size.h"
#include "net/pass.h"

namespace chainrule {

// Cost and gradients of batches of one network, with all memory allocated at construction and none in run().
template <class T>
class Backprop {
 public:
  // Runs in every member of the team once the gradients of its own outputs are there (owned_outputs); may change those
  // weights, and packs what it changed.
  using After = std::function<void(Team, PackedWeights<T>&)>;

  // batch_rows: of the largest batch; gradients: whether they will be asked for, or costs only; inputs: dx too.
  Backprop(const Model<T>& model, Index batch_rows, bool gradients, int threads, bool inputs = false);
  // For training, with the weights that it keeps and gradients of so many elements.
  Backprop(const Model<T>& model, Index batch_rows, int threads, PackedWeights<T> weights, Index gradient_size);

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
  void call_custom_loss(const Index* rows, Index m, Team team);

  IsaInUse isa_in_use_;
  Model<T> model_;
  TeamSize team_;
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
  std::exception_ptr failure_;  // what it threw, or poll()
};

}  // namespace chainrule
