// Applies a vector formula to every element of a matrix. Callers need not handle the ragged end of a row.
#pragma once

#include "simd.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

// out[j] = f(x1[j], x2[j], ...) for j < n; out may be one of the inputs.
template <class T, class F, class... Source>
inline void map_vector(Index n, F f, T* out, Source*... x) {
  constexpr Index L = lanes<T>;
  Index j = 0;
  for (; j + 2 * L <= n; j += 2 * L) {  // two independent chains overlap
    const Vec<T> y[2] = {f(load(x + j)...), f(load(x + j + L)...)};
    store(out + j, y[0]);
    store(out + j + L, y[1]);
  }
  for (; j + L <= n; j += L) store(out + j, f(load(x + j)...));
  if (j < n) {
    const Tail<T> tail(n - j);
    store(out + j, f(load(x + j, tail)...), tail);
  }
}

template <class T>
struct Rows {
  T* data;
  Index ld;  // distance between rows
};

// out(i, j) = f(x1(i, j), x2(i, j), ...) for m x n elements; out may be one of the inputs.
template <class T, class F, class... Source>
inline void map_matrix(Index m, Index n, F f, Rows<T> out, Rows<const Source>... x) {
  if (out.ld == n && ((x.ld == n) && ...)) {  // the matrices have no gaps, so each is one long vector
    n *= m;
    m = 1;
  }
  for (Index i = 0; i < m; ++i) map_vector(n, f, out.data + i * out.ld, (x.data + i * x.ld)...);
}

}  // namespace
}  // namespace chainrule::CHAINRULE_ISA
