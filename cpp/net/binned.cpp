#include "net/binned.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/check.h"
#include "core/dispatch.h"

namespace chainrule {

template <class T>
void sum_features(std::span<const BinnedColumn> layout, Index count, const T* w, Index ldw, T* e, Index lde) {
  for (const BinnedColumn& column : layout) {
    const Index features = column.features;
    if (column.kind == ColumnKind::bins)
      kernels<T>().running_sums(features, count, w, ldw, e, lde);
    else
      for (Index j = 0; j < features; ++j) std::copy_n(w + j * ldw, count, e + j * lde);
    w += features * ldw;
    e += features * lde;
  }
}

Index entries_of_row(std::span<const BinnedColumn> layout) {
  Index entries = 0;
  for (const BinnedColumn& column : layout) entries += column.kind == ColumnKind::bins ? 2 : 1;
  return entries;
}

namespace {

// Throws an error for the first code or fraction of a row that is out of range, if there is one.
template <class T, class Code>
void check_row(const BinnedView<T>& x, Index row, const Code* code, const T* value) {
  for (std::size_t c = 0; c < x.layout.size(); ++c) {
    const auto [kind, features] = x.layout[c];
    if (kind != ColumnKind::value) {
      const Index b = *code++, most = kind == ColumnKind::bins ? features - 1 : features;
      require(b >= 0 && b <= most, "X has code ", b, " in row ", row, " for layout[", c, "], ", features, " ",
              column_kind_names[static_cast<int>(kind)], ", expected from 0 to ", most);
    }
    if (kind == ColumnKind::levels) continue;
    const T v = *value++;
    require(kind == ColumnKind::value || (v >= 0 && v <= 1), "X has value ", v, " in row ", row, " for layout[", c,
            "], ", features, " bins, expected the fraction of a bin, from 0 to 1");
  }
}

template <class T, class Code>
void check_rows(const BinnedView<T>& x) {
  // These loops have no branches, so the compiler vectorizes them. A row with an error is read again for the message.
  std::vector<std::uint32_t> most;
  std::vector<std::uint8_t> is_fraction;
  for (const auto& [kind, features] : x.layout) {
    if (kind != ColumnKind::value) most.push_back(static_cast<std::uint32_t>(features - (kind == ColumnKind::bins)));
    if (kind != ColumnKind::levels) is_fraction.push_back(kind == ColumnKind::bins);
  }
  const std::uint32_t* limit = most.data();
  const std::uint8_t* fraction = is_fraction.data();
  for (Index i = 0; i < x.rows; ++i) {
    const Code* code = static_cast<const Code*>(x.codes) + i * x.codes_per_row;
    const T* value = x.values + i * x.values_per_row;
    bool wrong = false;
    for (Index k = 0; k < x.codes_per_row; ++k) wrong |= static_cast<std::uint32_t>(code[k]) > limit[k];
    for (Index k = 0; k < x.values_per_row; ++k) wrong |= (fraction[k] != 0) & !((value[k] >= 0) & (value[k] <= 1));
    if (wrong) check_row(x, i, code, value);
  }
}

}  // namespace

template <class T>
void check_binned(const BinnedView<T>& x) {
  for (std::size_t c = 0; c < x.layout.size(); ++c) {
    const auto [kind, features] = x.layout[c];
    require(features >= 1 && features <= std::numeric_limits<std::int32_t>::max(), "layout[", c, "] has ", features,
            " features, expected from 1 to ", std::numeric_limits<std::int32_t>::max());
    require(kind != ColumnKind::value || features == 1, "layout[", c, "] has ", features,
            " features, but is a value, which has 1");
  }
  if (x.code_bytes == 1)
    check_rows<T, std::uint8_t>(x);
  else if (x.code_bytes == 2)
    check_rows<T, std::uint16_t>(x);
  else
    check_rows<T, std::int32_t>(x);
}

#define CHAINRULE_INSTANTIATE(T)                                                                \
  template void sum_features(std::span<const BinnedColumn>, Index, const T*, Index, T*, Index); \
  template void check_binned(const BinnedView<T>&);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
