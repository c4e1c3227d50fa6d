// How a team shares a pass: the rows, or the outputs of a layer, of each item. The choice does not change any result.
#pragma once

#include <limits>

#include "core/blocking.h"
#include "core/parallel.h"
#include "net/model.h"
#include "net/panels.h"

namespace chainrule {

// The outputs of layer l that a team member owns, in whole panels. The member computes the gradients of these outputs
// and updates and packs their weights before it helps others, so the weights stay in its cache. If a layer has fewer
// panels than the team has members, the panels go to the next members in turn, one each.
template <class T>
Share owned_outputs(const Model<T>& model, std::size_t l, Team team);

// The largest number of outputs, and of inputs, of an item that updates its weights from a buffer. Every further
// division packs an operand of dW again, which costs as much as 10 of its columns: with 512, whose buffer of 1 MB fits
// in the second level, 784-1024-1024-10 with batches of 512 takes 2.6 % longer on one thread, and 1024-4096-4096-1024
// with batches of 1,024 is not faster.
inline constexpr Index max_item_side = 1024;

// Divides the outputs of one layer, or of all layers in one phase, into items for a team. Items are parts of the
// outputs that a member owns; larger layers have more of them. rows: the number of rows that pass through the layer,
// which determines the work of an item. max_side: the largest number of outputs, and of inputs, of an item of all
// layers.
template <class T>
class OutputItems {
 public:
  static constexpr Index unlimited = std::numeric_limits<Index>::max();
  OutputItems(const Model<T>& model, Index rows, Team team, Index max_side = unlimited);

  Index count_in_layer(std::size_t l) const { return groups(l) * team_.size; }
  Index count() const { return per_member_ * team_.size; }
  // Calls visit(outputs) for an item of layer l, or visit(l, block) for an item of all layers, unless the item is
  // empty.
  template <class Visit>
  void visit(std::size_t l, Index item, Visit visit) const {
    const Share outputs = outputs_of(l, item / groups(l), item % groups(l));
    if (outputs.begin < outputs.end) visit(outputs);
  }
  template <class Visit>
  void visit(Index item, Visit visit) const {
    const Index member = item / per_member_;
    Index group = item % per_member_;
    std::size_t l = 0;
    for (; group >= groups(l) * input_groups(l); ++l) group -= groups(l) * input_groups(l);
    const Share outputs = outputs_of(l, member, group / input_groups(l));
    const Share inputs =
        part(model_.layers[l].n_in, input_groups(l), group % input_groups(l), kernels<T>().tile_columns);
    if (outputs.begin < outputs.end) visit(l, WeightBlock{outputs, inputs});
  }

 private:
  Index groups(std::size_t l) const;
  Index input_groups(std::size_t l) const { return (model_.layers[l].n_in - 1) / max_side_ + 1; }
  Share outputs_of(std::size_t l, Index member, Index group) const;

  const Model<T>& model_;
  Index rows_, max_side_, per_member_ = 0;
  Team team_;
};

// The number of rows that pass through all layers together, in one thread's cache. Each group of rows reads all weights
// again, so more weights need more rows, especially if they do not fit in the third level (1024-4096-4096-1024 on two
// threads: with 224 rows, a step takes 0.95 to 0.98 times as long as with 112). It is at most the number of rows of a
// block of the widest layer's product.
template <class T>
Index rows_at_a_time(const Model<T>& model) {
  const Index weights = model.parameter_count() * static_cast<Index>(sizeof(T)), own_cache = bytes_of_core(caches().l2);
  const Index max_rows = weights <= own_cache ? 56 : weights <= std::max(own_cache, caches().l3.bytes) ? 112 : 224;
  return block_of_a<T>(max_rows, model.widest()).rows;
}

// The number of items into which m rows are divided: for one thread, rows_at_a_time() rows each; for a team, more and
// smaller items.
template <class T>
Index row_items(const Model<T>& model, Index m, Team team) {
  const Index max_rows = rows_at_a_time(model), of_member = (m + team.size - 1) / team.size;
  return std::max((of_member + max_rows - 1) / max_rows * team.size, items_for(m, team.size, 32));
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
// pays off only if they are small.
template <class T>
bool by_columns(const Model<T>& model, Index m, Team team) {
  const Index largest = bytes_of_core(caches().l2) / 2;  // bytes of a layer's activations
  return team.size > 1 && m * model.widest() * static_cast<Index>(sizeof(T)) <= largest &&
         model.precision != Precision::bf16;
}

}  // namespace chainrule
