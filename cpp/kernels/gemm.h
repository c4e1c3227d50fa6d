// The matrix product. A register tile of tile_rows x tile_vectors vectors accumulates over k, with one fused
// multiply-add per element and step, so every element is summed in the order of k for every tile size. The arithmetic
// contract of cpp/README.md requires this order. Packing and the cache-blocking loops around gemm_block are in
// core/gemm.
#pragma once

#include "few_rows.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

// How a finished tile is stored. relu and its slope are applied in registers; other activations are applied to a whole
// panel later.
enum class Store { plain, relu, relu_backward };

template <class T>
inline constexpr Index line = 64 / static_cast<Index>(sizeof(T));  // a cache line, in elements

template <class T>
inline constexpr int vectors_per_line = static_cast<int>(line<T>) / lanes<T>;

template <class T>
struct TileArgs {
  Index k;
  bool in_rows;  // A has Layout::rows; otherwise consecutive rows of A are adjacent in memory
  const T* a;
  Index lda;
  const T* b;
  Index ldb;
  T* c;
  Index ldc;
  const T* from;  // initial values of the sums, with rows ld_from apart; null: 0
  Index ld_from;
  Addends<T> addends;
  Store store;
  const T* slope;  // relu_backward: the activations
  Index ld_slope;
  Index columns;
  // Prefetched while the tile computes, unless null; only if A is not in rows. next: the next panel, one cache line
  // every two steps. rows: see RowFetch.
  const T* next;
  RowFetch<T>* rows;
  const T* next_c;  // C of the next tile
};

template <class T>
inline void fetch_some(RowFetch<T>& f) {
  for (Index i = 0; i < f.lines && f.rows != f.end; ++i) {
    __builtin_prefetch(f.x + *f.rows * f.row_stride + f.column, 0, 2);
    f.column += line<T>;
    if (f.column < f.cols + line<T>) continue;  // one line more than cols, as a row may begin in the middle of a line
    f.column = 0;
    ++f.rows;
  }
}

// Computes MR rows x NV vectors. Ragged: the last vector may be only partly inside the matrix. Where masked loads are
// free, this variant also serves whole vectors, which it stores without a mask because later loads wait for masked
// stores.
template <class T, int MR, int NV, bool Ragged>
void gemm_tile(const TileArgs<T>& t) {
  constexpr int L = lanes<T>;
  const bool ragged = Ragged && (!free_masks || t.columns < NV * L);
  const Tail<T> tail(ragged ? t.columns - (NV - 1) * L : L);
  const auto read = [&tail](const T* p, int v) {
    return Ragged && v == NV - 1 ? load(p + v * L, tail) : load(p + v * L);
  };
  Vec<T> acc[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) {
      acc[i][v] = t.from == nullptr ? Vec<T>{} : read(t.from + i * t.ld_from, v);
    }
  // Prefetch C of the next tile: a load from the third level takes as long as 10 to 30 steps.
  if (t.next_c != nullptr)
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
      for (int v = 0; v < NV; v += vectors_per_line<T>) __builtin_prefetch(t.next_c + i * t.ldc + v * L, 1);
  if (t.store == Store::relu_backward)
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
      for (int v = 0; v < NV; v += vectors_per_line<T>) __builtin_prefetch(t.slope + i * t.ld_slope + v * L);
  const T* b = t.b;
  const Index lda = t.lda, ldb = t.ldb;
  const auto add_step = [&](auto a) {  // a(i): the element of A in row i
    Vec<T> bv[NV];
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) bv[v] = read(b, v);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const Vec<T> ai = splat(a(i));
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) acc[i][v] = fma(ai, bv[v], acc[i][v]);
    }
    b += ldb;
  };
  if (t.in_rows) [[likely]] {  // otherwise GCC does not align the loop
    // Three rows share a pointer, so that five pointers and three offsets address 14 rows without spilling.
    constexpr int groups = (MR + 2) / 3;
    const T* a[groups];
#pragma GCC unroll 16
    for (int g = 0; g < groups; ++g) a[g] = t.a + 3 * g * lda;
    for (Index p = t.k; p > 0; --p) {
      add_step([&](int i) { return a[i / 3][i % 3 * lda]; });
#pragma GCC unroll 16
      for (int g = 0; g < groups; ++g) ++a[g];
    }
  } else {
    const T* a = t.a;
    const T* next = t.next;
    const bool fetch_rows = t.rows != nullptr && t.rows->rows != t.rows->end;
    const Index steps = next != nullptr || fetch_rows ? fetch_steps : t.k;
    for (Index left = t.k; left > 0; left -= steps) {
      if (next != nullptr) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) __builtin_prefetch(next + i * line<T>, 0, 2);
        next += 4 * line<T>;
      }
      if (fetch_rows) fetch_some(*t.rows);
      for (Index p = left < steps ? left : steps; p > 0; --p, a += lda) add_step([&](int i) { return a[i]; });
    }
  }
  for (Index s = 0; s < t.addends.count; ++s) {
    const T* x = t.addends.x[s] + t.addends.at;
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) acc[i][v] = read(x + i * t.ldc, v) + acc[i][v];
  }
  const auto finish = [&](auto value) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) acc[i][v] = value(acc[i][v], i, v);
  };
  if (t.store == Store::relu)
    finish([](Vec<T> r, int, int) { return Relu::value<T>(r); });
  else if (t.store == Store::relu_backward)
    finish([&](Vec<T> r, int i, int v) { return Relu::backward<T>(read(t.slope + i * t.ld_slope, v), r); });
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) {
      T* c = t.c + i * t.ldc + v * L;
      if (v == NV - 1 && ragged)
        store(c, acc[i][v], tail);
      else
        store(c, acc[i][v]);
    }
}

