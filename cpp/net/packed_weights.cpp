#include "net/packed_weights.h"

#include "net/binned.h"
#include "net/work_items.h"

namespace chainrule {

template <class T>
PanelView<T> PackedWeights<T>::copy(Index k, Index n) {
  memory_.emplace_back(PanelView<T>::size(k, n), typename Buffer<T>::Uninitialized{});
  return {memory_.back().data(), k, n};
}

template <class T>
PackedWeights<T>::PackedWeights(const Model<T>& model)
    : binned_inputs_(model.binned_inputs),
      sums_(binned_inputs_.empty() ? Buffer<T>() : Buffer<T>(model.layers.front().n_in * model.layers.front().n_out)) {}

template <class T>
PackedWeights<T>::PackedWeights(const Model<T>& model, bool backward, bool inputs) : PackedWeights(model) {
  const Index read_in_place = 2 * bytes_of_core(caches().l2);  // size in bytes up to which Wᵀ is read in place
  for (const Layer<T>& layer : model.layers) {
    const bool first = &layer == &model.layers.front();
    const bool large =
        layer.n_in * layer.n_out * static_cast<Index>(sizeof(T)) > read_in_place && !(first && model.sparse_inputs);
    const bool wanted = backward && (!first || inputs);
    if (model.precision == Precision::bf16) {
      forward_bf16_.emplace_back(layer.n_in, layer.n_out);
      backward_bf16_.push_back(wanted ? PackedBf16<T>(layer.n_out, layer.n_in) : PackedBf16<T>());
    } else {
      forward_.push_back(large ? copy(layer.n_in, layer.n_out) : PanelView<T>{});
      backward_.push_back(wanted ? copy(layer.n_out, layer.n_in) : PanelView<T>{});
    }
  }
}

template <class T>
PackedWeights<T>::PackedWeights(const Model<T>& model, const Panels<T>& panels, T* parameters) : in_panels_(true) {
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    forward_.push_back(panels.is_row(l) ? PanelView<T>{} : panels.weights(l, parameters));
    backward_.push_back(l > 0 ? copy(model.layers[l].n_out, model.layers[l].n_in) : PanelView<T>{});
  }
}

template <class T>
void PackedWeights<T>::pack(const Model<T>& model, Team team) {
  const OutputItems<T> items(model, kernels<T>().lanes, team);  // packing costs as much as the products of some rows
  team.each(items.count(), [&](Index item) {
    items.visit(item, [&](std::size_t l, const WeightBlock& block) { pack_block(model.layers[l], l, block); });
  });
}

template <class T>
void PackedWeights<T>::pack_block(const Layer<T>& layer, std::size_t l, const WeightBlock& block) {
  const auto [outputs, inputs] = block;
  const Index width = kernels<T>().tile_columns;
  const Share panels{outputs.begin / width, ceil_div(outputs.end, width)};  // of Wᵀ
  const Share columns{inputs.begin / width, ceil_div(inputs.end, width)};   // panels of W
  if (l == 0 && !binned_inputs_.empty())                                    // the block has all inputs
    sum_features(binned_inputs_, outputs.end - outputs.begin, layer.w + outputs.begin, layer.n_out,
                 sums_.data() + outputs.begin, layer.n_out);
  if (bf16()) {
    forward_bf16_[l].pack(layer.transposed_weights(), panels.begin, panels.end, inputs.begin, inputs.end);
    if (PackedBf16<T>& backward = backward_bf16_[l]; backward.n() > 0)
      backward.pack(layer.weights(), columns.begin, columns.end, outputs.begin, outputs.end);
    return;
  }
  if (l >= forward_.size()) return;
  const PanelView<T> forward = forward_[l], backward = backward_[l];
  if (forward.data != nullptr && !in_panels_)
    pack_panels(layer.transposed_weights().rows_between(inputs.begin, inputs.end), forward, panels, inputs.begin);
  if (backward.data == nullptr) return;
  if (forward.data == nullptr || !in_panels_)
    return pack_panels(layer.weights().rows_between(outputs.begin, outputs.end), backward, columns, outputs.begin);
  for (Index panel = panels.begin; panel < panels.end; ++panel)
    pack_panels<T>(forward.panel(panel).transposed(), backward, columns, panel * width);
}

#define CHAINRULE_INSTANTIATE(T) template class PackedWeights<T>;
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
