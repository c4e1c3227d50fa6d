// How a team shares a pass: the rows, or the outputs of a layer, of each item. The choice does not change any result.
#pragma once

#include <limits>

#include "core/blocking.h"
#include "core/parallel.h"
#include "net/model.h"
#include "net/panels.h"

namespace chainrule {

// The outputs of layer l that a team member owns, in whole panels. It computes their gradients, updates and packs them
// before it helps others, so these weights stay in its cache. If a layer has fewer panels than the team has members,
// the panels go to the members that are next in turn, one each.
template <class T>
Share owned_outputs(const Model<T>& model, std::size_t l, Team team);

// The largest number of outputs, and of inputs, of an item that updates its weights from a buffer. Every further
// division packs an operand of dW again, which costs as much as 10 of its columns: with 512, for which the buffer of 1
// MB fits the second level, workload W6 takes 2.6 % longer on one thread, and W7 is not faster.
inline constexpr Index most_of_item = 1024;

// Divides the outputs of one layer, or of all layers in one phase, into items for a team. Items are parts of the
// outputs that a member owns; larger layers have more of them. rows: the number of rows that pass through the layer,
// which determines the work of an item. most: the largest number of outputs, and of inputs, of an item of all layers.
template <class T>
class OutputItems {
 public:
  static constexpr Index any = std::numeric_limits<Index>::max();
  OutputItems(const Model<T>& model, Index rows, Team team, Index most = any);

  Index of_layer(std::size_t l) const { return groups(l) * team_.size; }
  Index of_all() const { return of_member_ * team_.size; }
  // Calls visit(outputs) for an item of layer l, or visit(l, block) for an item of all layers, unless the item is
  // empty.
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

// The number of rows that pass through all layers together, in one thread's cache. Each group of rows reads all weights
// again, so larger weights need more rows, especially weights that do not fit the third level (W7 on two threads: 224
// rows take 0.95 to 0.98 of the time of 112). It is at most the number of rows of a block of the widest layer's
// product.
template <class T>
Index rows_at_a_time(const Model<T>& model) {
  const Index weights = model.parameter_count() * static_cast<Index>(sizeof(T)), near = bytes_of_core(caches().l2);
  const Index most = weights <= near ? 56 : weights <= std::max(near, caches().l3.bytes) ? 112 : 224;
  return block_of_a<T>(most, model.widest()).rows;
}

// The number of items into which m rows are divided: for one thread, rows_at_a_time() rows each; for a team, more and
// smaller items.
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

// The number of items into which the rows of a narrow layer, or of the loss, are divided.
inline Index narrow_items(Index m, Team team) { return items_for(m, team.size, 16); }

// The number of layers that a team shares by columns. A narrow last layer is computed by rows, with the loss.
template <class T>
std::size_t layers_by_columns(const Model<T>& model, Team team) {
  return model.layers.size() - (is_narrow(model.layers.back(), team) ? 1 : 0);
}

// True if the threads of a team share the outputs of each layer instead of the rows. Each thread then keeps its own
// weights in its cache, and only activations move between threads. Activations evict weights from the cache, so this
// pays only if they are small.
template <class T>
bool by_columns(const Model<T>& model, Index m, Team team) {
  const Index largest = bytes_of_core(caches().l2) / 2;  // bytes of a layer's activations
  return team.size > 1 && m * model.widest() * static_cast<Index>(sizeof(T)) <= largest &&
         model.precision != Precision::bf16;
}

}  // namespace chainrule
