// A step along a direction that satisfies the strong Wolfe conditions (Nocedal & Wright 2006, algorithms 3.5 and 3.6,
// with cubic interpolation): the cost falls enough, and its slope becomes flat enough.
#pragma once

#include <functional>

#include "core/buffer.h"

namespace chainrule {

// A length along the direction, and the cost, its slope and its gradient there.
template <class T>
struct SearchPoint {
  double length = 0, cost = 0, slope = 0;
  Buffer<T> gradient;
};

// Computes cost, slope and gradient at the length of a point.
template <class T>
using Evaluate = std::function<void(SearchPoint<T>&)>;

struct SearchLimits {
  double tolerance;  // the search ends when the bracket times the direction's largest element is below this
  double largest;    // that element
  int evaluations = 25;
};

// From `start` (length 0), the first trial at `length`. Returns the best point found.
template <class T>
SearchPoint<T> search_line(const SearchPoint<T>& start, double length, const SearchLimits& limits,
                           const Evaluate<T>& evaluate);

}  // namespace chainrule