// gemm_tile by number of rows - 1, vectors - 1 and raggedness.
template <class T>
struct TileTable {
  void (*tile[tile_rows][tile_vectors][2])(const TileArgs<T>&);
};
template <class T, int MR = 1>
constexpr void fill_tiles(TileTable<T>& table) {
  static_assert(tile_vectors == 2);
  auto& tile = table.tile[MR - 1];
  tile[0][0] = gemm_tile<T, MR, 1, free_masks>;
  tile[0][1] = gemm_tile<T, MR, 1, true>;
  tile[1][0] = gemm_tile<T, MR, 2, (free_masks && MR < 12)>;  // in the tiles of large products, masks take 1 %
  tile[1][1] = gemm_tile<T, MR, 2, true>;
  if constexpr (MR < tile_rows) fill_tiles<T, MR + 1>(table);
}
template <class T>
constexpr TileTable<T> make_tiles() {
  TileTable<T> table{};
  fill_tiles(table);
  return table;
}
template <class T>
inline constexpr TileTable<T> tiles = make_tiles<T>();

// The part of an epilogue that the tile applies in registers.
template <class T>
Store fused(const Epilogue<T>& e, const T* c) {
  if (e.activate == activate<T, Relu> && e.a == c) return Store::relu;
  if (e.activate_backward == activate_backward<T, Relu>) return Store::relu_backward;
  return Store::plain;
}

// The inner loops of the product: `depth` steps of a panel of B stay in the first-level cache while all row tiles of A
// are multiplied by them. g.sums holds the partial sums between one `depth` and the next.
template <class T>
void gemm_block(const GemmBlock<T>& g) {
  if (g.m == 1 && g.b_layout == Layout::rows && g.c_layout == Layout::rows && g.addends.count == 0)
    return gemm_one_row(g);
  constexpr Index width = tile_vectors * lanes<T>;
  const Index row_tiles = (g.m + tile_rows - 1) / tile_rows;
  const Epilogue<T>& e = g.epilogue;
  const Store store = fused(e, g.c);
  const bool a_packed = g.a_layout == Layout::packed, in_rows = g.a_layout == Layout::rows;
  const bool b_packed = g.b_layout == Layout::packed, c_packed = g.c_layout == Layout::packed;
  for (Index j = 0; j < g.n; j += width) {
    const Index columns = g.n - j < width ? g.n - j : width;
    const Index vectors = (columns + lanes<T> - 1) / lanes<T>, step = vectors * lanes<T>;
    const bool ragged = columns % lanes<T> != 0;
    const Index ldb = b_packed ? step : g.ldb, ldc = c_packed ? step : g.ldc;
    const T* b = b_packed ? g.b + j * g.b_rows + g.b_first * step : g.b + j;
    T* const panel = c_packed ? g.c + j * g.c_rows + g.c_first * step : g.c + j;
    const T* from = g.start == Start::zero ? nullptr : g.start == Start::bias ? g.bias + j : panel;
    Index ld_from = g.start == Start::bias ? 0 : ldc;
    for (Index p = 0; p == 0 || p < g.k; p += g.depth) {
      const Index steps = g.k - p < g.depth ? g.k - p : g.depth;
      const bool last = p + steps == g.k;
      T* const c = last ? panel : g.sums;
      const Index ld = last ? ldc : step;
      for (Index t = 0, row = 0; t < row_tiles; ++t) {  // rows are split evenly: 13 + 12, not 14 + 11
        const Index row_end = g.m * (t + 1) / row_tiles, rows = row_end - row, lda = a_packed ? rows : g.lda;
        const T* a = g.a + row * (a_packed ? g.k : in_rows ? g.lda : 1) + p * (in_rows ? 1 : lda);
        const T* next_c = last && steps > 64 ? panel + row_end * ldc : nullptr;  // no gain for short tiles
        const T* next_b = g.fetch_b ? b + width * g.b_rows + p * step + t * (steps / 2 * line<T>) : nullptr;
        Addends<T> addends;
        if (last) addends = {g.addends.x, g.addends.count, g.addends.at + (panel + row * ldc - g.c)};
        const TileArgs<T> tile{steps,
                               in_rows,
                               a,
                               lda,
                               b + p * ldb,
                               ldb,
                               c + row * ld,
                               ld,
                               from == nullptr ? from : from + row * ld_from,
                               ld_from,
                               addends,
                               last ? store : Store::plain,
                               e.a + row * e.lda + j,
                               e.lda,
                               columns,
                               next_b,
                               g.fetch,
                               next_c};
        tiles<T>.tile[rows - 1][vectors - 1][ragged](tile);
        row = row_end;
      }
      from = g.sums;
      ld_from = step;
    }
    if (store == Store::plain) apply_epilogue(e, g.m, columns, j, g.c, g.ldc);
  }
}

}  // namespace
}  // namespace chainrule::CHAINRULE_ISA
