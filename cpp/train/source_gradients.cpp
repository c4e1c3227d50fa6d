#include "train/source_gradients.h"

#include <cmath>

#include "core/check.h"

namespace chainrule {

template <class T>
SourceGradients<T>::SourceGradients(const Model<T>& model, const FitOptions<T>& options)
    : model_(model),
      options_(options),
      packed_(model),
      threads_(threads_for(8 * static_cast<double>(model.parameter_count()), options.threads)) {}

template <class T>
BatchCost SourceGradients<T>::run(const Batches<T>& batches, std::span<const T> parameters, double dropout,
                                  std::span<T> gradient, const UpdateHooks* hooks) {
  SourceBatch<T> batch{
      parameters,   {},          batches.first, batches.m, options_.dropout, options_.input_dropout * dropout,
      batches.seed, batches.step};
  if (!batches.rows.empty())
    batch.rows = batches.rows.subspan(static_cast<std::size_t>(batches.first), static_cast<std::size_t>(batches.m));
  for (double& rate : batch.dropout) rate *= dropout;
  const SourceCost cost = options_.source.gradients(batch, gradient);
  require(cost.weight > 0 && std::isfinite(cost.weight), "source returned the weight ", cost.weight,
          ", expected the sum of the batch's weights, a positive number");
  const double l2 = options_.l2_per_row ? options_.l2 * scale_for(cost.weight) : options_.l2;
  const double cost_of_weights = penalty(model_, l2);
  const GradientPlaces<T> places{gradient.data()};
  parallel_step(threads_, [&](Team team) {
    const OutputItems<T> items(model_, 1, team);
    const Scratch<T> unused;
    const auto each = [&](auto work) {
      team.each(items.count(), [&](Index item) {
        items.visit(item, [&](std::size_t l, const WeightBlock& block) {
          work(l, block, places.of(model_.layers[l], l, block, unused));
        });
      });
    };
    each([&](std::size_t l, const WeightBlock& block, const GradientPlace<T>& place) {
      add_penalty(model_.layers[l], block, l2, place.dw);
      if (hooks != nullptr) hooks->block_ready(l, block, place, packed_);
    });
    if (hooks == nullptr || !hooks->all_ready) return;
    team.alone(hooks->all_ready);
    each([&](std::size_t l, const WeightBlock& block, const GradientPlace<T>& place) {
      hooks->update_block(l, block, place, packed_);
    });
  });
  return {cost.mean + cost_of_weights, cost.weight};
}

template class SourceGradients<float>;
template class SourceGradients<double>;

}  // namespace chainrule
