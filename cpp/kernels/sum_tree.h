// The order in which the leaves of a batch are added: a binary tree by leaf number. A part of kernels.h.
//
// A tree of n leaves is its first 2^j leaves, as many as are fewer than n, and the tree of the others. So an aligned
// run of 2^j leaves is one partial sum wherever it is made, and the leaves may come one after the other: as in a binary
// counter, a leaf is added to the last run if that is as long as it, the sum to the run before likewise, and so on; the
// last leaf of all goes through every run that is left, from the shortest to the longest.
#pragma once

#include "chainrule/names.h"

namespace chainrule {

// Rows of a leaf. A constant of the arithmetic contract: changing it changes results.
inline constexpr Index sum_rows = 512;

// How a finished leaf is added. The runs before it are at places 0, 1, ..., the longest first.
struct LeafPlace {
  Index runs;    // their number; the next place is free
  Index joined;  // how many are added to it, from the last on: run + (leaf's sum so far)
  Index place() const { return runs - joined; }  // of that sum
};
// Inlined, or the linker might keep a copy compiled for one instruction set for all others.
[[gnu::always_inline]] constexpr LeafPlace place_of_leaf(Index number, bool last) {
  Index runs = 0, joined = 0;
  for (Index rest = number; rest > 0; rest /= 2) runs += rest % 2;
  for (Index rest = number; rest % 2 == 1; rest /= 2) ++joined;
  return {runs, last ? runs : joined};
}

// Sums to which a finished sum is added before it is stored: C = x[count - 1] + (... + (x[0] + C)). Each is an array in
// C's layout, whose element `at` corresponds to C's first.
template <class T>
struct Addends {
  const T* const* x = nullptr;
  Index count = 0, at = 0;
};

}  // namespace chainrule
