// The scratch memory of one thread for the passes over a batch.
#pragma once

#include <span>

#include "core/gemm.h"
#include "core/gemm_bf16.h"
#include "net/model.h"
#include "net/sum_tree.h"

namespace chainrule {

// The distance between rows, in elements, of a workspace matrix with this number of columns: whole cache lines, but not
// a multiple of 1 KiB, which would map all rows to a few cache sets. A single column is dense.
template <class T>
Index padded(Index columns) {
  if (columns == 1) return 1;
  const Index line = 64 / static_cast<Index>(sizeof(T));
  const Index width = (columns + line - 1) / line * line;
  return width % (16 * line) == 0 ? width + line : width;
}

// Finds the columns that have entries in given rows of sparse inputs.
class Columns {
 public:
  Columns() = default;
  explicit Columns(Index inputs) : seen_(inputs), found_(inputs) {}

  template <class T>
  std::span<const std::int32_t> find(const SparseRows<T>& x, Index rows) const;  // valid until the next call

 private:
  Buffer<std::uint8_t> seen_;  // all zeros between calls
  Buffer<std::int32_t> found_;
};

// The scratch memory of one thread for passes of up to `rows` rows.
template <class T>
struct Scratch {
  Buffer<T> gemm, loss;
  Buffer<Bf16Pair> bf16;
  Columns columns;  // only for gradients of sparse inputs with several leaves
  // If there is no array of all gradients (Backprop::updates_items), these hold the gradients of one item until its
  // update, and its partial sums.
  Buffer<T> gradients;
  SumTree<T> tree;

  Scratch() = default;
  Scratch(const Model<T>& model, Index rows) { prepare(model, rows); }
  void prepare(const Model<T>& model, Index rows);  // allocates only if the memory must grow
};

// One Scratch for each member of a team.
template <class T>
std::vector<Scratch<T>> team_scratch(const Model<T>& model, Index rows, int threads) {
  std::vector<Scratch<T>> scratch;
  for (int rank = 0; rank < threads; ++rank) scratch.emplace_back(model, rows);
  return scratch;
}

}  // namespace chainrule
