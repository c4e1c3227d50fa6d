// Products of one or a few rows. Nothing is packed: such products are limited by the latency of the chains and by
// reading the weights, which are therefore read once and in order.
#pragma once

#include "activations.h"
#include "kernels.h"
#include "simd.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

// Applies the epilogue to columns [j, j + n) of a product of m rows.
template <class T>
void apply_epilogue(const Epilogue<T>& e, Index m, Index n, Index j, T* c, Index ldc) {
  if (e.activate != nullptr) e.activate(m, n, c + j, ldc, e.a + j, e.lda);
  if (e.activate_with_slope != nullptr) e.activate_with_slope(m, n, c + j, ldc, e.a + j, e.lda);
  if (e.activate_backward != nullptr) e.activate_backward(m, n, e.a + j, e.lda, c + j, ldc, c + j, ldc);
}

// One row of A; B is not packed. Processes half as many vectors of columns at once as there are registers, to read B in
// order and to hide the latency of the chains.
template <class T, int N, bool Ragged>
void gemm_row(const GemmBlock<T>& g, Index j) {
  constexpr int L = lanes<T>;
  const Tail<T> tail(Ragged ? g.n - j - (N - 1) * L : L);
  const auto read = [&tail](const T* p, int v) {
    return Ragged && v == N - 1 ? load(p + v * L, tail) : load(p + v * L);
  };
  Vec<T> acc[N] = {};
  if (g.start != Start::zero)
#pragma GCC unroll 16
    for (int v = 0; v < N; ++v) acc[v] = read((g.start == Start::bias ? g.bias : g.c) + j, v);
  const Index step = g.a_layout == Layout::columns ? g.lda : 1;
  const T *a = g.a, *b = g.b + j;
  for (Index p = 0; p < g.k; ++p, a += step, b += g.ldb)
#pragma GCC unroll 16
    for (int v = 0; v < N; ++v) acc[v] = fma(splat(*a), read(b, v), acc[v]);
#pragma GCC unroll 16
  for (int v = 0; v < N; ++v)
    if (Ragged && v == N - 1)
      store(g.c + j + v * L, acc[v], tail);
    else
      store(g.c + j + v * L, acc[v]);
}

template <class T>
void gemm_one_row(const GemmBlock<T>& g) {
  constexpr Index L = lanes<T>, N = tile_rows * tile_vectors > 16 ? 16 : 8;
  Index j = 0;
  for (; j + N * L <= g.n; j += N * L) gemm_row<T, N, false>(g, j);
  for (; j + 2 * L <= g.n; j += 2 * L) gemm_row<T, 2, false>(g, j);
  for (; j + L <= g.n; j += L) gemm_row<T, 1, false>(g, j);
  if (j < g.n) gemm_row<T, 1, true>(g, j);
  apply_epilogue(g.epilogue, 1, g.n, 0, g.c, g.ldc);
}

// Few rows: transposes blocks of B in registers before they are multiplied, for two groups of columns at once if there
// are so few rows that their chains alone do not hide the latency: fewer than 5, as each chain waits 4 cycles for an
// fma and the shuffles of a block take as long as the fmas of 4 rows.
template <class T, int M, int Groups>
void gemm_few_rows_group(const GemmFewRows<T>& g, Index first, Index count) {
  constexpr int L = lanes<T>;
  Vec<T> acc[Groups][M] = {};
  for (Index p = 0; p < g.k; p += L) {
    const Index depth = g.k - p < L ? g.k - p : L;
#pragma GCC unroll 2
    for (int s = 0; s < Groups; ++s) {
      const T* b = g.b + (first + s * L) * g.ldb + p;
      Vec<T> v[L];
      if (!free_masks && depth == L && count >= L) {
#pragma GCC unroll 16
        for (int j = 0; j < L; ++j) v[j] = load(b + j * g.ldb);
      } else {
        const Tail<T> tail(depth);
#pragma GCC unroll 16
        for (int j = 0; j < L; ++j) v[j] = j < count ? load(b + j * g.ldb, tail) : Vec<T>{};
      }
      transpose<T>(v);
      if (depth == L) {
#pragma GCC unroll 16
        for (int q = 0; q < L; ++q)
#pragma GCC unroll 8
          for (int r = 0; r < M; ++r) acc[s][r] = fma(splat(g.a[r * g.lda + p + q]), v[q], acc[s][r]);
      } else {
        for (int q = 0; q < depth; ++q)
#pragma GCC unroll 16
          for (int r = 0; r < M; ++r) acc[s][r] = fma(splat(g.a[r * g.lda + p + q]), v[q], acc[s][r]);
      }
    }
  }
#pragma GCC unroll 16
  for (int s = 0; s < Groups; ++s)
#pragma GCC unroll 16
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
  if constexpr (M < 5)
    for (; j + 2 * L <= g.n; j += 2 * L) gemm_few_rows_group<T, M, 2>(g, j, L);
  for (; j < g.n; j += L) gemm_few_rows_group<T, M, 1>(g, j, g.n - j);
}

template <class T>
void gemm_few_rows(const GemmFewRows<T>& g) {
  if (g.m == 0) return;
  gemm_exactly_m_rows(g);
  apply_epilogue(g.epilogue, g.m, g.n, 0, g.c, g.ldc);
}

}  // namespace
}  // namespace chainrule::CHAINRULE_ISA
