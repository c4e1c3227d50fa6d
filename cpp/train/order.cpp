#include "train/order.h"

#include <algorithm>
#include <numeric>

#include "core/random.h"

namespace chainrule {
namespace {

// Permutes the entries (Fisher & Yates) with the random numbers of the counters from first_counter on. A block of
// Philox gives four random numbers of 32 bits if the bias of an index drawn from them is at most 2^-16, and otherwise
// two of 64 bits.
void permute(std::span<Index> order, std::uint64_t seed, Stream stream, int epoch, std::uint64_t first_counter) {
  std::size_t i = order.size();
  const auto words_epoch = static_cast<std::uint32_t>(epoch);
  const auto swap_last_with = [&](std::size_t pick) { std::swap(order[--i], order[pick]); };
  while (i > std::size_t{1} << 16) {
    for (const std::uint64_t word : philox64(seed, stream, words_epoch, first_counter + i)) {
      __extension__ using Wide = unsigned __int128;
      swap_last_with(static_cast<std::size_t>(static_cast<Wide>(word) * i >> 64));
    }
  }
  constexpr std::size_t blocks = 16;
  while (i > 1) {
    const auto words = philox_blocks<blocks>(seed, stream, words_epoch, first_counter + i, 4);
    for (std::size_t block = 0; block < blocks; ++block)
      for (std::size_t w = 0; w < 4; ++w)
        if (i > 1) swap_last_with(std::uint64_t{words[w][block]} * i >> 32);
  }
}

}  // namespace

RowOrder::RowOrder(const Shuffle& shuffle, std::span<const Index> rows, Index total_rows, bool listed)
    : rows_(rows), total_rows_(total_rows), shuffled_(is_shuffled(shuffle)) {
  if (const auto* within = std::get_if<WithinParts>(&shuffle)) {
    part_rows_ = within->rows;
    parts_.resize(static_cast<std::size_t>((total_rows + part_rows_ - 1) / part_rows_));
    if (std::ranges::is_sorted(rows)) return;
    sorted_.assign(rows.begin(), rows.end());
    std::ranges::sort(sorted_);
    rows_ = sorted_;
    return;
  }
  if (!shuffled_ && rows.empty() && !listed) return;
  order_.resize(static_cast<std::size_t>(rows.empty() ? total_rows : std::ssize(rows)));
  if (rows.empty())
    std::iota(order_.begin(), order_.end(), Index{0});
  else
    std::ranges::copy(rows, order_.begin());
}

void RowOrder::begin(std::uint64_t seed, int epoch) {
  seed_ = seed;
  epoch_ = epoch;
  if (!shuffled_) {
    next_epoch_ = rows_.empty() ? 0 : rows_.front();
    return;
  }
  const auto draw = [&](std::vector<Index>& drawn, Stream stream, int of_epoch) {
    if (in_parts() || rows_.empty())
      std::iota(drawn.begin(), drawn.end(), Index{0});
    else
      std::ranges::copy(rows_, drawn.begin());
    permute(drawn, seed, stream, of_epoch, 0);
  };
  if (!in_parts()) return draw(order_, Stream::shuffle, epoch);
  draw(parts_, Stream::shuffle_parts, epoch + 1);
  next_epoch_ = parts_.front() * part_rows_;
  draw(parts_, Stream::shuffle_parts, epoch);
  order_.clear();
  first_ = 0;
  drawn_ = 0;
}

void RowOrder::draw_part() {
  const Index begin = parts_[drawn_++] * part_rows_, end = std::min(begin + part_rows_, total_rows_);
  const auto drawn = std::ssize(order_);
  if (rows_.empty()) {
    order_.resize(order_.size() + static_cast<std::size_t>(end - begin));
    std::iota(order_.begin() + drawn, order_.end(), begin);
  } else {
    const auto from = std::ranges::lower_bound(rows_, begin);
    order_.insert(order_.end(), from, std::lower_bound(from, rows_.end(), end));
  }
  permute(std::span(order_).subspan(static_cast<std::size_t>(drawn)), seed_, Stream::shuffle, epoch_,
          static_cast<std::uint64_t>(begin));
}

RowOrder::Window RowOrder::at(Index first, Index count) {
  if (!in_parts()) return {order_, first};
  if (first - first_ + count > std::ssize(order_)) {
    order_.erase(order_.begin(), order_.begin() + (first - first_));
    first_ = first;
    while (std::ssize(order_) < count) draw_part();
  }
  return {order_, first - first_};
}

}  // namespace chainrule
