// Products with rows of a sparse matrix. Only stored elements are multiplied, in the order of the columns. The result
// has the bits of the dense product, because the terms left out would add 0.
#pragma once

#include "dot.h"
#include "kernels.h"
#include "random.h"
#include "simd.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

// Calls visit(columns, values, count) for successive pieces of a row. With dropout, the values are multiplied by their
// dropout factors.
template <class T, class Visit>
inline void visit_row(const SparseRows<T>& x, const InputDropout& dropout, Index i, Visit visit) {
  const Index row = x.rows != nullptr ? x.rows[i] : i, end = x.indptr[row + 1];
  Index k = x.indptr[row];
  if (dropout.settings == nullptr) return visit(x.indices + k, x.values + k, end - k);
  const T scale = dropout_scale<T>(*dropout.settings);
  const Index place = dropout.row + i;
  constexpr Index L = lanes<float>;
  for (; k < end; k += L) {
    const Index count = end - k < L ? end - k : L;
    Words columns{};
    for (Index c = 0; c < count; ++c) columns[c] = static_cast<std::uint32_t>(x.indices[k + c]);
    Word4 words[1];
    dropout_words(*dropout.settings, columns, static_cast<std::uint32_t>(place / 8), words);
    const Words word = words[0][place % 8 / 2], bits = place % 2 == 0 ? word & 0xffff : word >> 16;
    T kept[L];
    for (Index c = 0; c < count; ++c) kept[c] = bits[c] < dropout.settings->kept ? x.values[k + c] * scale : T(0);
    visit(x.indices + k, kept, count);
  }
}

// Computes N vectors of outputs from output j on; the last one may be ragged.
template <class T, int N, bool Ragged>
inline void sparse_forward_outputs(const SparseForward<T>& p, Index i, Index j) {
  constexpr int L = lanes<T>;
  const Tail<T> tail(Ragged ? p.n - j - (N - 1) * L : L);
  const auto read = [&tail](const T* from, int v) {
    return Ragged && v == N - 1 ? load(from + v * L, tail) : load(from + v * L);
  };
  Vec<T> acc[N];
#pragma GCC unroll 16
  for (int v = 0; v < N; ++v) acc[v] = read(p.bias + j, v);
  visit_row(p.x, p.dropout, i, [&](const std::int32_t* columns, const T* values, Index count) {
    for (Index k = 0; k < count; ++k) {
      const T* w = p.w + columns[k] * p.ldw + j;
      const Vec<T> x = splat(values[k]);
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) acc[v] = fma(x, read(w, v), acc[v]);
    }
  });
#pragma GCC unroll 16
  for (int v = 0; v < N; ++v)
    if (Ragged && v == N - 1)
      store(p.z + i * p.ldz + j + v * L, acc[v], tail);
    else
      store(p.z + i * p.ldz + j + v * L, acc[v]);
}

template <class T>
void sparse_forward(const SparseForward<T>& p) {
  constexpr Index L = lanes<T>;
  for (Index i = 0; i < p.m; ++i) {
    Index j = 0;
    for (; j + 8 * L <= p.n; j += 8 * L) sparse_forward_outputs<T, 8, false>(p, i, j);
    for (; j + 4 * L <= p.n; j += 4 * L) sparse_forward_outputs<T, 4, false>(p, i, j);
    for (; j + L <= p.n; j += L) sparse_forward_outputs<T, 1, false>(p, i, j);
    if (j < p.n) sparse_forward_outputs<T, 1, true>(p, i, j);
  }
}

// The product for a single output, summed with the chains and the tree of dot_rows.
template <class T>
void sparse_dot(const SparseForward<T>& p) {
  for (Index i = 0; i < p.m; ++i) {
    T sum[dot_chains] = {};
    visit_row(p.x, p.dropout, i, [&](const std::int32_t* columns, const T* values, Index count) {
      for (Index k = 0; k < count; ++k) {
        T& chain = sum[columns[k] % dot_chains];
        chain = fma(splat(values[k]), splat(p.w[columns[k]]), splat(chain))[0];
      }
    });
#pragma GCC unroll 16
    for (int half = dot_chains / 2; half > 0; half /= 2)
#pragma GCC unroll 16
      for (int c = 0; c < half; ++c) sum[c] += sum[c + half];
    p.z[i * p.ldz] = *p.bias + sum[0];
  }
}

// Computes N whole vectors of outputs from output j on.
template <class T, int N>
inline void sparse_gradient_outputs(const SparseGradient<T>& p, Index i, Index j) {
  constexpr int L = lanes<T>;
  Vec<T> dz[N];
#pragma GCC unroll 16
  for (int v = 0; v < N; ++v) dz[v] = load(p.dz + i * p.lddz + j + v * L);
  visit_row(p.x, p.dropout, i, [&](const std::int32_t* columns, const T* values, Index count) {
    for (Index k = 0; k < count; ++k) {
      T* dw = p.dw + columns[k] * p.lddw + j;
      const Vec<T> x = splat(values[k]);
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) store(dw + v * L, fma(x, dz[v], load(dw + v * L)));
    }
  });
}

template <class T>
void sparse_gradient(const SparseGradient<T>& p) {
  constexpr Index L = lanes<T>;
  for (Index i = 0; i < p.m; ++i) {
    Index j = 0;
    for (; j + 8 * L <= p.n; j += 8 * L) sparse_gradient_outputs<T, 8>(p, i, j);
    for (; j + 4 * L <= p.n; j += 4 * L) sparse_gradient_outputs<T, 4>(p, i, j);
    for (; j + L <= p.n; j += L) sparse_gradient_outputs<T, 1>(p, i, j);
    if (j == p.n) continue;
    const Tail<T> tail(p.n - j);
    const Vec<T> dz = load(p.dz + i * p.lddz + j, tail);
    visit_row(p.x, p.dropout, i, [&](const std::int32_t* columns, const T* values, Index count) {
      for (Index k = 0; k < count; ++k) {
        T* dw = p.dw + columns[k] * p.lddw + j;
        store(dw, fma(splat(values[k]), dz, load(dw, tail)), tail);
      }
    });
  }
}

}  // namespace
}  // namespace chainrule::CHAINRULE_ISA
