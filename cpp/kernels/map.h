// Applies a formula on vectors to every element of a matrix. The ragged end of a row is handled here, once, for
// everybody.
#pragma once

#include "simd.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

// out[j] = f(x1[j], x2[j], ...) for j < n; out may be one of the x.
template <class T, class F, class... Source>
inline void map_vector(Index n, F f, T* out, Source*... x) {
  Index j = 0;
  for (; j + lanes<T> <= n; j += lanes<T>) store(out + j, f(load(x + j)...));
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

// out(i, j) = f(x1(i, j), x2(i, j), ...) for m x n elements; out may be one of the x.
template <class T, class F, class... Source>
inline void map_matrix(Index m, Index n, F f, Rows<T> out, Rows<const Source>... x) {
  if (out.ld == n && ((x.ld == n) && ...)) {  // without gaps it is one long vector
    map_vector(m * n, f, out.data, x.data...);
    return;
  }
  for (Index i = 0; i < m; ++i) map_vector(n, f, out.data + i * out.ld, (x.data + i * x.ld)...);
}

}  // namespace
}  // namespace chainrule::CHAINRULE_ISA
