// Copies a matrix into the panels of a product, and sums its columns (the gradient of the biases).
#pragma once

#include "kernels.h"
#include "simd.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

// Packs a panel of A or B: dst[p * step + i] = src[i * stride_i + p * stride_k], and 0 for count <= i < step. A row of
// dst that is no longer than a vector is stored as a whole vector, and the next rows overwrite the excess. Only the
// last rows use masked stores, which take 20 times as long on AVX2.
template <class T>
void pack_panel(Index count, Index step, Index k, const T* src, Index stride_i, Index stride_k, T* dst) {
  constexpr int L = lanes<T>;
  const Index overwritten = 0 < step && step <= L ? k - (L + step - 1) / step + 1 : 0;  // rows stored as whole vectors
  if (stride_k == 1 && stride_i != 1) {  // rows become columns, a square block of registers at a time
    for (Index i = 0; i < step; i += L) {
      const Index rows = count - i < L ? count - i : L, columns = step - i < L ? step - i : L;
      const Tail<T> column_tail(columns);
      for (Index p = 0; p < k; p += L) {
        const Index depth = k - p < L ? k - p : L;
        Vec<T> v[L];
        if (depth == L && rows == L) {
#pragma GCC unroll 16
          for (int r = 0; r < L; ++r) v[r] = load(src + (i + r) * stride_i + p);
        } else if (depth == L) {
#pragma GCC unroll 16
          for (int r = 0; r < L; ++r) v[r] = r < rows ? load(src + (i + r) * stride_i + p) : Vec<T>{};
        } else {
          const Tail<T> depth_tail(depth);
#pragma GCC unroll 16
          for (int r = 0; r < L; ++r) v[r] = r < rows ? load(src + (i + r) * stride_i + p, depth_tail) : Vec<T>{};
        }
        transpose<T>(v);
        T* to = dst + p * step + i;
        if (depth == L && (columns == L || p + L <= overwritten)) {
#pragma GCC unroll 16
          for (int q = 0; q < L; ++q) store(to + q * step, v[q]);
        } else {
          for (int q = 0; q < depth; ++q)
            if (p + q < overwritten)
              store(to + q * step, v[q]);
            else
              store(to + q * step, v[q], column_tail);
        }
      }
    }
    return;
  }
  const Index whole = stride_i == 1 ? count / L * L : 0;
  const Tail<T> tail(stride_i == 1 ? count - whole : 0);
  for (Index p = 0; p < k; ++p, dst += step) {
    const T* from = src + p * stride_k;
    for (Index i = 0; i < whole; i += L) store(dst + i, load(from + i));
    if (stride_i != 1)
      for (Index i = 0; i < count; ++i) dst[i] = from[i * stride_i];
    else if (whole < count && p < overwritten)
      store(dst + whole, load(from + whole, tail));
    else if (whole < count)
      store(dst + whole, load(from + whole, tail), tail);
    for (Index i = count; i < step; ++i) dst[i] = T(0);
  }
}

// Sums N vectors of columns from column j on, with one chain of additions per column, in the order of the rows. The
// last vector may be ragged.
template <class T, int N>
inline void column_group(Index m, Index j, const T* x, Index ldx, T* sums, Tail<T> tail, const Addends<T>& addends) {
  constexpr int L = lanes<T>;
  Vec<T> sum[N] = {};
  for (Index i = 0; i < m; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v + 1 < N; ++v) sum[v] = sum[v] + load(x + i * ldx + j + v * L);
    sum[N - 1] = sum[N - 1] + load(x + i * ldx + j + (N - 1) * L, tail);
  }
  for (Index s = 0; s < addends.count; ++s) {
    const T* before = addends.x[s] + addends.at + j;
#pragma GCC unroll 16
    for (int v = 0; v + 1 < N; ++v) sum[v] = load(before + v * L) + sum[v];
    sum[N - 1] = load(before + (N - 1) * L, tail) + sum[N - 1];
  }
#pragma GCC unroll 16
  for (int v = 0; v + 1 < N; ++v) store(sums + j + v * L, sum[v]);
  store(sums + j + (N - 1) * L, sum[N - 1], tail);
}

// The sums of the columns of at most sum_rows rows.
template <class T>
void column_sums(Index m, Index n, const T* x, Index ldx, T* sums, Addends<T> addends) {
  constexpr int L = lanes<T>;  // several chains hide the latency of an addition
  Index j = 0;
  for (; j + 4 * L <= n; j += 4 * L) column_group<T, 4>(m, j, x, ldx, sums, Tail<T>(L), addends);
  for (; j + 2 * L <= n; j += 2 * L) column_group<T, 2>(m, j, x, ldx, sums, Tail<T>(L), addends);
  for (; j < n; j += L) column_group<T, 1>(m, j, x, ldx, sums, Tail<T>(n - j < L ? n - j : L), addends);
}

}  // namespace
}  // namespace chainrule::CHAINRULE_ISA
