// The places where the gradients of a batch become sums over its rows: one array for each run of leaves that is to be
// added to a later one (kernels/sum_tree.h), all of the layout of the gradients; the first is where these belong.
#pragma once

#include <bit>

#include "core/buffer.h"
#include "kernels/kernels.h"

namespace chainrule {

inline Index rows_of_last_leaf(Index rows) { return rows > 0 ? (rows - 1) % sum_rows + 1 : 0; }

template <class T>
class SumTree {
 public:
  SumTree() = default;
  // For arrays of `size` and up to so many rows. in_parts: a leaf is made in several parts, and needs a place behind
  // the runs until it is whole.
  SumTree(Index rows, Index size, bool in_parts) : size_(size) {
    const Index leaves = (rows + sum_rows - 1) / sum_rows;
    const Index places = std::bit_width(static_cast<std::size_t>(leaves)) - (in_parts ? 0 : 1);
    if (places > 1) others_ = Buffer<T>(checked_product(places - 1, size));
  }

  // Before the first sum all but the first are zeros.
  T* place(Index number, T* first) const { return number == 0 ? first : others_.data() + (number - 1) * size_; }

 private:
  Index size_ = 0;
  Buffer<T> others_;
};

}  // namespace chainrule
