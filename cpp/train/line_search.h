// Finds a step along a direction that satisfies the strong Wolfe conditions, that is, a step that sufficiently
// decreases the cost and its slope (Nocedal & Wright 2006, algorithms 3.5 and 3.6, with cubic interpolation).
#pragma once

#include <functional>

#include "core/buffer.h"

namespace chainrule {

// A step length along the direction, and the cost, its slope along the direction, and its gradient at that point.
template <class T>
struct SearchPoint {
  double length = 0, cost = 0, slope = 0;
  Buffer<T> gradient;
};

// Computes cost, slope and gradient of a point from its length.
template <class T>
using Evaluate = std::function<void(SearchPoint<T>&)>;

struct SearchLimits {
  double tolerance;  // the search ends when the width of the bracket times `largest` is below this
  double largest;    // magnitude of the direction's largest element
  int evaluations = 25;
};

// Searches from `start` (length 0) and tries `length` first. Returns the best point found.
template <class T>
SearchPoint<T> search_line(const SearchPoint<T>& start, double length, const SearchLimits& limits,
                           const Evaluate<T>& evaluate);

}  // namespace chainrule
