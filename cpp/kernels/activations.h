// The activations of hidden layers: a = g(z), and the slope g' written with a, so that z need not be kept.
// To add one: its name in chainrule/names.h, a struct here, two entries in kernels.cpp.
#pragma once

#include "map.h"
#include "math.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

struct Identity {
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return z;
  }
  template <class T>
  static Vec<T> backward(Vec<T>, Vec<T> da) {
    return da;
  }
};

struct Logistic {  // g = 1 / (1 + exp(-z)), g' = a (1 - a)
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return logistic<T>(z);
  }
  template <class T>
  static Vec<T> backward(Vec<T> a, Vec<T> da) {
    return da * (a * (T(1) - a));
  }
};

struct Tanh {  // g' = 1 - a²
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return tanh<T>(z);
  }
  template <class T>
  static Vec<T> backward(Vec<T> a, Vec<T> da) {
    return da * fma(-a, a, splat(T(1)));
  }
};

struct Relu {  // g = max(z, 0), NaN kept; g' = 1 where a > 0, else 0
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return max(Vec<T>{}, z);
  }
  template <class T>
  static Vec<T> backward(Vec<T> a, Vec<T> da) {
    return select<T>(a > Vec<T>{}, da, Vec<T>{});
  }
};

template <class T, class G>
void activate(Index m, Index n, const T* z, Index ldz, T* a, Index lda) {
  map_matrix<T>(m, n, [](Vec<T> zv) { return G::template value<T>(zv); }, Rows<T>{a, lda}, Rows<const T>{z, ldz});
}

template <class T, class G>
void activate_backward(Index m, Index n, const T* a, Index lda, const T* da, Index ldda, T* dz, Index lddz) {
  map_matrix<T>(
      m, n, [](Vec<T> av, Vec<T> dav) { return G::template backward<T>(av, dav); }, Rows<T>{dz, lddz},
      Rows<const T>{a, lda}, Rows<const T>{da, ldda});
}

// dz = a * da.
template <class T>
void multiply(Index m, Index n, const T* a, Index lda, const T* da, Index ldda, T* dz, Index lddz) {
  map_matrix<T>(
      m, n, [](Vec<T> av, Vec<T> dav) { return av * dav; }, Rows<T>{dz, lddz}, Rows<const T>{a, lda},
      Rows<const T>{da, ldda});
}

}  // namespace
}  // namespace chainrule::CHAINRULE_ISA
