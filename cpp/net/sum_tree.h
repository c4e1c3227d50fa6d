// Memory for sums over the rows of a batch (kernels/sum_tree.h): one array for each partial sum that has not been added
// to a later one yet. All arrays have the layout of the gradients; the first one is the array of the gradients itself.
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
  // For arrays of `size` elements and batches of up to `rows` rows. in_parts: a leaf is summed in several parts and
  // needs a separate array until it is complete. sparse: likewise, and all arrays except the first are zero at the
  // start.
  SumTree(Index rows, Index size, bool in_parts, bool sparse) : size_((size + 15) / 16 * 16) {
    const Index leaves = (rows + sum_rows - 1) / sum_rows;
    const Index places = std::bit_width(static_cast<std::size_t>(leaves)) - (in_parts || sparse ? 0 : 1);
    if (places <= 1) return;
    const Index all = checked_product(places - 1, size_);
    others_ = sparse ? Buffer<T>(all) : Buffer<T>(all, typename Buffer<T>::Uninitialized{});
  }

  T* place(Index number, T* first) const { return number == 0 ? first : others_.data() + (number - 1) * size_; }

 private:
  Index size_ = 0;  // in whole cache lines, so that vectors of an array do not cross lines
  Buffer<T> others_;
};

}  // namespace chainrule
