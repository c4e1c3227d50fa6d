// The passes over the rows of a batch and over the columns of the gradients, as each thread of a team makes its part of
// them: the arithmetic of backpropagation, without the order of the phases (backprop, functional, predict).
#pragma once

#include <limits>

#include "core/blocking.h"
#include "core/gemm.h"
#include "core/gemm_bf16.h"
#include "core/parallel.h"
#include "net/model.h"
#include "net/panels.h"
#include "net/sum_tree.h"

namespace chainrule {

// The weights as the products read them: Wᵀ for the forward product, W for the backward one.
template <class T>
class PackedWeights {
 public:
  PackedWeights() = default;  // holds none: products of few rows read all weights where they lie
  // Copies. Of Wᵀ only where it is so large that its lines lie in too many pages to be read in place. backward: of all
  // layers but the first, which is needed for the gradient by the inputs alone.
  PackedWeights(const Model<T>& model, bool backward, bool inputs = false);
  // Wᵀ in the panels that training keeps it in, and copies of W.
  PackedWeights(const Model<T>& model, const Panels<T>& panels, T* parameters);
  PackedWeights(PackedWeights&&) noexcept = default;  // the views would stay with the memory of the other
  PackedWeights& operator=(PackedWeights&&) noexcept = default;

  bool bf16() const { return !forward_bf16_.empty(); }
  void pack(const Model<T>& model, Team team);
  void pack_block(const Layer<T>& layer, std::size_t l, const WeightBlock& block);
  // Of layer l; data is null where the weights are to be read as they lie.
  PanelView<const T> forward(std::size_t l) const { return l < forward_.size() ? forward_[l] : PanelView<T>{}; }
  PanelView<const T> backward(std::size_t l) const { return l < backward_.size() ? backward_[l] : PanelView<T>{}; }
  const PackedBf16<T>& forward_bf16(std::size_t l) const { return forward_bf16_[l]; }
  const PackedBf16<T>& backward_bf16(std::size_t l) const { return backward_bf16_[l]; }

 private:
  PanelView<T> copy(Index k, Index n);

  std::vector<Buffer<T>> memory_;  // of the copies
  std::vector<PanelView<T>> forward_, backward_;
  bool in_panels_ = false;
  std::vector<PackedBf16<T>> forward_bf16_, backward_bf16_;
};

// As the batches of a model want them: none where these have few rows.
template <class T>
PackedWeights<T> copies_of_weights(const Model<T>& model, Index batch_rows, bool backward, bool inputs = false) {
  if (batch_rows <= kernels<T>().few_rows && model.precision != Precision::bf16) return {};
  return PackedWeights<T>(model, backward, inputs);
}

// The columns that occur in some rows of sparse inputs.
class Columns {
 public:
  Columns() = default;
  explicit Columns(Index inputs) : seen_(inputs), found_(inputs) {}

  template <class T>
  std::span<const std::int32_t> find(const SparseRows<T>& x, Index rows) const;  // valid until the next call

 private:
  Buffer<std::uint8_t> seen_;  // zeros
  Buffer<std::int32_t> found_;
};

// What one thread needs for itself, to take its part of `rows` rows through the model.
template <class T>
struct Scratch {
  Buffer<T> gemm, loss;
  Buffer<Bf16Pair> bf16;
  Columns columns;  // for gradients of sparse inputs and several leaves
  // Where there is no array of all gradients: those of an item until its update, and their sums.
  Buffer<T> gradients;
  SumTree<T> tree;

