// exp, expm1, log, log1p, tanh, logistic, softplus, erf, sin and cos on vectors. They have no branches and use only + -
// * / fma min max, selections and integer operations, so every instruction set with FMA gives the same bits. libm is
// not used because its results change with its version. The polynomials are minimax fits (Remez exchange, relative
// error) rounded to T. Each comment gives the largest error in ulp that tests/cpp/test_math.cpp measured over all 2^32
// floats, and over grids of doubles and random ones; in parentheses, the error on x86 without FMA. NaN gives NaN; the
// limits at +-infinity are exact.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

// Adding `shift` to a small number rounds it to an integer and leaves that integer in the low bits of the sum. This
// converts either type on every instruction set. ln2_hi ends with enough zero bits that n ln2_hi is exact for every
// exponent n, with or without FMA.
template <class T>
struct MathConstants;
template <>
struct MathConstants<float> {
  using Words [[gnu::vector_size(vector_bytes)]] = std::uint32_t;
  static constexpr int mantissa_bits = 23, bias = 127, guard = 64;
  static constexpr float shift = 0x1.8p23f, min_normal = 0x1p-126f, guard_scale = 0x1p-64f;
  static constexpr float infinity = __builtin_inff(), nan = __builtin_nanf("");
  static constexpr float log2_e = 0x1.715476p0f, ln2 = 0x1.62e43p-1f, ln2_hi = 0x1.62e4p-1f, ln2_lo = 0x1.7f7d1cp-20f;
  static constexpr float sqrt_half = 0x1.6a09e6p-1f;
  // Beyond these limits exp is 0 or infinity, and |tanh| and |erf| are 1.
  static constexpr float exp_min = -104, exp_max = 89, tanh_max = 10, erf_max = 4;
  // (exp(r) - 1 - r) / r² for |r| <= ln(2)/2, error 2^-26.2 of exp(r) - 1; in double 2^-55.6
  static constexpr float exp_poly[] = {0x1p-1f, 0x1.5554bp-3f, 0x1.555486p-5f, 0x1.12283ap-7f, 0x1.6d993ep-10f};
  // (tanh(r) - r) / r³ in powers of r² for |r| <= 3/8 ln(2), error 2^-27.9 of tanh(r); in double 2^-56.9
  static constexpr float tanh_poly[] = {-0x1.555506p-2f, 0x1.10d998p-3f, -0x1.a3b2a4p-5f};
  // (2 atanh(s) - 2s) / s³ in powers of s² for |s| <= 1/3, error 2^-27.7 of atanh(s); in double 2^-59.4
  static constexpr float atanh_poly[] = {0x1.5555p-1f, 0x1.99d28p-2f, 0x1.1eb5cp-2f, 0x1.1efa38p-2f};
  // (erf(x) - x) / x in powers of x² for |x| <= 1, error 2^-29.6 of erf(x); in double 2^-56.9
  static constexpr float erf_poly[] = {0x1.06eba8p-3f, -0x1.81273ep-2f, 0x1.ce2cf8p-4f, -0x1.b7f90ep-6f,
                                       0x1.5405b4p-8f, -0x1.a3f71p-11f, 0x1.496a5ep-14f};
  // log(1 - erf(x)) for 1 <= x <= erf_max, error 2^-29.8 of erf(x); in double 2^-56.6
  static constexpr float erfc_poly[] = {-0x1.661caep-12f, -0x1.2088eap0f,  -0x1.46baecp-1f, -0x1.a6534p-4f,
                                        0x1.65cb6ep-6f,   -0x1.825adcp-9f, 0x1.86dd48p-13f};
  // pi/2 in parts. The products of the first two parts with a 13-bit number are exact, and so are their sums with x.
  static constexpr float half_pi[] = {0x1.92p0f, 0x1.fb4p-12f, 0x1.4442d2p-24f, -0x1.ee59dap-50f};
  static constexpr float two_over_pi = 0x1.45f306p-1f, sin_max = 0x1p22f;
  // (sin(r) - r) / r³, and (cos(r) - 1 + r²/2) / r⁴, in powers of r² for |r| <= pi/4, error 2^-27.9 of sin(r), 2^-33.0
  // of cos(r); in double 2^-57.9, 2^-63.9
  static constexpr float sin_poly[] = {-0x1.555546p-3f, 0x1.110736p-7f, -0x1.994222p-13f};
  static constexpr float cos_poly[] = {0x1.55554ap-5f, -0x1.6c0c2ep-10f, 0x1.99ea04p-16f};
};
template <>
struct MathConstants<double> {
  using Words [[gnu::vector_size(vector_bytes)]] = std::uint64_t;
  static constexpr int mantissa_bits = 52, bias = 1023, guard = 512;
  static constexpr double shift = 0x1.8p52, min_normal = 0x1p-1022, guard_scale = 0x1p-512;
  static constexpr double infinity = __builtin_inf(), nan = __builtin_nan("");
  static constexpr double log2_e = 0x1.71547652b82fep0, ln2 = 0x1.62e42fefa39efp-1;
  static constexpr double ln2_hi = 0x1.62e42fefa38p-1, ln2_lo = 0x1.ef35793c7673p-45;
  static constexpr double sqrt_half = 0x1.6a09e667f3bcdp-1;
  static constexpr double exp_min = -746, exp_max = 710, tanh_max = 20, erf_max = 6;
  static constexpr double exp_poly[] = {0x1.0000000000005p-1,  0x1.555555555555cp-3,  0x1.55555555520c9p-5,
                                        0x1.111111110e6a1p-7,  0x1.6c16c17f4336fp-10, 0x1.a01a01b5e9c56p-13,
                                        0x1.a019a66060e2cp-16, 0x1.71dde9ddaecfap-19, 0x1.28a2d2898def5p-22,
                                        0x1.af76ebafed39ap-26};
  static constexpr double tanh_poly[] = {-0x1.55555555554b2p-2, 0x1.11111110f2c8ep-3,  -0x1.ba1ba17d78bd4p-5,
                                         0x1.664f2bb2e6a5bp-6,  -0x1.2266df39517bdp-7, 0x1.d4c3f3620e8bcp-9,
                                         -0x1.56c7b262e3b96p-10};
  static constexpr double atanh_poly[] = {
      0x1.5555555555535p-1, 0x1.99999999a085ap-2, 0x1.249249208493dp-2, 0x1.c71c742001ec1p-3, 0x1.745cb38a5b840p-3,
      0x1.3b1de4a010a4ap-3, 0x1.1067545b69905p-3, 0x1.efdece661d3cfp-4, 0x1.55967c710eab7p-4, 0x1.5c8fe3c9925eep-3};
  static constexpr double erf_poly[] = {0x1.06eba8214db68p-3,   -0x1.812746b0379bdp-2,  0x1.ce2f21a040d16p-4,
                                        -0x1.b82ce311fa936p-6,  0x1.565bccf92b1bbp-8,   -0x1.c02db03dd39d9p-11,
                                        0x1.f9a2baa89fde5p-14,  -0x1.f4ca4d68e7479p-17, 0x1.b97fd39505075p-20,
                                        -0x1.5c0725298fafcp-23, 0x1.d71b01ede721fp-27,  -0x1.abae1f4e5070cp-31};
  static constexpr double erfc_poly[] = {-0x1.0e3a531b23452p-21, -0x1.20dd1fb5ae441p0,   -0x1.45f628b9dcaccp-1,
                                         -0x1.a4ac367a0003cp-4,  0x1.37213d896e027p-6,   0x1.af1caee81c9cap-12,
                                         -0x1.f6699ef9c39d4p-10, 0x1.9453c8ef87343p-11,  -0x1.1c06d0ec042d6p-13,
                                         -0x1.5082cebb9b90ap-16, 0x1.7d6872df067acp-16,  -0x1.21d670a4835e1p-17,
                                         0x1.1da584bebb615p-19,  -0x1.8f4d665acf0bdp-22, 0x1.8d11221a9b17fp-25,
                                         -0x1.0d0edcb92fc29p-28, 0x1.bf3f7b574811cp-33,  -0x1.58b3569185442p-38};
  static constexpr double half_pi[] = {0x1.921fb5p0, 0x1.110b46p-26, 0x1.1a62633145c07p-54, -0x1.f1976b7ed8fbcp-110};
  static constexpr double two_over_pi = 0x1.45f306dc9c883p-1, sin_max = 0x1p40;
  static constexpr double sin_poly[] = {-0x1.5555555555548p-3, 0x1.111111110f7bp-7,    -0x1.a01a019bf9b14p-13,
                                        0x1.71de35640368bp-19, -0x1.ae5e577cb2dddp-26, 0x1.5d8ee646feb7p-33};
  static constexpr double cos_poly[] = {0x1.555555555554bp-5,   -0x1.6c16c16c14f6cp-10, 0x1.a01a019c80956p-16,
                                        -0x1.27e4f7e80171fp-22, 0x1.1ee9d5c846dcap-29,  -0x1.8fa3950f582f5p-37};
};

