// The matrix product. A register tile of tile_rows x tile_vectors vectors accumulates over k, one fused multiply-add
// per element and step, so every element is summed in the order of k whatever the tile: the arithmetic contract.
// Packing and the cache-blocking loops around gemm_block are in core/gemm.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

template <class T>
struct TileArgs {
  Index k;
  const T* a;
  Index a_step;
  const T* b;
  Index b_step;
  T* c;
  Index ldc;
  const T* bias;
  Start start;
  Finish finish;
  Index columns;
};

// MR rows x NV vectors; Ragged: the last vector is only partly inside the matrix.
template <class T, int MR, int NV, bool Ragged>
void gemm_tile(const TileArgs<T>& t) {
  constexpr int L = lanes<T>;
  const Tail<T> tail(Ragged ? t.columns - (NV - 1) * L : L);
  const auto read = [&tail](const T* p, int v) {
    return Ragged && v == NV - 1 ? load(p + v * L, tail) : load(p + v * L);
  };
  Vec<T> acc[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) {
      if (t.start == Start::zero)
        acc[i][v] = Vec<T>{};
      else
        acc[i][v] = read(t.start == Start::bias ? t.bias : t.c + i * t.ldc, v);
    }
  const T* a = t.a;
  const T* b = t.b;
  const Index a_step = t.a_step, b_step = t.b_step;
  for (Index p = t.k; p > 0; --p) {
    Vec<T> bv[NV];
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) bv[v] = read(b, v);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const Vec<T> ai = splat(a[i]);
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) acc[i][v] = fma(ai, bv[v], acc[i][v]);
    }
    a += a_step;
    b += b_step;
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) {
      T* c = t.c + i * t.ldc;
      const Vec<T> r = t.finish == Finish::add ? read(c, v) + acc[i][v] : acc[i][v];
      if (Ragged && v == NV - 1)
        store(c + v * L, r, tail);
      else
        store(c + v * L, r);
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
  table.tile[MR - 1][0][0] = gemm_tile<T, MR, 1, false>;
  table.tile[MR - 1][0][1] = gemm_tile<T, MR, 1, true>;
  table.tile[MR - 1][1][0] = gemm_tile<T, MR, 2, false>;
  table.tile[MR - 1][1][1] = gemm_tile<T, MR, 2, true>;
  if constexpr (MR < tile_rows) fill_tiles<T, MR + 1>(table);
}
template <class T>
constexpr TileTable<T> make_tiles() {
  TileTable<T> table{};
  fill_tiles<T>(table);
  return table;
}
template <class T>
inline constexpr TileTable<T> tiles = make_tiles<T>();

// Of columns [j, j + n) of an m-row product.
template <class T>
void apply_epilogue(const Epilogue<T>& e, Index m, Index n, Index j, T* c, Index ldc) {
  if (e.activate != nullptr) e.activate(m, n, c + j, ldc, e.a + j, e.lda);
  if (e.activate_backward != nullptr) e.activate_backward(m, n, e.a + j, e.lda, c + j, ldc, c + j, ldc);
}

// The two inner loops of the product: a panel of B stays in the first-level cache while all rows of A pass by.
template <class T>
void gemm_block(const GemmBlock<T>& g) {
  constexpr Index width = tile_vectors * lanes<T>;
  const Index row_tiles = (g.m + tile_rows - 1) / tile_rows;
  for (Index j = 0; j < g.n; j += width) {
    const Index columns = g.n - j < width ? g.n - j : width;
    const Index vectors = (columns + lanes<T> - 1) / lanes<T>;
    const bool ragged = columns % lanes<T> != 0;
    for (Index t = 0; t < row_tiles; ++t) {  // rows split evenly: 13 + 12, not 14 + 11
      const Index row = g.m * t / row_tiles, rows = g.m * (t + 1) / row_tiles - row;
      tiles<T>.tile[rows - 1][vectors - 1][ragged]({g.k, g.a + row * g.a_row, g.a_packed ? rows : g.a_step,
                                                    g.b + j * g.b_col, g.b_packed ? vectors * lanes<T> : g.b_step,
                                                    g.c + row * g.ldc + j, g.ldc, g.bias ? g.bias + j : nullptr,
                                                    g.start, g.finish, columns});
    }
    apply_epilogue(g.epilogue, g.m, columns, j, g.c, g.ldc);
  }
}