  Scratch() = default;
  Scratch(const Model<T>& model, Index rows) { prepare(model, rows); }
  void prepare(const Model<T>& model, Index rows);  // grows, if it must
};

// One for each member of a team.
template <class T>
std::vector<Scratch<T>> team_scratch(const Model<T>& model, Index rows, int threads) {
  std::vector<Scratch<T>> scratch;
  for (int rank = 0; rank < threads; ++rank) scratch.emplace_back(model, rows);
  return scratch;
}

// z[l] = a[l-1] Wᵀ + b for all layers, a[l] = g(z[l]) for the hidden ones; z[l] and a[l] may be the same memory.
// Not so for a layer whose units are dropped: a[l] is then g(z[l]) times their factors, and z[l] ends as g'(z[l]) times
// them, which is what backward_rows multiplies with.
template <class T>
void forward_rows(const Model<T>& model, const PackedWeights<T>& packed, const PassInputs<T>& x, const Tape<T>& z,
                  const Tape<T>& a, Share rows, Scratch<T>& scratch, std::size_t first_layer = 0);

// The same by a team, for by_columns(), up to a layer: an item is all rows and some outputs of a layer or, where there
// are too few of them, some rows. A phase for each layer.
template <class T>
void forward_columns(const Model<T>& model, const PackedWeights<T>& packed, const PassInputs<T>& x, const Tape<T>& z,
                     const Tape<T>& a, std::size_t layers, Team team, Scratch<T>& scratch);

// From dz of the last layer to dz of all others, and to dx if it is not null. saved: what the slopes of the hidden
// layers are written with.
template <class T>
void backward_rows(const Model<T>& model, const PackedWeights<T>& packed, const Tape<T>& saved, const Tape<T>& dz,
                   const MatrixView<T>* dx, Share rows, Scratch<T>& scratch, std::size_t last_layer = 0);

// The same by a team, for the first m rows and the layers before one: an item is some inputs of a layer, or some rows
// where forward_columns takes rows.
template <class T>
void backward_columns(const Model<T>& model, const PackedWeights<T>& packed, const Tape<T>& saved, const Tape<T>& dz,
                      const MatrixView<T>* dx, Index m, std::size_t layers, Team team, Scratch<T>& scratch);

// value[i] = weight_i L_i and dz = scale weight_i dL_i/dz from the logits z, in place if wanted; dz.data may be null.
template <class T>
void loss_rows(const Model<T>& model, MatrixView<const T> z, const Targets<T>& targets, const T* weights, double scale,
               T* value, MatrixView<T> dz, Share rows, Scratch<T>& scratch);

// The outputs of layer l that belong to a team member, whole panels: to make their gradients, update and packing is its
// first choice, so that these weights stay in its cache. A layer of fewer panels than members goes to the next ones in
// turn.
template <class T>
Share owned_outputs(const Model<T>& model, std::size_t l, Team team);

// The most outputs, and inputs, of an item whose gradients go to its update from a buffer. Each cut packs an operand of
// dW again, which costs as much as some 10 of its columns: with 512, whose 1 MB the second level holds, W6 takes 2.6 %
// longer in one thread, and W7 no shorter.
inline constexpr Index most_of_item = 1024;

// The items of what a team does for some outputs of a layer, or of all layers in one phase: parts of what each member
// owns, the more the larger the layer is. rows: that pass through it, which make an item worth its while; most:
// outputs, and inputs, of an item of all layers.
template <class T>
class OutputItems {
 public:
  static constexpr Index any = std::numeric_limits<Index>::max();
  OutputItems(const Model<T>& model, Index rows, Team team, Index most = any);

  Index of_layer(std::size_t l) const { return groups(l) * team_.size; }
  Index of_all() const { return of_member_ * team_.size; }
  // Calls visit(outputs) for an item of layer l, visit(l, block) for one of all layers, if it has any.
  template <class Visit>
  void visit(std::size_t l, Index item, Visit visit) const {
    const Share outputs = outputs_of(l, item / groups(l), item % groups(l));
    if (outputs.begin < outputs.end) visit(outputs);
  }
  template <class Visit>
  void visit(Index item, Visit visit) const {
    const Index member = item / of_member_;
    Index group = item % of_member_;
    std::size_t l = 0;
    for (; group >= groups(l) * input_groups(l); ++l) group -= groups(l) * input_groups(l);
    const Share outputs = outputs_of(l, member, group / input_groups(l));
    const Share inputs =
        part(model_.layers[l].n_in, input_groups(l), group % input_groups(l), kernels<T>().tile_columns);
    if (outputs.begin < outputs.end) visit(l, WeightBlock{outputs, inputs});
  }

