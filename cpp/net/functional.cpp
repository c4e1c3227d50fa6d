#include "net/functional.h"

#include <algorithm>

#include "net/gradients.h"
#include "net/pass.h"

namespace chainrule {
namespace {

// Calls visit(rows) for parts of m rows, as the items of a phase.
template <class T, class Visit>
void for_row_blocks(const Model<T>& model, Index m, Team team, Visit visit) {
  const Index blocks = row_items(model, m, team);
  team.each(blocks, [&](Index i) { visit(part(m, blocks, i)); });
}

}  // namespace

template <class T>
void forward(const Model<T>& model, MatrixView<const T> x, const Tape<T>& z, const Tape<T>& a, int threads) {
  const IsaInUse isa_in_use;
  const int team_size = threads_for(row_operations(model, false) * static_cast<double>(x.rows), threads);
  PackedWeights<T> packed(model, false);
  std::vector<Scratch<T>> scratch = team_scratch(model, x.rows, team_size);
  parallel_step(team_size, [&](Team team) {
    Scratch<T>& mine = scratch[static_cast<std::size_t>(team.rank)];
    packed.pack(model, team);
    for_row_blocks(model, x.rows, team, [&](Share rows) {
      forward_rows<T>(model, packed, x, z, a, rows, mine);
      kernels<T>().predict[static_cast<int>(model.loss)](
          rows.end - rows.begin, model.outputs(), z.back().row(rows.begin), z.back().row_stride,
          a.back().row(rows.begin), a.back().row_stride, mine.loss.data());
    });
  });
}

template <class T>
void losses(const Model<T>& model, MatrixView<const T> logits, const Targets<T>& targets, T* value) {
  const IsaInUse isa_in_use;
  Scratch<T> scratch(model, 0);
  loss_rows<T>(model, logits, targets, nullptr, 0, value, {}, {0, logits.rows}, scratch);
}

template <class T>
double cost(const Model<T>& model, MatrixView<const T> logits, const Targets<T>& targets, const T* weights, double l2) {
  const IsaInUse isa_in_use;
  Scratch<T> scratch(model, 0);
  Buffer<T> value(logits.rows);
  loss_rows<T>(model, logits, targets, weights, 0, value.data(), {}, {0, logits.rows}, scratch);
  return add_values(0, logits.rows, value.data(), chain_rows(model, logits.rows)) *
             scale_for(weight_sum<T>(targets, weights, nullptr, logits.rows)) +
         penalty(model, l2);
}

template <class T>
void backward(const Model<T>& model, MatrixView<const T> x, const Tape<T>& z, const Tape<T>& a,
              const Targets<T>& targets, const T* weights, double l2, T* gradients, const Tape<T>& dz, int threads) {
  const IsaInUse isa_in_use;
  const int team_size = threads_for(row_operations(model, true) * static_cast<double>(x.rows), threads);
  const double scale = scale_for(weight_sum<T>(targets, weights, nullptr, x.rows));
  PackedWeights<T> packed(model, true);
  std::vector<Scratch<T>> scratch = team_scratch(model, x.rows, team_size);
  Buffer<T> value(x.rows);
  const SumTree<T> tree = sum_tree(model, x.rows, model.parameter_count());
  Tape<T> saved(a);
  for (std::size_t l = 0; l + 1 < model.layers.size(); ++l)
    if (slope_reads_z(model.layers[l].activation)) saved[l] = z[l];
  parallel_step(team_size, [&](Team team) {
    Scratch<T>& mine = scratch[static_cast<std::size_t>(team.rank)];
    packed.pack(model, team);
    for_row_blocks(model, x.rows, team, [&](Share rows) {
      loss_rows<T>(model, z.back(), targets, weights, scale, value.data(), dz.back(), rows, mine);
      backward_rows<T>(model, packed, saved, dz, nullptr, rows, mine);
    });
    const OutputItems<T> items(model, x.rows, team);
    team.each(items.count(), [&](Index item) {
      gradients_of_item<T>(model, items, item, x, a, dz, {0, x.rows}, tree, {gradients}, mine, nullptr,
                           [&](std::size_t l, const WeightBlock& block, const GradientPlace<T>& place) {
                             add_penalty(model.layers[l], block, l2, place.dw);
                           });
    });
  });
}

#define CHAINRULE_INSTANTIATE(T)                                                                                  \
  template void forward(const Model<T>&, MatrixView<const T>, const Tape<T>&, const Tape<T>&, int);               \
  template void losses(const Model<T>&, MatrixView<const T>, const Targets<T>&, T*);                              \
  template double cost(const Model<T>&, MatrixView<const T>, const Targets<T>&, const T*, double);                \
  template void backward(const Model<T>&, MatrixView<const T>, const Tape<T>&, const Tape<T>&, const Targets<T>&, \
                         const T*, double, T*, const Tape<T>&, int);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
