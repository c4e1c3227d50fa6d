// The order of the rows in an epoch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "chainrule/names.h"

namespace chainrule {

// Sets order to `rows` or, if that is empty, to all rows in ascending order.
void in_order(std::vector<Index>& order, std::span<const Index> rows);

// Permutes the entries (Fisher & Yates). The permutation depends only on seed and epoch.
void shuffle(std::vector<Index>& order, std::uint64_t seed, int epoch);

}  // namespace chainrule