 private:
  Index groups(std::size_t l) const;
  Index input_groups(std::size_t l) const { return (model_.layers[l].n_in - 1) / most_ + 1; }
  Share outputs_of(std::size_t l, Index member, Index group) const;

  const Model<T>& model_;
  Index rows_, most_, of_member_ = 0;
  Team team_;
};

// Rows that go through all layers at a time, in one thread's cache. Every group of rows reads all weights again, so
// large weights want more rows, and most those that come from beyond the third level (W7 on two threads: 224 rows take
// 0.95 to 0.98 of the time of 112); a group has no more rows than a block of the widest layer's product.
template <class T>
Index rows_at_a_time(const Model<T>& model) {
  const Index weights = model.parameter_count() * static_cast<Index>(sizeof(T)), near = bytes_of_core(caches().l2);
  const Index most = weights <= near ? 56 : weights <= std::max(near, caches().l3.bytes) ? 112 : 224;
  return block_of_a<T>(most, model.widest()).rows;
}

// The items of m rows that go through all layers: for one thread as many rows as serve its cache, for a team some more
// and smaller ones.
template <class T>
Index row_items(const Model<T>& model, Index m, Team team) {
  const Index most = rows_at_a_time(model), of_member = (m + team.size - 1) / team.size;
  return std::max((of_member + most - 1) / most * team.size, items_for(m, team.size, 32));
}

// Whether a layer has too few outputs for a team to share them.
template <class T>
bool is_narrow(const Layer<T>& layer, Team team) {
  return layer.n_out <= (team.size - 1) * kernels<T>().tile_columns;
}

// Items of the rows of a narrow layer, or of their loss.
inline Index narrow_items(Index m, Team team) { return items_for(m, team.size, 16); }

// How many layers a team takes by columns: a last one that is narrow joins the loss, by rows.
template <class T>
std::size_t layers_by_columns(const Model<T>& model, Team team) {
  return model.layers.size() - (is_narrow(model.layers.back(), team) ? 1 : 0);
}

// Whether a team shares the outputs of layers instead of the rows: its own weights a member has in its cache, all
// others would come from other caches in every step. The activations do, and take the place of the weights in the
// caches; so only where they are small.
template <class T>
bool by_columns(const Model<T>& model, Index m, Team team) {
  const Index largest = bytes_of_core(caches().l2) / 2;  // of the activations of a layer
  return team.size > 1 && m * model.widest() * static_cast<Index>(sizeof(T)) <= largest &&
         model.precision != Precision::bf16;
}

// Where the gradients of a block of weights go: dWᵀ, and db of its outputs. They lie in an array, of which the tree of
// leaves has others.
template <class T>
struct GradientPlace {
  T* array;
  Place<T> dw;
  T* db;
};

// Where gradients go: to an array of all, in the layout of Network::parameters() or in panels. Or, without data, a
// block at a time to a buffer of the member that makes it, where it lies dense, in rows or in panels, with its biases
// behind.
template <class T>
struct GradientPlaces {
  T* data = nullptr;
  const Panels<T>* panels = nullptr;

