// How a team shares a pass: which rows or which outputs of a layer one item takes. The choice changes no bit.
#pragma once

#include <limits>

#include "core/blocking.h"
#include "core/parallel.h"
#include "net/model.h"
#include "net/panels.h"

namespace chainrule {

// The outputs of layer l that a team member owns, in whole panels. It computes their gradients, updates and packs them
// before it helps others, so these weights stay in its cache. A layer of fewer panels than members gives one to each of
// the next members in turn.
template <class T>
Share owned_outputs(const Model<T>& model, std::size_t l, Team team);

// The largest number of outputs, and of inputs, of an item that updates its weights from a buffer. Each division packs
// an operand of dW again, which costs as much as 10 of its columns: with 512, whose 1 MB fits the second level, W6
// takes 2.6 % longer on one thread and W7 no less time.
inline constexpr Index most_of_item = 1024;

// Divides the outputs of one layer, or of all layers in one phase, into items for a team: parts of what each member
// owns, more of them for larger layers. rows: the rows that pass through the layer, from which the work of an item
// follows. most: the largest number of outputs, and of inputs, of an item of all layers.
template <class T>
class OutputItems {
 public:
  static constexpr Index any = std::numeric_limits<Index>::max();
  OutputItems(const Model<T>& model, Index rows, Team team, Index most = any);

  Index of_layer(std::size_t l) const { return groups(l) * team_.size; }
  Index of_all() const { return of_member_ * team_.size; }
  // Calls visit(outputs) for an item of layer l, or visit(l, block) for one of all layers, unless it is empty.
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

// How many rows pass through all layers at a time, in one thread's cache. Each group of rows reads all weights again,
// so larger weights call for more rows, most of all weights beyond the third level (W7 on two threads: 224 rows take
// 0.95 to 0.98 of the time of 112). Never more than a block of the widest layer's product.
template <class T>
Index rows_at_a_time(const Model<T>& model) {
  const Index weights = model.parameter_count() * static_cast<Index>(sizeof(T)), near = bytes_of_core(caches().l2);
  const Index most = weights <= near ? 56 : weights <= std::max(near, caches().l3.bytes) ? 112 : 224;
  return block_of_a<T>(most, model.widest()).rows;
}

// How many items m rows are divided into: rows_at_a_time() in each for one thread; for a team more and smaller items.
template <class T>
Index row_items(const Model<T>& model, Index m, Team team) {
  const Index most = rows_at_a_time(model), of_member = (m + team.size - 1) / team.size;
  return std::max((of_member + most - 1) / most * team.size, items_for(m, team.size, 32));
}

// True if a layer has too few outputs for a team to share.
template <class T>
bool is_narrow(const Layer<T>& layer, Team team) {
  return layer.n_out <= (team.size - 1) * kernels<T>().tile_columns;
}

// How many items the rows of a narrow layer, or of the loss, are divided into.
inline Index narrow_items(Index m, Team team) { return items_for(m, team.size, 16); }

// How many layers a team shares by columns: a narrow last layer is computed with the loss, by rows.
template <class T>
std::size_t layers_by_columns(const Model<T>& model, Team team) {
  return model.layers.size() - (is_narrow(model.layers.back(), team) ? 1 : 0);
}

// True if the threads of a team share the outputs of each layer, not the rows. Each thread then keeps its own weights
// in its cache; only activations move between threads. Activations evict weights, so this pays only if they are small.
template <class T>
bool by_columns(const Model<T>& model, Index m, Team team) {
  const Index largest = bytes_of_core(caches().l2) / 2;  // bytes of a layer's activations
  return team.size > 1 && m * model.widest() * static_cast<Index>(sizeof(T)) <= largest &&
         model.precision != Precision::bf16;
}

}  // namespace chainrule
