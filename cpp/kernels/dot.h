// The product with a single column, for a layer with one output: a sum along each row, by 16 interleaved chains of
// fused multiply-adds that are then added as a tree. The number of chains does not depend on the vector length. Lanes
// hold different rows only in the last steps of the tree, so neither operand is packed.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

inline constexpr int dot_chains = 16;

// Calls visit(Constant<N>, j) for groups of N vectors that begin at column j; the N chains hide each other's latency.
// The width is a multiple of slice_width.
template <class T, class Visit>
inline void for_groups(Index width, Visit visit) {
  constexpr Index L = lanes<T>, vectors = slice_width / L;
  Index j = 0;
  for (; j + 4 * L <= width; j += 4 * L) visit(Constant<4>{}, j);
  if constexpr (vectors < 4)
    for (; j + 2 * L <= width; j += 2 * L) visit(Constant<2>{}, j);
  if constexpr (vectors < 2)
    if (j < width) visit(Constant<1>{}, j);
}

// Computes the chains of `Rows` rows of a and adds them until one vector per row is left.
template <class T, int Rows>
inline void dot_group(Index k, const T* a, Index lda, const T* w, Vec<T>* sum) {
  constexpr int L = lanes<T>, V = dot_chains / L;
  Vec<T> acc[Rows][V] = {};
  Index p = 0;
  for (; p + dot_chains <= k; p += dot_chains)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      const Vec<T> wv = load(w + p + v * L);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) acc[r][v] = fma(load(a + r * lda + p + v * L), wv, acc[r][v]);
    }
  for (int v = 0; v < V && p < k; ++v, p += L) {
    const Tail<T> tail(k - p < L ? k - p : L);
    const Vec<T> wv = load(w + p, tail);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) acc[r][v] = fma(load(a + r * lda + p, tail), wv, acc[r][v]);
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int half = V / 2; half > 0; half /= 2)
#pragma GCC unroll 4
      for (int v = 0; v < half; ++v) acc[r][v] = acc[r][v] + acc[r][v + half];
    sum[r] = acc[r][0];
  }
}

// out[i * step] = bias + Σ_p a(i, p) w[p] for m rows of k elements.
template <class T>
void dot_rows(Index m, Index k, const T* a, Index lda, const T* w, T bias, T* out, Index step) {
  constexpr int L = lanes<T>, rows = 8 * L / dot_chains > 0 ? 8 * L / dot_chains : 1;  // 8 accumulators
  Index i = 0;
  if (step == 1)
    for (; i + L <= m; i += L) {
      Vec<T> t[L];
#pragma GCC unroll 16
      for (int r = 0; r < L; r += rows) dot_group<T, rows>(k, a + (i + r) * lda, lda, w, t + r);
      transpose<T>(t);
#pragma GCC unroll 4
      for (int half = L / 2; half > 0; half /= 2)
#pragma GCC unroll 8
        for (int c = 0; c < half; ++c) t[c] = t[c] + t[c + half];
      store(out + i, splat(bias) + t[0]);
    }
  for (; i < m; ++i) {
    Vec<T> sum;
    dot_group<T, 1>(k, a + i * lda, lda, w, &sum);
    out[i * step] = bias + sum_lanes<T>(sum);
  }
}

// dw[p] = Σ_i dz[i] x(i, p), one chain over the rows per column, for N vectors of columns, of which the first `columns`
// are inside the matrix. Calls after(i, v, x, dz) for every vector of x. Returns Σ_i dz[i], summed in the same order.
template <class T, int N, class Read, class After>
inline T one_output_columns(Index m, Index columns, const T* dz, T* dw, Read read, After after) {
  constexpr int L = lanes<T>;
  Vec<T> acc[N] = {}, sum{};
  for (Index i = 0; i < m; ++i) {
    const Vec<T> d = splat(dz[i]);
    sum = sum + d;
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) {
      const Vec<T> x = read(i, v);
      acc[v] = fma(d, x, acc[v]);
      after(i, v, x, d);
    }
  }
#pragma GCC unroll 16
  for (int v = 0; v < N; ++v) {
    const Index left = columns - v * L;
    if (left >= L)
      store(dw + v * L, acc[v]);  // not masked: a later load of this vector would stall on a masked store
    else
      store(dw + v * L, acc[v], Tail<T>(left < 0 ? 0 : left));
  }
  return sum[0];
}

// dw (n) and db of a layer with one output, from its dz and its inputs x.
template <class T>
void one_output_gradients(Index m, Index n, const T* dz, const T* x, Index ldx, T* dw, T* db) {
  constexpr int L = lanes<T>;
  for (Index p = 0; p < n; p += L) {
    const Tail<T> tail(n - p < L ? n - p : L);
    *db = one_output_columns<T, 1>(
        m, n - p, dz, dw + p, [&](Index i, int) { return load(x + i * ldx + p, tail); },
        [](Index, int, Vec<T>, Vec<T>) {});
  }
}

// The same, but also overwrites the inputs a with dz[i] w[p] g'(a(i, p)) and computes the column sums of the result.
// Rows of a and w are padded to multiples of slice_width; all padding becomes zero.
template <class T, class G>
void one_output_backward(Index m, Index n, const T* dz, const T* w, T* a, Index lda, T* dw, T* db, T* sums) {
  constexpr int L = lanes<T>;
  for_groups<T>(padded_width(n), [&](auto vectors, Index p) {
    constexpr int N = decltype(vectors)::value;
    Vec<T> wv[N], sum[N] = {};
#pragma GCC unroll 16
    for (int v = 0; v < N; ++v) wv[v] = load(w + p + v * L);
    *db = one_output_columns<T, N>(
        m, n - p, dz, dw + p, [&](Index i, int v) { return load(a + i * lda + p + v * L); },
        [&](Index i, int v, Vec<T> x, Vec<T> d) {
          const Vec<T> before = G::template backward<T>(x, d * wv[v]);
          store(a + i * lda + p + v * L, before);
          sum[v] = sum[v] + before;
        });
#pragma GCC unroll 16
    for (int v = 0; v < N; ++v) store(sums + p + v * L, sum[v]);
  });
}

}  // namespace
}  // namespace chainrule::CHAINRULE_ISA
