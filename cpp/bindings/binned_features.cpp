#include "bindings/binned_features.h"

#include <algorithm>

namespace chainrule::python {
namespace {

template <class T, class Code>
class BinnedFeatures final : public RowReader<T> {
 public:
  explicit BinnedFeatures(const BinnedView<T>& rows) : rows_(rows) {}

  void prepare(const RowNumbers&, Index) override {}
  void read(const RowNumbers& rows, MatrixView<T> into) const override {
    for (Index i = 0; i < rows.count; ++i) write(rows[i], into.row(i));
  }

 private:
  void write(Index row, T* out) const {
    const Code* code = static_cast<const Code*>(rows_.codes) + row * rows_.codes_per_row;
    const T* value = rows_.values + row * rows_.values_per_row;
    for (const BinnedColumn& column : rows_.layout) {
      if (column.kind == ColumnKind::value) {
        *out = *value++;
      } else {
        const Index place = std::clamp<Index>(*code++, 0, column.features);
        const bool bins = column.kind == ColumnKind::bins;
        const T last = bins ? *value++ : T(1);
        std::fill_n(out, place, bins ? T(1) : T(0));
        std::fill(out + place, out + column.features, T(0));
        if (place < column.features) out[place] = last;
      }
      out += column.features;
    }
  }

  BinnedView<T> rows_;
};

}  // namespace

template <class T>
std::unique_ptr<RowReader<T>> binned_features(const BinnedView<T>& rows) {
  if (rows.code_bytes == 1) return std::make_unique<BinnedFeatures<T, std::uint8_t>>(rows);
  if (rows.code_bytes == 2) return std::make_unique<BinnedFeatures<T, std::uint16_t>>(rows);
  return std::make_unique<BinnedFeatures<T, std::int32_t>>(rows);
}

template std::unique_ptr<RowReader<float>> binned_features(const BinnedView<float>&);
template std::unique_ptr<RowReader<double>> binned_features(const BinnedView<double>&);

}  // namespace chainrule::python
