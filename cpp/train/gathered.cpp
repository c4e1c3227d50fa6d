#include "train/gathered.h"

#include <algorithm>

#include "core/parallel.h"

namespace chainrule {

template <class T>
const Examples<T>& GatheredExamples<T>::take(const Batches<T>& batches, int threads) {
  const Examples<T>& from = batches.examples;
  const Index count = (std::ssize(batches.rates) - 1) * batches.advance + batches.m;
  const Index inputs = from.x.cols, outputs = from.targets.labels == nullptr ? from.targets.values.cols : 0;
  const RowNumbers rows{batches.rows.empty() ? nullptr : batches.rows.data() + batches.first, batches.first, count};
  x_.reserve(checked_product(count, inputs));
  y_.reserve(checked_product(count, outputs));
  if (outputs == 0) label_.reserve(count);
  if (from.weights != nullptr) weight_.reserve(count);
  examples_ = {};
  const auto x = MatrixView<T>::contiguous(x_.data(), count, inputs);
  const auto y = MatrixView<T>::contiguous(y_.data(), count, outputs);
  examples_.x = x;
  if (outputs == 0)
    examples_.targets.labels = label_.data();
  else
    examples_.targets = {.values = y, .missing = from.targets.missing};
  if (from.weights != nullptr) examples_.weights = weight_.data();
  const RowNumbers of_reader{rows.numbers, from.x.first + rows.first, count};
  from.x.reader->prepare(of_reader, count);
  parallel_step(threads, [&](Team team) {
    const Index parts = items_for(count, team.size, 16);
    team.each(parts, [&](Index item) {
      const auto [begin, end] = part(count, parts, item);
      from.x.reader->read(of_reader.between(begin, end), x.rows_between(begin, end));
      for (Index i = begin; i < end; ++i) {
        for (Index j = 0; j < outputs; ++j) y(i, j) = from.targets.values(rows[i], j);
        if (outputs == 0) label_[i] = from.targets.labels[rows[i]];
        if (from.weights != nullptr) weight_[i] = from.weights[rows[i]];
      }
    });
  });
  return examples_;
}

template class GatheredExamples<float>;
template class GatheredExamples<double>;

}  // namespace chainrule
