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

// Clamps z to ±limit. Used for slopes that are constant beyond the limit, so that none of their terms overflows.
template <class T>
inline Vec<T> clamp(Vec<T> z, T limit) {
  return min(splat(limit), max(splat(-limit), z));
}

// For formulas whose value and slope have terms in common: F::value_and_slope(z, slope) returns g and sets slope to g'.
template <class F>
struct SharedTerms {
  template <class T>
  static Vec<T> value(Vec<T> z) {
    Vec<T> slope;
    return F::template value_and_slope<T>(z, slope);
  }
  template <class T>
  static Vec<T> backward(Vec<T> z, Vec<T> da) {
    Vec<T> slope;
    F::template value_and_slope<T>(z, slope);
    return da * slope;
  }
};

// g = z F(z), F = (1 + erf(z / sqrt(2))) / 2; g' = F + z exp(-z²/2) / sqrt(2 pi)
template <>
struct Formula<Activation::gelu> : SharedTerms<Formula<Activation::gelu>> {
  template <class T>
  static Vec<T> value_and_slope(Vec<T> z, Vec<T>& slope) {
    constexpr double density = 0.39894228040143267793994605993438;  // 1 / sqrt(2 pi)
    const Vec<T> cumulative = fma(erf<T>(z * MathConstants<T>::sqrt_half), splat(T(0.5)), splat(T(0.5)));
    const Vec<T> y = clamp<T>(z, T(40));
    slope = fma(y * T(density), exp<T>(y * y * T(-0.5)), cumulative);
    return z * cumulative;
  }
};

// g = z (1 + t) / 2, t = tanh(u), u = sqrt(2/pi) (z + c z³); g' = (1 + t + z (1 - t²) u') / 2
template <>
struct Formula<Activation::gelu_tanh> : SharedTerms<Formula<Activation::gelu_tanh>> {
  template <class T>
  static Vec<T> value_and_slope(Vec<T> z, Vec<T>& slope) {
    constexpr double root = 0.79788456080286535587989211986876, c = 0.044715;
    const Vec<T> one = splat(T(1)), y = clamp<T>(z, T(16));  // t(16) = 1
    const Vec<T> t = tanh<T>(y * T(root) * fma(y * y, splat(T(c)), one));
    const Vec<T> slope_of_u = fma(y * y, splat(T(3 * root * c)), splat(T(root)));
    slope = T(0.5) * fma(y * fma(-t, t, one), slope_of_u, one + t);
    return z * fma(t, splat(T(0.5)), splat(T(0.5)));
  }
};

// g = z s, s = logistic(z); g' = s (1 + z (1 - s))
template <>
struct Formula<Activation::silu> : SharedTerms<Formula<Activation::silu>> {
  template <class T>
  static Vec<T> value_and_slope(Vec<T> z, Vec<T>& slope) {
    const Vec<T> s = logistic<T>(z);
    slope = s * fma(z, T(1) - s, splat(T(1)));
    return z * s;
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

// g = z tanh(softplus(z)), g' = (w + 4 z e (e + 1) / (w + 2)) / (w + 2) (Misra 2020), where e = exp(z) and
// w = e (e + 2): tanh(log(1 + e)) is w / (w + 2).
template <>
struct Formula<Activation::mish> : SharedTerms<Formula<Activation::mish>> {
  template <class T>
  static Vec<T> value_and_slope(Vec<T> z, Vec<T>& slope) {
    constexpr T limit = 2 * MathConstants<T>::tanh_max;
    // For the value, z is clamped only from above: far below 0, the factor must underflow to 0, because it is
    // multiplied by z.
    const Vec<T> two = splat(T(2)), below = splat(-limit), x = min(splat(limit), z), e = exp<T>(x), w = e * (e + two);
    const Vec<T> y = max(below, x), d = select<T>(z < below, exp<T>(below), e), v = d * (d + two);
    slope = fma(T(4) * y * d, (d + T(1)) / (v + two), v) / (v + two);
    return z * (w / (w + two));
  }
};

template <>
struct Formula<Activation::hard_tanh> {  // g = min(max(z, -1), 1); g' = 1 where |a| < 1, else 0
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return clamp<T>(z, T(1));
  }
  template <class T>
  static Vec<T> backward(Vec<T> a, Vec<T> da) {
    return select<T>(abs<T>(a) < splat(T(1)), da, Vec<T>{});
  }
};

template <>
struct Formula<Activation::sin> : SharedTerms<Formula<Activation::sin>> {
  template <class T>
  static Vec<T> value_and_slope(Vec<T> z, Vec<T>& slope) {
    slope = cos<T>(z);
    return sin<T>(z);
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

template <class T, class G>
void activate_with_slope(Index m, Index n, T* z, Index ldz, T* a, Index lda) {
  const auto part = [](T* zs, T* as, auto read, auto write) {
    Vec<T> slope;
    write(as, G::template value_and_slope<T>(read(zs), slope));
    write(zs, slope);
  };
  for (Index i = 0; i < m; ++i, z += ldz, a += lda) {
    Index j = 0;
    for (; j + lanes<T> <= n; j += lanes<T>)
      part(z + j, a + j, [](const T* p) { return load(p); }, [](T* p, Vec<T> v) { store(p, v); });
    if (const Tail<T> tail(n - j); j < n)
      part(z + j, a + j, [tail](const T* p) { return load(p, tail); }, [tail](T* p, Vec<T> v) { store(p, v, tail); });
  }
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
