#include "net/work_items.h"

#include <algorithm>

namespace chainrule {

template <class T>
Share owned_outputs(const Model<T>& model, std::size_t l, Team team) {
  const Index width = kernels<T>().tile_columns;
  const auto panels = [&](std::size_t layer) { return (model.layers[layer].n_out + width - 1) / width; };
  const Index n_out = model.layers[l].n_out;
  if (!is_narrow(model.layers[l], team)) return share(n_out, team, width);
  Index first = 0;  // number of panels of earlier narrow layers, which other members own
  for (std::size_t before = 0; before < l; ++before)
    if (is_narrow(model.layers[before], team)) first += panels(before);
  const Index panel = (team.rank - first % team.size + team.size) % team.size;
  return {std::min(panel * width, n_out), std::min((panel + 1) * width, n_out)};
}

template <class T>
OutputItems<T>::OutputItems(const Model<T>& model, Index rows, Team team, Index max_side)
    : model_(model), rows_(rows), max_side_(max_side), team_(team) {
  for (std::size_t l = 0; l < model.layers.size(); ++l) per_member_ += groups(l) * input_groups(l);
}

// The number of groups into which a member's outputs of a layer are divided: 1 in a narrow layer; otherwise as many as
// max_side_ requires or, in a team, as many, up to 4, as leave at least about 5 us of work per group.
template <class T>
Index OutputItems<T>::groups(std::size_t l) const {
  const Layer<T>& layer = model_.layers[l];
  if (is_narrow(layer, team_)) return 1;
  const Index panels = ceil_div(layer.n_out, kernels<T>().tile_columns);
  const Index min_groups = (ceil_div(panels, team_.size) * kernels<T>().tile_columns - 1) / max_side_ + 1;
  if (team_.size == 1) return min_groups;
  constexpr double min_work = 3e5;  // multiply-adds
  const double work = static_cast<double>(layer.size()) * static_cast<double>(rows_) / team_.size;
  return std::max(min_groups,
                  std::clamp<Index>(static_cast<Index>(work / min_work), 1, std::min<Index>(4, panels / team_.size)));
}

template <class T>
Share OutputItems<T>::outputs_of(std::size_t l, Index member, Index group) const {
  const Share owned = owned_outputs(model_, l, Team{static_cast<int>(member), team_.size});
  const Share mine = part(owned.end - owned.begin, groups(l), group, kernels<T>().tile_columns);
  return {owned.begin + mine.begin, owned.begin + mine.end};
}

#define CHAINRULE_INSTANTIATE(T) \
  template class OutputItems<T>; \
  template Share owned_outputs(const Model<T>&, std::size_t, Team);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