// sum_k c[k] x^k by Horner's rule.
template <class T, int N>
inline Vec<T> polynomial(Vec<T> x, const T (&c)[N]) {
  Vec<T> y = splat(c[N - 1]);
#pragma GCC unroll 20
  for (int k = N - 2; k >= 0; --k) y = fma(y, x, splat(c[k]));
  return y;
}

// The sign bit of every lane, and |x|.
template <class T>
inline Bits<T> sign_bits(Vec<T> x) {
  return to_bits<T>(x) & to_bits<T>(splat(T(-0.0)));
}
template <class T>
inline Vec<T> abs(Vec<T> x) {
  return from_bits<T>(to_bits<T>(x) & ~to_bits<T>(splat(T(-0.0))));
}

// exp(x - n ln2) - 1, where n is the integer nearest to x / ln2.
template <class T>
inline Vec<T> expm1_reduced(Vec<T> x, Vec<T> n) {
  using C = MathConstants<T>;
  const Vec<T> r = fma(n, splat(-C::ln2_lo), fma(n, splat(-C::ln2_hi), x));
  return fma(r * r, polynomial<T>(r, C::exp_poly), r);
}

// 2^n, where the low bits of t hold n + bias.
template <class T>
inline Vec<T> power_of_two(Bits<T> t) {
  return from_bits<T>(t << MathConstants<T>::mantissa_bits);
}

