#include "net/binned.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>
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

// The largest code of a column.
Index largest_code(const BinnedColumn& column) { return column.features - (column.kind == ColumnKind::bins); }

void check_code(const BinnedColumn& column, std::size_t place, Index row, Index code) {
  const Index most = largest_code(column);
  require(code >= 0 && code <= most, "X has code ", code, " in row ", row, " for layout[", place, "], ",
          column.features, " ", column_kind_names[static_cast<int>(column.kind)], ", expected from 0 to ", most);
}

template <class T>
[[gnu::noinline]] void check_fraction(const BinnedColumn& column, std::size_t place, Index row, T fraction) {
  require(fraction >= 0 && fraction <= 1, "X has value ", fraction, " in row ", row, " for layout[", place, "], ",
          column.features, " bins, expected the fraction of a bin, from 0 to 1");
}

// Throws an error for the first code or fraction of a row that is out of range, if there is one.
template <class T, class Code>
void check_row(const BinnedView<T>& x, Index row, const Code* code, const T* value) {
  for (std::size_t c = 0; c < x.layout.size(); ++c) {
    const BinnedColumn& column = x.layout[c];
    if (column.kind != ColumnKind::value) check_code(column, c, row, *code++);
    if (column.kind == ColumnKind::bins) check_fraction(column, c, row, *value);
    if (column.kind != ColumnKind::levels) ++value;
  }
}

// True if low[k] <= x[k] <= high[k] for all k. It has no branches and counts in integers of the size of an element, so
// that the compiler vectorizes it.
template <class Element>
[[gnu::noinline]] bool all_between(Index count, const Element* x, const Element* low, const Element* high) {
  using Flag = std::conditional_t<sizeof(Element) == 8, std::int64_t,
                                  std::conditional_t<std::is_same_v<Element, float>, std::int32_t, Element>>;
  Flag outside = 0;
  for (Index k = 0; k < count; ++k)
    outside |= static_cast<Flag>(static_cast<Flag>(!(x[k] >= low[k])) | static_cast<Flag>(!(x[k] <= high[k])));
  return outside == 0;
}

template <class T, class Code>
void check_rows(const BinnedView<T>& x) {
  // Several rows are compared at a time, with copies of the limits, because long loops are faster. If one of them has
  // an error, they are read again for the message. NaN is allowed in plain values; it only triggers this second, slower
  // check.
  constexpr Index elements_at_once = 1024;
  const Index rows_at_once =
      std::clamp<Index>(elements_at_once / std::max<Index>(1, x.codes_per_row), 1, std::max<Index>(1, x.rows));
  std::vector<Code> most, least;
  std::vector<T> low, high;
  for (Index copy = 0; copy < rows_at_once; ++copy)
    for (const BinnedColumn& column : x.layout) {
      const bool is_value = column.kind == ColumnKind::value;
      constexpr Index largest = std::numeric_limits<Code>::max();
      if (!is_value) most.push_back(static_cast<Code>(std::min(largest_code(column), largest)));
      least.resize(most.size());
      if (column.kind == ColumnKind::levels) continue;
      low.push_back(is_value ? -std::numeric_limits<T>::infinity() : T(0));
      high.push_back(is_value ? std::numeric_limits<T>::infinity() : T(1));
    }
  for (Index first = 0; first < x.rows; first += rows_at_once) {
    const Index rows = std::min(rows_at_once, x.rows - first);
    const Code* codes = static_cast<const Code*>(x.codes) + first * x.codes_per_row;
    const T* values = x.values + first * x.values_per_row;
    const bool right = all_between(rows * x.codes_per_row, codes, least.data(), most.data()) &&
                       all_between(rows * x.values_per_row, values, low.data(), high.data());
    for (Index i = 0; !right && i < rows; ++i)
      check_row(x, first + i, codes + i * x.codes_per_row, values + i * x.values_per_row);
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
            " features, but a value has 1");
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
