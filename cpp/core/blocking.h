// Block sizes, from the caches of the machine: the model behind core/gemm's loops and the passes of net/. After Low,
// Igual, Smith and Quintana-Ortí, "Analytical modeling is enough for high-performance BLIS" (2016), with a second level
// of blocks along k. No size changes a bit of a result (core/gemm.h), so all of them may follow the machine.
//
// A product's loops, from the outside in, and what stays where:
//   blocks of mc rows and kc steps of k    of A, in half of the second level; the rest is for what streams past: B and
//   C panels of tile_columns columns of B    from the third level or memory, once for a block of A panel_depth steps of
//   k                 of the panel, in the first level, while all row tiles of the block pass row tiles of A, each once
//   for a panel, from the second level to the first
#pragma once

#include <algorithm>
#include <numeric>

#include "core/caches.h"
#include "core/dispatch.h"

namespace chainrule {

inline Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

// A core's part of a level: one thread computes on a core, so threads that share a core's first level count as one.
inline Index bytes_of_core(const CacheLevel& level) {
  const int cores = std::max(1, level.sharing / std::max(1, caches().l1.sharing));
  return level.bytes / cores;
}

// Elements of a block of A.
template <class T>
Index block_size() {
  return bytes_of_core(caches().l2) / 2 / static_cast<Index>(sizeof(T));
}

// Steps of k that a panel of B takes at a time, of k: so many that they fit the first level with a tile of A and the
// one that takes its place, but for one way, which C and the stack have. (Least recently used lines go first, so a tile
// of A that has passed stays as long as the one after it takes.) Where k is little more, it is not divided; nor for
// tiles so large that fewer than 192 steps would fit: a tile takes some 50 cycles to begin and end, and the second
// level feeds large tiles as well (Zen 4, 1024 steps at once and divided: AVX-512 95 and 88 % of the peak, AVX2 95 and
// 93, with a third of the misses).
inline constexpr Index least_panel_depth = 192;
template <class T>
Index panel_depth(Index k) {
  const CacheLevel& l1 = caches().l1;
  const Index step = (kernels<T>().tile_columns + 2 * kernels<T>().tile_rows) * static_cast<Index>(sizeof(T));
  const Index fits = (l1.bytes - l1.bytes / l1.ways) / step;
  if (fits < least_panel_depth || k == 0) return std::max<Index>(k, 1);
  return ceil_div(k, std::max<Index>(1, ceil_div(k - fits / 8, fits)));
}

// Rows of a block of A of so many steps of k.
template <class T>
Index block_rows(Index depth) {
  constexpr Index most = 1024;
  const Index tile = kernels<T>().tile_rows;
  return std::min(std::max<Index>(2, block_size<T>() / std::max<Index>(depth, 1) / tile) * tile, most);
}

// Rows and steps of k of a block of A (m x k): all of it where it fits. Else of all divisions of k the one that moves
// the fewest lines: each row of blocks reads B once, k lines for a column of C. Each division of k reads and writes C
// once, 2 m lines, and so much the sums cost that every division for the first level takes up and puts down.
struct Block {
  Index rows, depth;
};
template <class T>
Block block_of_a(Index m, Index k) {
  if (m * k <= block_size<T>()) return {std::max<Index>(m, 1), std::max<Index>(k, 1)};
  Block best{};
  for (Index parts = 1, lowest = 0; best.rows == 0 || (parts <= k && 4 * parts * m < lowest); ++parts) {
    const Index depth = ceil_div(k, parts), rows = std::min(m, block_rows<T>(depth));
    const Index takes = parts * ceil_div(depth, panel_depth<T>(depth));
    const Index cost = ceil_div(m, rows) * k + 2 * m * (parts + takes);
    if (best.rows > 0 && cost >= lowest) continue;
    best = {rows, depth};
    lowest = cost;
  }
  return best;
}

// What a product of at most m rows and k steps keeps of A, packed, and of the sums of a panel, which wait where k is
// divided for the first level: never more than this, also where it is not divided into blocks.
template <class T>
Index most_block_scratch(Index m, Index k) {
  const Index tiles = 2 * kernels<T>().tile_rows;
  const Index sums = std::min(m, std::max(tiles, block_size<T>() / least_panel_depth));
  return std::min(m * k, std::max(block_size<T>(), tiles * k)) + sums * kernels<T>().tile_columns;
}

// Whether so many lines, `distance` elements apart, find room in the first level: they share its sets.
template <class T>
bool lines_fit(Index lines, Index distance) {
  const CacheLevel& l1 = caches().l1;
  const Index way = l1.bytes / l1.ways;
  return lines <= l1.ways * (way / std::gcd(way, std::max<Index>(distance, 1) * static_cast<Index>(sizeof(T))));
}

// Whether so many rows of so many elements, `distance` elements apart, find room in half of the second level: parts of
// rows that lie a multiple of a large power of two apart share few of its sets.
template <class T>
bool rows_fit(Index rows, Index elements, Index distance) {
  constexpr Index size = static_cast<Index>(sizeof(T));
  const CacheLevel& l2 = caches().l2;
  return rows * std::max(elements * size, std::gcd(l2.bytes / l2.ways, distance * size)) <= bytes_of_core(l2) / 2;
}

// Columns of B that are packed at a time, for a product of k steps: in an eighth of the third level, or in half of the
// second where there is none.
template <class T>
Index packed_columns(Index k) {
  const Index bytes = caches().l3.bytes > 0 ? caches().l3.bytes / 8 : bytes_of_core(caches().l2) / 2;
  const Index width = kernels<T>().tile_columns;
  const Index panels = bytes / (std::max<Index>(k, 1) * width * static_cast<Index>(sizeof(T)));
  return std::max<Index>(panels, 4) * width;
}

}  // namespace chainrule