// exp(x) = 2^n exp(r), n = round(x / ln2), |r| <= ln(2)/2. 2^n is applied as two factors, both normal numbers, so that
// a subnormal result is rounded only once, by the last product. Error 1.05 (1.03), double 1.00 (0.97).
template <class T>
inline Vec<T> exp(Vec<T> x) {
  using C = MathConstants<T>;
  x = min(splat(C::exp_max), max(splat(C::exp_min), x));
  const Vec<T> shift = splat(C::shift + 2 * C::bias);
  const Vec<T> t = fma(x, splat(C::log2_e), shift), n = t - shift;
  const Bits<T> half = to_bits<T>(fma(n, splat(T(0.5)), splat(C::shift + C::bias)));
  const Vec<T> scale = power_of_two<T>(half);
  return fma(scale, expm1_reduced<T>(x, n), scale) * power_of_two<T>(to_bits<T>(t) - half);
}

// exp(x) - 1 = 2 (2^(n-1) (1 + w) - 1/2), as 2^n alone may overflow. Error 1.61 (1.74), double 1.98 (2.07).
template <class T>
inline Vec<T> expm1(Vec<T> x) {
  using C = MathConstants<T>;
  const Vec<T> y = min(splat(C::exp_max), max(splat(-2 * C::tanh_max), x)), shift = splat(C::shift + (C::bias - 1));
  const Vec<T> t = fma(y, splat(C::log2_e), shift), s = power_of_two<T>(to_bits<T>(t));
  const Vec<T> value = T(2) * fma(s, expm1_reduced<T>(y, t - shift), s - T(0.5));
  return from_bits<T>(to_bits<T>(value) | sign_bits<T>(x));
}

// 1 / (1 + exp(-x)), exp(-x) = 2^n (1 + w). Numerator and denominator are scaled by guard_scale, so that 1 + exp(-x)
// does not overflow where the result is subnormal. w 2^n + 1 is computed first because its rounding error is negligible
// for both large and small 2^n. Error 2.00 (2.00), double 2.00 (2.00).
template <class T>
inline Vec<T> logistic(Vec<T> x) {
  using C = MathConstants<T>;
  x = min(splat(2 * C::tanh_max), max(splat(C::exp_min), x));
  const Vec<T> shift = splat(C::shift + (C::bias - C::guard));
  const Vec<T> t = fma(x, splat(-C::log2_e), shift);
  const Vec<T> s = power_of_two<T>(to_bits<T>(t)), one = splat(C::guard_scale);  // both scaled
  return one / (fma(s, expm1_reduced<T>(-x, t - shift), one) + s);
}

