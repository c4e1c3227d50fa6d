// The first layer of binned inputs. With E[j] = W[0] + ... + W[j] over the features of a binned number, bin b and
// fraction f give W[0] + ... + W[b-1] + f W[b] = (1 - f) E[b-1] + f E[b]: two rows of E, however many bins there are.
#pragma once

#include <span>

#include "net/model.h"

namespace chainrule {

// Computes E from W for `count` outputs: running sums of the rows of each binned number, copies of all other rows.
template <class T>
void sum_features(std::span<const BinnedColumn> layout, Index count, const T* w, Index ldw, T* e, Index lde);

// The maximum number of entries of a row.
Index entries_of_row(std::span<const BinnedColumn> layout);

// Throws std::invalid_argument if a column has no features, a code is out of its column's range, or a fraction is
// outside of [0, 1].
template <class T>
void check_binned(const BinnedView<T>& x);

}  // namespace chainrule
