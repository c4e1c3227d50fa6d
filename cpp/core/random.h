// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3,
// SC 2011). A number is a function of (seed, stream, epoch, index) alone, so that no result depends on threads or
// order.
#pragma once

#include <array>
#include <cstdint>

namespace chainrule {

enum class Stream : std::uint32_t { init, shuffle };

// Four words for the counter (index, epoch, stream) under the key seed.
inline std::array<std::uint32_t, 4> philox(std::uint64_t seed, Stream stream, std::uint32_t epoch,
                                           std::uint64_t index) {
  std::array<std::uint32_t, 4> c{static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), epoch,
                                 static_cast<std::uint32_t>(stream)};
  auto k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c[0], p1 = std::uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
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