// tanh by the addition theorem: |x| = n ln(2)/2 + r, s = 2^n, tanh(n ln(2)/2) = (s - 1) / (s + 1), u = tanh(r) by a
// polynomial, so tanh|x| = (s - 1 + (s + 1) u) / (s + 1 + (s - 1) u). The denominator is computed as the numerator plus
// 2 - 2u, so that near 1 their errors cancel and no result exceeds 1. The -1/4 moves the boundaries between consecutive
// n to where numerator and denominator are not both just above a power of two; without it the error is 2.35 ulp. The
// larger n is, the less an error of n ln2 matters, so ln2 need not be split. (A rational function of x took 80 % of the
// time in float32, but had an error of 5 ulp, because of the many roundings in its numerator and denominator.) Error
// 1.75 (1.67), double 1.84 (1.82).
template <class T>
inline Vec<T> tanh(Vec<T> x) {
  using C = MathConstants<T>;
  const Vec<T> a = min(splat(C::tanh_max), abs<T>(x));
  const Vec<T> shift = splat(C::shift + C::bias);
  const Vec<T> t = fma(a, splat(2 * C::log2_e), splat(T(-0.25))) + shift;
  const Vec<T> r = fma(t - shift, splat(C::ln2 / -2), a), r2 = r * r;
  const Vec<T> u = fma(r * r2, polynomial<T>(r2, C::tanh_poly), r);
  const Vec<T> s = power_of_two<T>(to_bits<T>(t));
  const Vec<T> numerator = fma(s + T(1), u, s - T(1));
  const Vec<T> magnitude = numerator / (numerator + fma(u, splat(T(-2)), splat(T(2))));
  return from_bits<T>(to_bits<T>(magnitude) | sign_bits<T>(x));
}

// log(1 + f) + start - f for sqrt(1/2) - 1 <= f <= 1. With s = f / (2 + f) the logarithm is 2 atanh(s) = 2s + s R(s²),
// and 2s = f - s f. In this form, with start close to f, the rounding of s has little effect.
template <class T>
inline Vec<T> log1p_from(Vec<T> start, Vec<T> f) {
  const Vec<T> s = f / (f + T(2)), s2 = s * s;
  return fma(-s, fma(-s2, polynomial<T>(s2, MathConstants<T>::atanh_poly), f), start);
}

// log(2^e (1 + f)).
template <class T>
inline Vec<T> log_reduced(Vec<T> e, Vec<T> f) {
  using C = MathConstants<T>;
  return fma(e, splat(C::ln2_hi), log1p_from<T>(fma(e, splat(C::ln2_lo), f), f));
}

// Splits a normal x > 0 into 2^e m with sqrt(1/2) <= m <= sqrt(2). The arithmetic is on Words (unsigned) because it may
// overflow for other x.
template <class T>
struct Split {
  using Words = typename MathConstants<T>::Words;
  Words biased_e;  // e + bias, at the position of the exponent
  Vec<T> e, m;
  explicit Split(Vec<T> x) {
    using C = MathConstants<T>;
    const auto words = [](Vec<T> v) { return (Words)to_bits<T>(v); };
    const Words root = words(splat(C::sqrt_half)), mantissa = words(splat(C::min_normal)) - 1;
    const Words b = words(x) + (words(splat(T(1))) - root);
    biased_e = b & ~mantissa;
    m = from_bits<T>((Bits<T>)((b & mantissa) + root));
    e = from_bits<T>((Bits<T>)((b >> C::mantissa_bits) + words(splat(C::shift)))) - (C::shift + C::bias);
  }
};

// log(x) for every x, given y, its value for 0 < x < infinity.
template <class T>
inline Vec<T> log_limits(Vec<T> x, Vec<T> y) {
  using C = MathConstants<T>;
  const Vec<T> zero{};
  y = select<T>(x > zero, y, select<T>(x == zero, splat(-C::infinity), splat(C::nan)));
  return select<T>(x < splat(C::infinity), y, x + x);
}

// log(x) = e ln2 + log(m), sqrt(1/2) <= m <= sqrt(2); a subnormal x is scaled to a normal number first. Error 0.98
// (0.95), double 1.24 (1.18).
template <class T>
inline Vec<T> log(Vec<T> x) {
  using C = MathConstants<T>;
  const Bits<T> tiny = x < splat(C::min_normal);
  const Split<T> s(select<T>(tiny, x * T(std::int64_t{1} << C::mantissa_bits), x));
  const Vec<T> e = s.e - select<T>(tiny, splat(T(C::mantissa_bits)), Vec<T>{});
  return log_limits<T>(x, log_reduced<T>(e, s.m - T(1)));
}

