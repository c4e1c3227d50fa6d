// The order of the rows in an epoch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "chainrule/training.h"

namespace chainrule {

// Row numbers by position in the epoch. An order within parts is drawn part by part; others are stored as a whole.
class RowOrder {
 public:
  // Orders `rows` or, if that is empty, all total_rows rows. `shuffle` is false if the rows keep their order. listed:
  // true if the row numbers are needed even if all rows keep their order.
  RowOrder(const Shuffle& shuffle, std::span<const Index> rows, Index total_rows, bool listed);

  // Begins an epoch. Its order depends on seed, epoch and rows alone.
  void begin(std::uint64_t seed, int epoch);

  // Positions in `rows`, or row numbers if `rows` is empty: first, first + 1, ...
  struct Window {
    std::span<const Index> rows;
    Index first;
  };
  // The rows at positions [first, first + count), and perhaps more. `first` must not decrease within an epoch.
  Window at(Index first, Index count);
  // A row of the part that follows the last window, or `after` if that was the last part.
  Index next(Index after) const { return in_parts() && drawn_ < parts_.size() ? parts_[drawn_] * part_rows_ : after; }
  // A row of the part with which the next epoch begins, or -1 if that is not known yet.
  Index next_epoch() const { return next_epoch_; }

 private:
  void draw_part();
  bool in_parts() const { return part_rows_ > 0; }

  std::span<const Index> rows_;
  Index total_rows_, part_rows_ = 0;
  bool shuffled_;
  std::vector<Index> sorted_;  // used if `rows` are not in ascending order and the order is within parts
  std::vector<Index> order_;   // the order of all rows or, within parts, of the rows from position first_ on
  std::vector<Index> parts_;   // the order of the parts
  std::size_t drawn_ = 0;      // the number of parts that have been drawn
  Index first_ = 0, next_epoch_ = -1;
  std::uint64_t seed_ = 0;
  int epoch_ = 0;
};

}  // namespace chainrule
