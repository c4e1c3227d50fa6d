// The order in which the leaves of a batch are added: a binary tree over the leaf numbers. A part of kernels.h.
//
// A tree of n leaves is the sum of two trees: one of the first 2^j leaves, where 2^j is the largest power of two below
// n, and one of the others. So an aligned run of 2^j leaves always gives the same partial sum, and the leaves can be
// added one after the other like the carries of a binary counter: a finished leaf is added to the last run if that has
// the same length, the result to the run before it if that has the same length, and so on. The last leaf of the batch
// is added to all remaining runs, from the shortest to the longest.
#pragma once

#include "chainrule/names.h"

namespace chainrule {

// Rows of a leaf. This is part of the arithmetic contract: changing it changes results.
inline constexpr Index sum_rows = 512;

// How a finished leaf is added. The runs before it are at places 0, 1, ..., the longest first.
struct LeafPlace {
  Index runs;    // number of runs before it; the next place is free
  Index joined;  // number of runs that are added to the leaf, from the last run on: run + (sum so far)
  Index place() const { return runs - joined; }  // where the sum is stored
};
// Always inlined: otherwise the linker might use a copy compiled for one instruction set on CPUs that do not have it.
[[gnu::always_inline]] constexpr LeafPlace place_of_leaf(Index number, bool last) {
  Index runs = 0, joined = 0;
  for (Index rest = number; rest > 0; rest /= 2) runs += rest % 2;
  for (Index rest = number; rest % 2 == 1; rest /= 2) ++joined;
  return {runs, last ? runs : joined};
}

// True if the tree of `leaves` leaves has a node that is the sum of `count` leaves from `first` on.
[[gnu::always_inline]] constexpr bool is_run(Index first, Index count, Index leaves) {
  Index length = 1;
  while (length < count) length *= 2;
  return first % length == 0 && (count == length || first + count == leaves);
}

// Partial sums that are added to a finished C before it is stored: C = x[count - 1] + (... + (x[0] + C)). Each is an
// array in the layout of C; its element `at` corresponds to the first element of C.
template <class T>
struct Addends {
  const T* const* x = nullptr;
  Index count = 0, at = 0;
};

}  // namespace chainrule