// dst[p * step + i] = src[i * stride_i + p * stride_k], zero for count <= i < step: a packed panel of A or B.
template <class T>
void pack_panel(Index count, Index step, Index k, const T* src, Index stride_i, Index stride_k, T* dst) {
  constexpr int L = lanes<T>;
  if (stride_k == 1 && stride_i != 1) {  // rows become columns, a square block of registers at a time
    for (Index i = 0; i < step; i += L) {
      const Index rows = count - i < L ? count - i : L, columns = step - i < L ? step - i : L;
      const Tail<T> column_tail(columns);
      for (Index p = 0; p < k; p += L) {
        const Index depth = k - p < L ? k - p : L;
        Vec<T> v[L];
        if (depth == L) {
          for (int r = 0; r < L; ++r) v[r] = r < rows ? load(src + (i + r) * stride_i + p) : Vec<T>{};
        } else {
          const Tail<T> depth_tail(depth);
          for (int r = 0; r < L; ++r) v[r] = r < rows ? load(src + (i + r) * stride_i + p, depth_tail) : Vec<T>{};
        }
        transpose<T>(v);
        T* to = dst + p * step + i;
        if (columns == L && depth == L) {
#pragma GCC unroll 16
          for (int q = 0; q < L; ++q) store(to + q * step, v[q]);
        } else {
          for (int q = 0; q < depth; ++q) store(to + q * step, v[q], column_tail);
        }
      }
    }
    return;
  }
  for (Index p = 0; p < k; ++p, dst += step) {
    const T* from = src + p * stride_k;
    if (stride_i == 1) {
      Index i = 0;
      for (; i + L <= count; i += L) store(dst + i, load(from + i));
      if (i < count) {
        const Tail<T> tail(count - i);
        store(dst + i, load(from + i, tail), tail);
      }
    } else {
      for (Index i = 0; i < count; ++i) dst[i] = from[i * stride_i];
    }
    for (Index i = count; i < step; ++i) dst[i] = T(0);
  }
}

// Few rows: the weights are transposed block by block in registers on their way to the accumulators, two groups of
// outputs at once to hide the latency of the chains.
template <class T, int M, int Groups>
void gemm_few_rows_group(const GemmFewRows<T>& g, Index first, Index count) {
  constexpr int L = lanes<T>;
  Vec<T> acc[Groups][M];
#pragma GCC unroll 2
  for (int s = 0; s < Groups; ++s)
#pragma GCC unroll 8
    for (int r = 0; r < M; ++r)
      acc[s][r] = g.bias == nullptr ? Vec<T>{} : load(g.bias + first + s * L, Tail<T>(count < L ? count : L));
  for (Index p = 0; p < g.k; p += L) {
    const Index depth = g.k - p < L ? g.k - p : L;
#pragma GCC unroll 2
    for (int s = 0; s < Groups; ++s) {
      const T* w = g.w + (first + s * L) * g.ldw + p;
      Vec<T> v[L];
      if (depth == L && count >= L) {
#pragma GCC unroll 16
        for (int j = 0; j < L; ++j) v[j] = load(w + j * g.ldw);
      } else {
        const Tail<T> tail(depth);
        for (int j = 0; j < L; ++j) v[j] = j < count ? load(w + j * g.ldw, tail) : Vec<T>{};
      }
      transpose<T>(v);
      if (depth == L) {
#pragma GCC unroll 16
        for (int q = 0; q < L; ++q)
#pragma GCC unroll 8
          for (int r = 0; r < M; ++r) acc[s][r] = fma(splat(g.a[r * g.lda + p + q]), v[q], acc[s][r]);
      } else {
        for (int q = 0; q < depth; ++q)
          for (int r = 0; r < M; ++r) acc[s][r] = fma(splat(g.a[r * g.lda + p + q]), v[q], acc[s][r]);
      }
    }
  }
  for (int s = 0; s < Groups; ++s)
    for (int r = 0; r < M; ++r) store(g.c + r * g.ldc + first + s * L, acc[s][r], Tail<T>(count < L ? count : L));
}

inline constexpr int few_rows = 8;

template <class T, int M = 1>
void gemm_exactly_m_rows(const GemmFewRows<T>& g) {
  if constexpr (M < few_rows) {
    if (g.m > M) return gemm_exactly_m_rows<T, M + 1>(g);
  }
  constexpr int L = lanes<T>;
  Index j = 0;
  for (; j + 2 * L <= g.n; j += 2 * L) gemm_few_rows_group<T, M, 2>(g, j, L);
  for (; j < g.n; j += L) gemm_few_rows_group<T, M, 1>(g, j, g.n - j);
}

template <class T>
void gemm_few_rows(const GemmFewRows<T>& g) {
  if (g.m == 0) return;
  gemm_exactly_m_rows(g);
  apply_epilogue(g.epilogue, g.m, g.n, 0, g.c, g.ldc);
}

// The sums of the columns of at most sum_rows rows: one chain of additions a column, in the order of the rows.
template <class T>
void column_sums(Index m, Index n, const T* x, Index ldx, T* sums, Finish finish) {
  for (Index j = 0; j < n; j += lanes<T>) {
    const Tail<T> tail(n - j < lanes<T> ? n - j : lanes<T>);
    Vec<T> sum{};
    for (Index i = 0; i < m; ++i) sum = sum + load(x + i * ldx + j, tail);
    store(sums + j, finish == Finish::add ? load(sums + j, tail) + sum : sum, tail);
  }
}

}  // namespace
}  // namespace chainrule::CHAINRULE_ISA
