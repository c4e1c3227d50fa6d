// The activations of hidden layers: a = g(z) and dz = da g'. The slope g' is computed from a where possible, so that z
// need not be stored, and otherwise from z. To add an activation, add a line to chainrule/names.h and a formula here.
#pragma once

#include "map.h"
#include "math.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

template <Activation>
struct Formula;

template <>
struct Formula<Activation::identity> {
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return z;
  }
  template <class T>
  static Vec<T> backward(Vec<T>, Vec<T> da) {
    return da;
  }
};

template <>
struct Formula<Activation::logistic> {  // g = 1 / (1 + exp(-z)), g' = a (1 - a)
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return logistic<T>(z);
  }
  template <class T>
  static Vec<T> backward(Vec<T> a, Vec<T> da) {
    return da * (a * (T(1) - a));
  }
};

template <>
struct Formula<Activation::tanh> {  // g' = 1 - a²
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return tanh<T>(z);
  }
  template <class T>
  static Vec<T> backward(Vec<T> a, Vec<T> da) {
    return da * fma(-a, a, splat(T(1)));
  }
};

template <>
struct Formula<Activation::relu> {  // g = max(z, 0), NaN stays NaN; g' = 1 where a > 0, else 0
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return max(Vec<T>{}, z);
  }
  template <class T>
  static Vec<T> backward(Vec<T> a, Vec<T> da) {
    return select<T>(a > Vec<T>{}, da, Vec<T>{});
  }
};

template <>
struct Formula<Activation::leaky_relu> {  // g = z where z > 0, else z / 100
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return select<T>(z > Vec<T>{}, z, z * T(0.01));
  }
  template <class T>
  static Vec<T> backward(Vec<T> a, Vec<T> da) {
    return select<T>(a > Vec<T>{}, da, da * T(0.01));
  }
};

template <>
struct Formula<Activation::elu> {  // g = z where z > 0, else exp(z) - 1; g' = 1, or a + 1 (Clevert et al. 2016)
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return select<T>(z > Vec<T>{}, z, expm1<T>(min(Vec<T>{}, z)));
  }
  template <class T>
  static Vec<T> backward(Vec<T> a, Vec<T> da) {
    return da * min(splat(T(1)), a + T(1));
  }
};

// g = s z where z > 0, else s alpha (exp(z) - 1); g' = s, or a + s alpha (Klambauer et al. 2017)
template <>
struct Formula<Activation::selu> {
  static constexpr double s = 1.0507009873554804934193349852946, s_alpha = 1.7580993408473768599402175208123;
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return select<T>(z > Vec<T>{}, z * T(s), expm1<T>(min(Vec<T>{}, z)) * T(s_alpha));
  }
  template <class T>
  static Vec<T> backward(Vec<T> a, Vec<T> da) {
    return da * select<T>(a > Vec<T>{}, splat(T(s)), a + T(s_alpha));
  }
};

using Relu = Formula<Activation::relu>;

// Clamps z to ±limit. For slopes that are constant beyond the limit, so that none of their terms overflows.
template <class T>
inline Vec<T> at_most(Vec<T> z, T limit) {
  return min(splat(limit), max(splat(-limit), z));
}

template <>
struct Formula<Activation::gelu> {  // g = z F(z), F = (1 + erf(z / sqrt(2))) / 2; g' = F + z exp(-z²/2) / sqrt(2 pi)
  template <class T>
  static Vec<T> cumulative(Vec<T> z) {
    return fma(erf<T>(z * MathConstants<T>::sqrt_half), splat(T(0.5)), splat(T(0.5)));
  }
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return z * cumulative<T>(z);
  }
  template <class T>
  static Vec<T> backward(Vec<T> z, Vec<T> da) {
    constexpr double density = 0.39894228040143267793994605993438;  // 1 / sqrt(2 pi)
    const Vec<T> y = at_most<T>(z, T(40));
    return da * fma(y * T(density), exp<T>(y * y * T(-0.5)), cumulative<T>(y));
  }
};

// g = z (1 + t) / 2, t = tanh(u), u = sqrt(2/pi) (z + c z³); g' = (1 + t + z (1 - t²) u') / 2
template <>
struct Formula<Activation::gelu_tanh> {
  static constexpr double root = 0.79788456080286535587989211986876, c = 0.044715;
  template <class T>
  static Vec<T> tanh_of_u(Vec<T> z) {
    return tanh<T>(z * T(root) * fma(z * z, splat(T(c)), splat(T(1))));
  }
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return z * fma(tanh_of_u<T>(z), splat(T(0.5)), splat(T(0.5)));
  }
  template <class T>
  static Vec<T> backward(Vec<T> z, Vec<T> da) {
    const Vec<T> y = at_most<T>(z, T(16)), t = tanh_of_u<T>(y), one = splat(T(1));
    const Vec<T> slope_of_u = fma(y * y, splat(T(3 * root * c)), splat(T(root)));
    return da * (T(0.5) * fma(y * fma(-t, t, one), slope_of_u, one + t));
  }
};

template <>
struct Formula<Activation::silu> {  // g = z s, s = logistic(z); g' = s (1 + z (1 - s))
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

template <>
struct Formula<Activation::softplus> {  // g = log(1 + exp(z)), g' = 1 - exp(-a)
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return softplus<T>(z);
  }
  template <class T>
  static Vec<T> backward(Vec<T> a, Vec<T> da) {
    return da * -expm1<T>(-a);
  }
};

// With e = exp(z) and w = e (e + 2), tanh(log(1 + e)) is w / (w + 2).
template <>
struct Formula<Activation::mish> {  // g = z tanh(softplus(z)), g' = (w + 4 z e (e + 1) / (w + 2)) / (w + 2) (Misra
                                    // 2020)
  template <class T>
  static Vec<T> value(Vec<T> z) {
    // z is clamped only from above: far below 0 the factor has to underflow to 0, because it is multiplied by z.
    const Vec<T> e = exp<T>(min(splat(2 * MathConstants<T>::tanh_max), z)), w = e * (e + T(2));
    return z * (w / (w + T(2)));
  }
  template <class T>
  static Vec<T> backward(Vec<T> z, Vec<T> da) {
    const Vec<T> y = at_most<T>(z, 2 * MathConstants<T>::tanh_max), e = exp<T>(y), w = e * (e + T(2));
    return da * (fma(T(4) * y * e, (e + T(1)) / (w + T(2)), w) / (w + T(2)));
  }
};

template <>
struct Formula<Activation::hard_tanh> {  // g = min(max(z, -1), 1); g' = 1 where |a| < 1, else 0
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return at_most<T>(z, T(1));
  }
  template <class T>
  static Vec<T> backward(Vec<T> a, Vec<T> da) {
    return select<T>(abs<T>(a) < splat(T(1)), da, Vec<T>{});
  }
};

template <>
struct Formula<Activation::sin> {
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return sin<T>(z);
  }
  template <class T>
  static Vec<T> backward(Vec<T> z, Vec<T> da) {
    return da * cos<T>(z);
  }
};

template <>
struct Formula<Activation::softsign> {  // g' = (1 - |a|)²
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return z / (T(1) + abs<T>(z));
  }
  template <class T>
  static Vec<T> backward(Vec<T> a, Vec<T> da) {
    const Vec<T> rest = T(1) - abs<T>(a);
    return da * (rest * rest);
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
