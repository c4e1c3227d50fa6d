// The activations of hidden layers: a = g(z), and dz = da g', given a where the slope can be written with it, so that z
// need not be kept, and else z. To add one: its name in chainrule/names.h, a struct here, its entry in kernels.cpp.
#pragma once

#include "map.h"
#include "math.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

struct SlopeOfA {
  static constexpr bool slope_reads_z = false;
};
struct SlopeOfZ {
  static constexpr bool slope_reads_z = true;
};

struct Identity : SlopeOfA {
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return z;
  }
  template <class T>
  static Vec<T> backward(Vec<T>, Vec<T> da) {
    return da;
  }
};

struct Logistic : SlopeOfA {  // g = 1 / (1 + exp(-z)), g' = a (1 - a)
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return logistic<T>(z);
  }
  template <class T>
  static Vec<T> backward(Vec<T> a, Vec<T> da) {
    return da * (a * (T(1) - a));
  }
};

struct Tanh : SlopeOfA {  // g' = 1 - a²
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return tanh<T>(z);
  }
  template <class T>
  static Vec<T> backward(Vec<T> a, Vec<T> da) {
    return da * fma(-a, a, splat(T(1)));
  }
};

struct Relu : SlopeOfA {  // g = max(z, 0), NaN kept; g' = 1 where a > 0, else 0
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return max(Vec<T>{}, z);
  }
  template <class T>
  static Vec<T> backward(Vec<T> a, Vec<T> da) {
    return select<T>(a > Vec<T>{}, da, Vec<T>{});
  }
};

struct Silu : SlopeOfZ {  // g = z s, s = logistic(z); g' = s (1 + z (1 - s))
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return z * logistic<T>(z);
  }
  template <class T>
  static Vec<T> backward(Vec<T> z, Vec<T> da) {
    const Vec<T> s = logistic<T>(z);
    return da * (s * fma(z, T(1) - s, splat(T(1))));
  }
};

template <class T, class G>
void activate(Index m, Index n, const T* z, Index ldz, T* a, Index lda) {
  map_matrix<T>(m, n, [](Vec<T> zv) { return G::template value<T>(zv); }, Rows<T>{a, lda}, Rows<const T>{z, ldz});
}

template <class T, class G>
void activate_backward(Index m, Index n, const T* saved, Index lds, const T* da, Index ldda, T* dz, Index lddz) {
  map_matrix<T>(
      m, n, [](Vec<T> sv, Vec<T> dav) { return G::template backward<T>(sv, dav); }, Rows<T>{dz, lddz},
      Rows<const T>{saved, lds}, Rows<const T>{da, ldda});
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
