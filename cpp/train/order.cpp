#include "train/order.h"

#include <algorithm>
#include <numeric>

#include "core/random.h"

namespace chainrule {

void in_order(std::vector<Index>& order, std::span<const Index> rows) {
  if (rows.empty())
    std::iota(order.begin(), order.end(), Index{0});
  else
    std::copy(rows.begin(), rows.end(), order.begin());
}

// A block of Philox gives four random numbers of 32 bits, if the bias of picking a row by them is at most 2^-16, and
// otherwise two of 64 bits.
void shuffle(std::vector<Index>& order, std::uint64_t seed, int epoch) {
  std::size_t i = order.size();
  const auto swap_last_with = [&](std::size_t pick) { std::swap(order[--i], order[pick]); };
  while (i > std::size_t{1} << 16) {
    for (const std::uint64_t word : philox64(seed, Stream::shuffle, static_cast<std::uint32_t>(epoch), i)) {
      __extension__ using Wide = unsigned __int128;
      swap_last_with(static_cast<std::size_t>(static_cast<Wide>(word) * i >> 64));
    }
  }
  constexpr std::size_t blocks = 16;
  while (i > 1) {
    const auto words = philox_blocks<blocks>(seed, Stream::shuffle, static_cast<std::uint32_t>(epoch), i, 4);
    for (std::size_t block = 0; block < blocks; ++block)
      for (std::size_t w = 0; w < 4; ++w)
        if (i > 1) swap_last_with(std::uint64_t{words[w][block]} * i >> 32);
  }
}

}  // namespace chainrule