  GradientPlace<T> of(const Layer<T>& layer, std::size_t l, const WeightBlock& block, const Scratch<T>& scratch) const;
};

// Rows of a batch whose activations are there at a time: whole leaves of the sums over rows, or the batch's last ones.
struct Slab {
  Index first, batch_rows;
};

// dW = dzᵀ a and db = Σ dz of a block of layer l, from the rows of a slab: the leaves go to their places in the tree,
// and behind the last slab the sum of all is in `gradients`. fetch: rows of the next batch, to be asked for meanwhile.
template <class T>
void gradients_of_block(const Model<T>& model, std::size_t l, const WeightBlock& block, const PassInputs<T>& inputs,
                        MatrixView<const T> dz, Slab slab, const SumTree<T>& tree, const GradientPlace<T>& gradients,
                        Scratch<T>& scratch, RowFetch<T>* fetch);

// The same for all layers, as the items of a phase; x: the rows of the slab; tree: of an array of all gradients.
// made(l, block, place) ends each item.
template <class T, class Made>
void gradients_of_item(const Model<T>& model, const OutputItems<T>& items, Index item, const PassInputs<T>& x,
                       const Tape<T>& a, const Tape<T>& dz, Slab slab, const SumTree<T>& tree,
                       GradientPlaces<T> gradients, Scratch<T>& scratch, RowFetch<T>* fetch, Made made) {
  items.visit(item, [&](std::size_t l, const WeightBlock& block) {
    // The tapes may have room for more rows.
    const PassInputs<T> inputs = l == 0 ? x : PassInputs<T>(a[l - 1].rows_between(0, x.rows));
    const GradientPlace<T> place = gradients.of(model.layers[l], l, block, scratch);
    gradients_of_block<T>(model, l, block, inputs, dz[l], slab, gradients.data != nullptr ? tree : scratch.tree, place,
                          scratch, fetch);
    made(l, block, place);
  });
}

// dW = dW + l2 W of a block, in rows.
template <class T>
void add_penalty(const Layer<T>& layer, const WeightBlock& block, double l2, const Place<T>& dw);

// l2 / 2 Σ_l ‖W[l]‖²
template <class T>
double penalty(const Model<T>& model, double l2);

// Whether the sliced schedule trains it: with moments and a slice's activations it fits the second-level cache.
template <class T>
bool is_small(const Model<T>& model) {
  return model.parameter_count() <= 16384;
}

// Rows of one chain in the sums over the m rows of a leaf: all of them, or a slice of a small network, short enough for
// several threads to share a batch and for its activations to stay in the first-level cache. Losses are summed by such
// chains too, but by those of m rows of a batch. A part of the arithmetic contract; a divisor of sum_rows.
template <class T>
Index chain_rows(const Model<T>& model, Index m) {
  if (!is_small(model)) return sum_rows;
  return m <= 256 ? whole_slice / 2 : whole_slice;
}

// For the gradients of batches of so many rows; size: of an array that they go to.
template <class T>
SumTree<T> sum_tree(const Model<T>& model, Index batch_rows, Index size) {
  return SumTree<T>(batch_rows, size, is_small(model), model.sparse_inputs);
}

// total + Σ_i value[i], a chain's rows at a time, so that the size of a slab changes no bit.
template <class T>
double add_values(double total, Index m, const T* value, Index chain) {
  for (Index i = 0; i < m; i += chain) total += kernels<T>().sum(std::min(chain, m - i), value + i);
  return total;
}

// Σw over m rows: those that rows[0..m) names, or, where it is null, the first m. Null weights are 1.
template <class T>
double weight_sum(const T* weights, const Index* rows, Index m) {
  if (weights == nullptr) return static_cast<double>(m);
  double sum = 0;
  for (Index i = 0; i < m; ++i) sum += static_cast<double>(weights[rows != nullptr ? rows[i] : i]);
  return sum;
}
// 1/Σw; rows of no weight move nothing.
inline double scale_for(double weight_sum) { return weight_sum > 0 ? 1 / weight_sum : 0; }

// Multiply-adds and additions in the matrix products of a row: forward, or forward and back.
template <class T>
double row_operations(const Model<T>& model, bool gradients) {
  return (gradients ? 6.0 : 2.0) * static_cast<double>(model.parameter_count());
}

// Rows of a workspace matrix lie a whole number of cache lines apart, but not a multiple of 1 KiB, which would map them
// all to a few sets of the cache. A single column stays dense.
template <class T>
Index padded(Index columns) {
  if (columns == 1) return 1;
  const Index line = 64 / static_cast<Index>(sizeof(T));
  const Index width = (columns + line - 1) / line * line;
  return width % (16 * line) == 0 ? width + line : width;
}

}  // namespace chainrule
