// Backpropagation. Two phases a batch, with a barrier between: first every thread takes its rows forward through all
// layers, to the loss and back to the first dZ, block by block in its own cache; then every thread takes its columns of
// every dW = dZᵀ A over all rows. No element is summed by two threads, so no bit depends on their number.
#pragma once

#include <functional>

#include "core/gemm.h"
#include "core/parallel.h"
#include "net/model.h"

namespace chainrule {

// The weights as the products read them: Wᵀ for the forward product, W for the backward one.
template <class T>
class PackedWeights {
 public:
  PackedWeights() = default;  // holds none: products of few rows read the weights where they lie
  PackedWeights(const Model<T>& model, bool backward);

  bool empty() const { return forward_.empty(); }
  void pack(const Model<T>& model, Team team);  // followed by a barrier
  void pack_rows(const Layer<T>& layer, std::size_t l, Share rows);
  const PackedMatrix<T>& forward(std::size_t l) const { return forward_[l]; }
  const PackedMatrix<T>& backward(std::size_t l) const { return backward_[l]; }

 private:
  std::vector<PackedMatrix<T>> forward_, backward_;
};

// What one thread needs for itself.
template <class T>
struct Scratch {
  explicit Scratch(const Model<T>& model);
  Buffer<T> gemm, loss;
};

// Rows per pass through all layers: their activations stay in a core's second-level cache.
inline constexpr Index row_block = 128;

// z[l] = a[l-1] Wᵀ + b for all layers, a[l] = g(z[l]) for the hidden ones; z[l] and a[l] may be the same memory. x has any
// strides.
template <class T>
void forward_rows(const Model<T>& model, const PackedWeights<T>& packed, MatrixView<const T> x, const Tape<T>& z,
                  const Tape<T>& a, Share rows, Scratch<T>& scratch);

// From dz of the last layer to dz of all others, and to dx if it is not null.
template <class T>
void backward_rows(const Model<T>& model, const PackedWeights<T>& packed, const Tape<T>& a, const Tape<T>& dz,
                   const MatrixView<T>* dx, Share rows, Scratch<T>& scratch);

// value[i] = weight_i L_i and dz = scale weight_i dL_i/dz from the logits z, in place if wanted; dz.data may be null.
template <class T>
void loss_rows(Loss loss, MatrixView<const T> z, const Targets<T>& targets, const T* weights, double scale, T* value,
               MatrixView<T> dz, Share rows, Scratch<T>& scratch);

// A team member's part of all dW = dzᵀ a + l2 W and db = Σ dz, in the layout of Network::parameters(), from the rows of one
// slab; add: to what the slabs before left there. l2 belongs to the last slab. x has any strides.
template <class T>
void gradient_columns(const Model<T>& model, MatrixView<const T> x, const Tape<T>& a, const Tape<T>& dz, bool add, double l2,
                      T* gradients, Team team, Scratch<T>& scratch);

// l2 / 2 Σ_l ‖W[l]‖²
template <class T>
double penalty(const Model<T>& model, double l2);

// (m x n_L) logits, or predictions after the output activation. out has unit column stride.
template <class T>
void predict(const Model<T>& model, MatrixView<const T> x, MatrixView<T> out, bool output_activation, int threads);

// Cost and gradients of batches of one network, with all memory allocated at construction and none in run().
template <class T>
class Backprop {
 public:
  // Runs in every member of the team once all gradients are there; may change the weights, and packs what it changed.
  using After = std::function<void(Team, PackedWeights<T>&)>;

  // batch_rows: of the largest batch; gradients: whether they will be asked for, or costs only.
  Backprop(const Model<T>& model, Index batch_rows, bool gradients, int threads);

  void repack();  // after the weights changed outside of run()

  // The mean cost over m of the examples: those that rows[0..m) names, or, where rows is null, the first m. gradients may
  // be null for the cost alone, dx and after may be null.
  double run(const Examples<T>& examples, const Index* rows, Index m, double l2, T* gradients = nullptr,
             const MatrixView<T>* dx = nullptr, const After* after = nullptr);

 private:
  // Rows [first, first + count) of the batch: where they lie if that serves, else gathered into our own matrices.
  struct Slab {
    MatrixView<const T> x;
    Targets<T> targets;
    const T* weights;
  };
  Slab slab(const Examples<T>& examples, const Index* rows, Index first, Index count) const;
  void gather(const Examples<T>& examples, const Index* rows, Index first, Share part) const;

  Model<T> model_;
  int threads_;
  Index slab_rows_;
  PackedWeights<T> packed_;
  std::vector<Scratch<T>> scratch_;
  std::vector<Buffer<T>> buffers_;  // of the matrices
  MatrixView<T> x_, y_;
  Tape<T> a_, dz_;
  Buffer<T> value_, weight_;
  Buffer<std::int32_t> label_;
};

}  // namespace chainrule
