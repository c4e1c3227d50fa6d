// Block sizes from the caches of the machine: the model behind core/gemm's loops and the passes of net/, after Low,
// Igual, Smith and Quintana-Ortí, "Analytical modeling is enough for high-performance BLIS" (2016), extended by a
// second division of k. Results are bit-identical for all block sizes (core/gemm.h), so these may depend on the
// machine.
//
// The sizes with their names in BLIS, in the order of the loops from the outside in:
//
// - NC = packed_columns: number of columns of B that are packed at a time; they take an eighth of the third level.
// - KC = Block::depth: number of steps of k in a block of A. MC = Block::rows: number of its rows. The block takes half
//   of the second level; B and C stream through the other half.
// - NR = tile_columns: width of a panel of B. All row tiles of the block are multiplied by panel_depth steps of the
//   panel at a time, which stay in the first level.
// - MR = tile_rows: height of a row tile of A, which is loaded from the second level into the first once for each
//   panel.
#pragma once

#include <algorithm>
#include <numeric>

#include "core/caches.h"
#include "core/dispatch.h"

namespace chainrule {

inline Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

// A core's share of a cache level, in bytes. Logical processors that share a first level count as one core.
inline Index bytes_of_core(const CacheLevel& level) {
  const int cores = std::max(1, level.sharing / std::max(1, caches().l1.sharing));
  return level.bytes / cores;
}

// Maximum number of elements of a block of A.
template <class T>
Index block_size() {
  return bytes_of_core(caches().l2) / 2 / static_cast<Index>(sizeof(T));
}

// Number of steps of k for which a panel of B stays in the first level together with a tile of A and the next one; one
// way is left for C and the stack. (Caches evict the least recently used line, so a used tile of A stays until the next
// one has been read.) k is not divided if it is at most an eighth larger than that number, or if fewer than 192 steps
// fit, as with large tiles: starting and finishing a tile costs about 50 cycles, and the second level can feed large
// tiles too. (1024 steps on Zen 4: AVX-512 reaches 95 % of the peak undivided and 88 % divided. AVX2 reaches 95 %
// undivided and 93 % divided, and has a third of the cache misses when k is divided.)
inline constexpr Index min_panel_depth = 192;
template <class T>
Index panel_depth(Index k) {
  const CacheLevel& l1 = caches().l1;
  const Index step = (kernels<T>().tile_columns + 2 * kernels<T>().tile_rows) * static_cast<Index>(sizeof(T));
  const Index fits = (l1.bytes - l1.bytes / l1.ways) / step;
  if (fits < min_panel_depth || k == 0) return std::max<Index>(k, 1);
  return ceil_div(k, std::max<Index>(1, ceil_div(k - fits / 8, fits)));
}

// Number of rows of a block of A with `depth` steps of k.
template <class T>
Index block_rows(Index depth) {
  constexpr Index max_rows = 1024;
  const Index tile = kernels<T>().tile_rows;
  return std::min(std::max<Index>(2, block_size<T>() / std::max<Index>(depth, 1) / tile) * tile, max_rows);
}

// The size of a block of A (m x k): all of A if it fits. Otherwise k is divided so that the fewest cache lines are
// moved. Per column of C, each row of blocks reads B once (k lines), each part of k reads and writes C once (2 m
// lines), and each division for the first level (panel_depth) reads and writes the sums once more (2 m lines).
struct Block {
  Index rows, depth;
};
template <class T>
Block block_of_a(Index m, Index k) {
  if (m * k <= block_size<T>()) return {std::max<Index>(m, 1), std::max<Index>(k, 1)};
  Block best{};
  for (Index parts = 1, lowest = 0; best.rows == 0 || (parts <= k && 4 * parts * m < lowest); ++parts) {
    const Index depth = ceil_div(k, parts), rows = std::min(m, block_rows<T>(depth));
    const Index panel_parts = parts * ceil_div(depth, panel_depth<T>(depth));
    const Index cost = ceil_div(m, rows) * k + 2 * m * (parts + panel_parts);
    if (best.rows > 0 && cost >= lowest) continue;
    best = {rows, depth};
    lowest = cost;
  }
  return best;
}

// Upper bound on the scratch memory of a product of at most m rows and k steps, in elements: packed A, and the partial
// sums of a panel if k is divided for the first level.
template <class T>
Index max_block_scratch(Index m, Index k) {
  const Index tiles = 2 * kernels<T>().tile_rows;
  const Index sums = std::min(m, std::max(tiles, block_size<T>() / min_panel_depth));
  return std::min(m * k, std::max(block_size<T>(), tiles * k)) + sums * kernels<T>().tile_columns;
}

// True if `lines` cache lines, `distance` elements apart, fit in the sets of the first level that they map to.
template <class T>
bool lines_fit(Index lines, Index distance) {
  const CacheLevel& l1 = caches().l1;
  const Index way = l1.bytes / l1.ways;
  return lines <= l1.ways * (way / std::gcd(way, std::max<Index>(distance, 1) * static_cast<Index>(sizeof(T))));
}

// True if `rows` rows of `elements` elements, `distance` elements apart, fit in half of the second level. Rows whose
// distance is a multiple of a large power of two map to few of its sets.
template <class T>
bool rows_fit(Index rows, Index elements, Index distance) {
  constexpr Index size = static_cast<Index>(sizeof(T));
  const CacheLevel& l2 = caches().l2;
  return rows * std::max(elements * size, std::gcd(l2.bytes / l2.ways, distance * size)) <= bytes_of_core(l2) / 2;
}

// Number of columns of B that are packed at a time in a product of k steps. They take an eighth of the third level, or
// half of the second level if there is no third.
template <class T>
Index packed_columns(Index k) {
  const Index bytes = caches().l3.bytes > 0 ? caches().l3.bytes / 8 : bytes_of_core(caches().l2) / 2;
  const Index width = kernels<T>().tile_columns;
  const Index panels = bytes / (std::max<Index>(k, 1) * width * static_cast<Index>(sizeof(T)));
  return std::max<Index>(panels, 4) * width;
}

}  // namespace chainrule