// log(1 + x) = log(u + c), where u is 1 + x rounded and c is its exact rounding error, which is added to m - 1. Error
// 1.46 (1.53), double 1.66 (1.71).
template <class T>
inline Vec<T> log1p(Vec<T> x) {
  using C = MathConstants<T>;
  const Vec<T> one = splat(T(1)), u = x + one;
  const Vec<T> c = min(one, x) - (u - max(one, x));
  const Split<T> s(u);
  const auto inverse = (typename C::Words)to_bits<T>(splat(C::infinity)) - s.biased_e;
  const Vec<T> scale = from_bits<T>((Bits<T>)inverse);  // 2^(1-e): 2^-e may be subnormal
  return log_limits<T>(u, log_reduced<T>(s.e, fma(c, scale * T(0.5), s.m - one)));
}

// log(1 + exp(x)) = max(x, 0) + log(1 + e), e = exp(-|x|) <= 1. As n <= 0, the second factor of 2^n can be a constant.
// Error 1.89 (2.05), double 1.73 (2.07).
template <class T>
inline Vec<T> softplus(Vec<T> x) {
  using C = MathConstants<T>;
  const Vec<T> y = max(splat(C::exp_min), from_bits<T>(to_bits<T>(x) | to_bits<T>(splat(T(-0.0)))));  // -|x|
  const Vec<T> shift = splat(C::shift + (C::bias + C::guard));
  const Vec<T> t = fma(y, splat(C::log2_e), shift);
  const Vec<T> scale = power_of_two<T>(to_bits<T>(t));
  const Vec<T> e = fma(scale, expm1_reduced<T>(y, t - shift), scale) * C::guard_scale;
  return max(x, Vec<T>{}) + log1p_from<T>(e, e);
}

// x + x P(x²) for |x| < 1, else 1 - exp(Q(|x|)). Error 1.16 (1.48), double 1.16 (1.39).
template <class T>
inline Vec<T> erf(Vec<T> x) {
  using C = MathConstants<T>;
  const Vec<T> a = min(splat(C::erf_max), abs<T>(x)), one = splat(T(1));
  const Vec<T> small = fma(a, polynomial<T>(a * a, C::erf_poly), a);
  const Vec<T> large = one - exp<T>(polynomial<T>(a, C::erfc_poly));
  return from_bits<T>(to_bits<T>(select<T>(a < one, small, large)) | sign_bits<T>(x));
}

// sin(x + quarter_turns pi/2) by x = n pi/2 + r, |r| <= pi/4. For |x| > sin_max the result is only guaranteed to be
// within [-1, 1]. Infinity gives NaN.
template <class T>
inline Vec<T> sine(Vec<T> x, int quarter_turns) {
  using C = MathConstants<T>;
  const Vec<T> y = min(splat(C::sin_max), max(splat(-C::sin_max), x)), shift = splat(C::shift), one = splat(T(1));
  const Vec<T> t = fma(y, splat(C::two_over_pi), shift), n = t - shift;
  Vec<T> r = y;
  for (const T part : C::half_pi) r = fma(n, splat(-part), r);
  r = min(one, max(-one, r));
  const Vec<T> r2 = r * r;
  const Vec<T> sin_r = fma(r * r2, polynomial<T>(r2, C::sin_poly), r);
  const Vec<T> cos_r = fma(r2, fma(r2, polynomial<T>(r2, C::cos_poly), splat(T(-0.5))), one);
  const Bits<T> quadrant = (to_bits<T>(t) & 3) + quarter_turns;  // in range even if t is NaN
  const Bits<T> sign = (quadrant & 2) << (8 * static_cast<int>(sizeof(T)) - 2);
  const Vec<T> value = from_bits<T>(to_bits<T>(select<T>(-(quadrant & 1), cos_r, sin_r)) ^ sign);
  return select<T>(abs<T>(x) < splat(C::infinity), value, x - x);  // NOLINT(misc-redundant-expression): NaN
}

// Error for |x| <= 1e4: 1.54, double 1.44; without FMA, near multiples of pi, 1.5 ulp of 1/2.
template <class T>
inline Vec<T> sin(Vec<T> x) {
  return sine<T>(x, 0);
}

// Error for |x| <= 1e4: 1.53, double 1.45; without FMA as for sin.
template <class T>
inline Vec<T> cos(Vec<T> x) {
  return sine<T>(x, 1);
}

}  // namespace
}  // namespace chainrule::CHAINRULE_ISA
