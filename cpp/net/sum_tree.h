// The places where the gradients of a batch, or of an item of it, become sums over its rows: one array for each run of
// leaves that is to be added to a later one (kernels/sum_tree.h), all of the layout of the gradients; the first is
// where these belong.
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
  // the runs until it is whole; sparse: so it is, and all places but the first begin as zeros.
  SumTree(Index rows, Index size, bool in_parts, bool sparse) : size_((size + 15) / 16 * 16) {
    const Index leaves = (rows + sum_rows - 1) / sum_rows;
    const Index places = std::bit_width(static_cast<std::size_t>(leaves)) - (in_parts || sparse ? 0 : 1);
    if (places <= 1) return;
    const Index all = checked_product(places - 1, size_);
    others_ = sparse ? Buffer<T>(all) : Buffer<T>(all, typename Buffer<T>::Uninitialized{});
  }

  T* place(Index number, T* first) const { return number == 0 ? first : others_.data() + (number - 1) * size_; }

 private:
  Index size_ = 0;  // in whole cache lines, or the vectors of most arrays would lie across two
  Buffer<T> others_;
};

}  // namespace chainrule
