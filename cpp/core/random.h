// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3,
// SC 2011). A number is a function of (seed, stream, epoch, index) alone, so results do not depend on threads or on the
// order of the calls.
#pragma once

#include <array>
#include <cstdint>

namespace chainrule {

enum class Stream : std::uint32_t { init, shuffle, shuffle_parts };

// Four words for each of the counters (index - i * step, epoch, stream), i < N, under the key seed. Word w of counter i
// is in [w][i]. Computing 16 counters at once takes a third of the time of computing them one by one.
template <int N>
std::array<std::array<std::uint32_t, N>, 4> philox_blocks(std::uint64_t seed, Stream stream, std::uint32_t epoch,
                                                          std::uint64_t index, std::uint64_t step) {
  std::array<std::array<std::uint32_t, N>, 4> c;
  for (std::size_t i = 0; i < N; ++i) {
    c[0][i] = static_cast<std::uint32_t>(index - i * step);
    c[1][i] = static_cast<std::uint32_t>((index - i * step) >> 32);
    c[2][i] = epoch;
    c[3][i] = static_cast<std::uint32_t>(stream);
  }
  auto k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
#pragma GCC unroll 1  // if GCC unrolls this loop, it does not vectorize the inner one
    for (std::size_t i = 0; i < N; ++i) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c[0][i], p1 = std::uint64_t{0xCD9E8D57} * c[2][i];
      c[0][i] = static_cast<std::uint32_t>(p1 >> 32) ^ c[1][i] ^ k0;
      c[1][i] = static_cast<std::uint32_t>(p1);
      c[2][i] = static_cast<std::uint32_t>(p0 >> 32) ^ c[3][i] ^ k1;
      c[3][i] = static_cast<std::uint32_t>(p0);
    }
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

// Four words for the counter (index, epoch, stream) under the key seed.
inline std::array<std::uint32_t, 4> philox(std::uint64_t seed, Stream stream, std::uint32_t epoch,
                                           std::uint64_t index) {
  const auto c = philox_blocks<1>(seed, stream, epoch, index, 0);
  return {c[0][0], c[1][0], c[2][0], c[3][0]};
}

// Two independent words of 64 bits.
inline std::array<std::uint64_t, 2> philox64(std::uint64_t seed, Stream stream, std::uint32_t epoch,
                                             std::uint64_t index) {
  const auto c = philox(seed, stream, epoch, index);
  return {c[0] | std::uint64_t{c[1]} << 32, c[2] | std::uint64_t{c[3]} << 32};
}

// Uniform in (0, 1): the middle of one of 2^52 equal intervals.
inline double to_unit(std::uint64_t bits) { return (static_cast<double>(bits >> 12) + 0.5) * 0x1p-52; }

}  // namespace chainrule
