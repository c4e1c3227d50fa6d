// The order in which an epoch takes the rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "chainrule/names.h"

namespace chainrule {

// All rows, or those that are named, in their own order.
void in_order(std::vector<Index>& order, std::span<const Index> rows);

// A permutation of places (Fisher & Yates), a function of (seed, epoch).
void shuffle(std::vector<Index>& order, std::uint64_t seed, int epoch);

}  // namespace chainrule
