// Compares kernels/math.h with libm in the next wider type: the error in ulp, special values, ranges, and a checksum of
// all results, which must be the same in the builds for AVX2, AVX-512 and NEON. Compiled once for each instruction set.
//   test_math               about 4 million floats and 1.5 million doubles for each function; takes a second
//   test_math --exhaustive  all 2^32 floats; takes some minutes
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "check.h"
#include "kernels/math.h"

#define CHAINRULE_STRING(x) #x
#define CHAINRULE_NAME(x) CHAINRULE_STRING(x)

namespace kernels = chainrule::CHAINRULE_ISA;

namespace {

template <class T>
struct Wide;
template <>
struct Wide<float> {
  using Type = double;
  using Bits = std::uint32_t;
#if defined(__x86_64__) && !defined(__FMA__)
  static constexpr double max_ulp = 2.1;  // a few of the 2^32 floats exceed 2 ulp in softplus
#else
  static constexpr double max_ulp = 2;
#endif
};
template <>
struct Wide<double> {
  using Type = long double;
  using Bits = std::uint64_t;
  static constexpr double max_ulp = 4;
};

// value(x) on vectors; reference(x) on numbers of the wider type; every result lies in [lowest, highest].
#define CHAINRULE_FUNCTION(Name, function, lowest_value, highest_value, formula) \
  struct Name {                                                                  \
    static constexpr const char* name = #function;                               \
    static constexpr double lowest = lowest_value, highest = highest_value;      \
    template <class T>                                                           \
    static kernels::Vec<T> value(kernels::Vec<T> x) {                            \
      return kernels::function<T>(x);                                            \
    }                                                                            \
    template <class W>                                                           \
    static W reference(W x) {                                                    \
      return formula;                                                            \
    }                                                                            \
  };
constexpr double inf = std::numeric_limits<double>::infinity();
CHAINRULE_FUNCTION(Exp, exp, 0, inf, std::exp(x))
CHAINRULE_FUNCTION(Expm1, expm1, -1, inf, std::expm1(x))
CHAINRULE_FUNCTION(Erf, erf, -1, 1, std::erf(x))
CHAINRULE_FUNCTION(Sin, sin, -1, 1, std::sin(x))
CHAINRULE_FUNCTION(Cos, cos, -1, 1, std::cos(x))
CHAINRULE_FUNCTION(Log, log, -inf, inf, std::log(x))
CHAINRULE_FUNCTION(Log1p, log1p, -inf, inf, std::log1p(x))
CHAINRULE_FUNCTION(Tanh, tanh, -1, 1, std::tanh(x))
CHAINRULE_FUNCTION(Logistic, logistic, 0, 1, x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)))
CHAINRULE_FUNCTION(Softplus, softplus, 0, inf, (x > 0 ? x : 0) + std::log1p(std::exp(-std::fabs(x))))

// For larger arguments, only the range of the result is checked.
template <class F>
constexpr double accurate_to = inf;
template <>
constexpr double accurate_to<Sin> = 1e4;
template <>
constexpr double accurate_to<Cos> = 1e4;
// Without fused multiply-add, the reduced argument of sin and cos has a rounding error that is large relative to
// results near 0. Errors of results smaller than min_result are therefore measured in ulp of min_result.
#if defined(__x86_64__) && !defined(__FMA__)
template <class F>
constexpr double min_result = accurate_to<F> < inf ? 0.5 : 0;
#else
template <class F>
constexpr double min_result = 0;
#endif

template <class T>
typename Wide<T>::Bits bits(T x) {
  typename Wide<T>::Bits b;
  std::memcpy(&b, &x, sizeof b);
  return b;
}
template <class T>
T from_bits(typename Wide<T>::Bits b) {
  T x;
  std::memcpy(&x, &b, sizeof x);
  return x;
}

// Distance of y from the exact value, in units of the last place of T at the exact value. Infinity counts as
// 2^max_exponent.
template <class T, class W>
double error_in_ulp(T y, W exact, double min_magnitude) {
  using Limits = std::numeric_limits<T>;
  if (std::isnan(y) || std::isnan(exact)) return std::isnan(y) && std::isnan(exact) ? 0 : inf;
  if (exact == W(y)) return 0;
  const W top = W(Limits::max()) * (1 + W(Limits::epsilon()) / 2);
  const W expected = exact > top ? top : exact < -top ? -top : exact;
  const W got = std::isinf(y) ? (y > 0 ? top : -top) : W(y);
  int exponent = Limits::min_exponent;
  if (const W unit = std::max(std::fabs(expected), W(min_magnitude)); unit >= W(Limits::min()))
    (void)std::frexp(unit, &exponent);
  return double(std::fabs(got - expected) / std::ldexp(W(1), exponent - Limits::digits));
}

// Runs one function over blocks of numbers.
template <class T, class F>
struct Measurement {
  double worst = 0;
  T worst_at = 0;
  std::uint64_t checksum = 14695981039346656037u;  // FNV-1a over whole results; all NaNs count as equal
  std::vector<T> y, mirrored;

  static void apply(const std::vector<T>& x, bool negate, std::vector<T>& out) {
    constexpr std::size_t width = kernels::lanes<T>;
    out.resize(x.size());
    for (std::size_t i = 0; i < x.size(); i += width) {
      const kernels::Vec<T> v = kernels::load(x.data() + i);
      kernels::store(out.data() + i, F::template value<T>(negate ? -v : v));
    }
  }
  // x.size() is a multiple of the number of lanes.
  void add(const std::vector<T>& x) {
    apply(x, false, y);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (!(std::fabs(x[i]) > T(accurate_to<F>))) {
        const double error = error_in_ulp(y[i], F::reference(typename Wide<T>::Type(x[i])), min_result<F>);
        if (!(error <= worst)) worst = error, worst_at = x[i];
      }
      const T canonical = std::isnan(y[i]) ? std::numeric_limits<T>::quiet_NaN() : y[i];
      checksum = (checksum ^ bits(canonical)) * 1099511628211u;
      if (!(y[i] >= T(F::lowest) && y[i] <= T(F::highest)) && !std::isnan(y[i]))
        CHECK(y[i] >= T(F::lowest) && y[i] <= T(F::highest), F::name, x[i], y[i]);
    }
    if constexpr (std::is_same_v<F, Tanh>) {
      apply(x, true, mirrored);
      for (std::size_t i = 0; i < x.size(); ++i)
        if (!std::isnan(x[i]) && bits(mirrored[i]) != bits(-y[i]))
          CHECK(bits(mirrored[i]) == bits(-y[i]), F::name, x[i], y[i], mirrored[i]);
    }
  }
  void report() const {
    std::printf("%-9s float%d  max %.4f ulp at %-24.17g %016llx\n", F::name, int(8 * sizeof(T)), worst,
                double(worst_at), static_cast<unsigned long long>(checksum));
    std::fflush(stdout);
    CHECK(worst <= Wide<T>::max_ulp, F::name, worst, worst_at);
  }
};

constexpr std::size_t block = 4096;

template <class F>
void test_float(std::uint64_t stride) {
  Measurement<float, F> m;
  std::vector<float> x(block);
  for (std::uint64_t b = 0; b < (std::uint64_t{1} << 32);) {
    for (float& v : x) {
      v = from_bits<float>(static_cast<std::uint32_t>(b));
      b += stride;  // the last block wraps around at 2^32
    }
    m.add(x);
  }
  m.report();
}

// Tests random bit patterns; evenly spaced points with a random offset in the ranges that matter for each function
// (denormal results, overflow, saturation, around 0 and 1); and powers of two from 2^-100 to 1.
template <class F>
void test_double() {
  Measurement<double, F> m;
  std::vector<double> x(block);
  std::uint64_t state = 1;
  const auto random = [&state] {  // splitmix64
    std::uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  };
  const auto uniform = [&random] { return static_cast<double>(random() >> 11) * 0x1p-53; };
  for (int i = 0; i < 60; ++i) {
    for (double& v : x) v = from_bits<double>(random());
    m.add(x);
  }
  const double ranges[][2] = {{-750, 750}, {-746, -700}, {-40, 40},    {-20, 20},     {-2, 2},
                              {-0.5, 0.5}, {0.5, 2},     {0.99, 1.01}, {-1, -0.99},   {-1e-3, 1e-3},
                              {18, 20},    {709, 711},   {-1e4, 1e4},  {-1e-8, 1e-8}, {0x1p-1074, 0x1p-1020}};
  for (const auto& range : ranges)
    for (std::size_t i = 0; i < 20; ++i) {
      for (std::size_t j = 0; j < block; ++j)
        x[j] = range[0] + (range[1] - range[0]) * ((static_cast<double>(i * block + j) + uniform()) / (20 * block));
      m.add(x);
    }
  for (int i = 0; i < 20; ++i) {
    for (double& v : x) v = std::ldexp(0.5 + uniform(), -static_cast<int>(random() % 100)) * (random() % 2 ? 1 : -1);
    m.add(x);
  }
  m.report();
}

template <class T, class F>
T at(T x) {
  std::vector<T> in(kernels::lanes<T>, x), out;
  Measurement<T, F>::apply(in, false, out);
  for (const T& y : out) CHECK(bits(y) == bits(out[0]) || std::isnan(y), F::name, x, y, out[0]);
  return out[0];
}

template <class T, class F>
void special(T x, T expected) {
  const T y = at<T, F>(x);
  CHECK(std::isnan(expected) ? std::isnan(y) : y == expected && std::signbit(y) == std::signbit(expected), F::name, x,
        y, expected);
}

template <class T>
void test_special() {
  using Limits = std::numeric_limits<T>;
  const T infinity = Limits::infinity(), nan = Limits::quiet_NaN(), tiny = Limits::denorm_min(), huge = Limits::max();
  const T zero = 0, one = 1;
  const T all_ones =
      std::bit_cast<T>(std::numeric_limits<std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>>::max());
  special<T, Exp>(zero, one), special<T, Exp>(-zero, one), special<T, Exp>(tiny, one);
  special<T, Exp>(infinity, infinity), special<T, Exp>(huge, infinity), special<T, Exp>(-huge, 0);
  special<T, Exp>(-infinity, 0), special<T, Exp>(nan, nan), special<T, Exp>(-nan, nan);
  special<T, Log>(zero, -infinity), special<T, Log>(-zero, -infinity), special<T, Log>(one, 0);
  special<T, Log>(-tiny, nan), special<T, Log>(-one, nan), special<T, Log>(-infinity, nan);
  special<T, Log>(infinity, infinity), special<T, Log>(nan, nan), special<T, Log>(all_ones, nan);
  special<T, Log>(tiny, T(std::log(static_cast<long double>(tiny))));
  special<T, Log1p>(zero, zero), special<T, Log1p>(tiny, tiny), special<T, Log1p>(-tiny, -tiny);
  special<T, Log1p>(-one, -infinity), special<T, Log1p>(-2, nan), special<T, Log1p>(-infinity, nan);
  special<T, Log1p>(infinity, infinity), special<T, Log1p>(nan, nan);
  special<T, Tanh>(zero, zero), special<T, Tanh>(-zero, -zero), special<T, Tanh>(tiny, tiny);
  special<T, Tanh>(infinity, 1), special<T, Tanh>(-infinity, -1), special<T, Tanh>(huge, 1), special<T, Tanh>(nan, nan);
  special<T, Tanh>(sizeof(T) == 4 ? T(9.011) : T(19.062), 1);
  special<T, Logistic>(zero, T(0.5)), special<T, Logistic>(infinity, 1), special<T, Logistic>(-infinity, 0);
  special<T, Logistic>(huge, 1), special<T, Logistic>(-huge, 0), special<T, Logistic>(nan, nan);
  special<T, Expm1>(zero, zero), special<T, Expm1>(-zero, -zero);
  special<T, Expm1>(infinity, infinity), special<T, Expm1>(-infinity, -1), special<T, Expm1>(huge, infinity);
  special<T, Expm1>(-huge, -1), special<T, Expm1>(nan, nan);
  special<T, Erf>(zero, zero), special<T, Erf>(-zero, -zero), special<T, Erf>(infinity, 1);
  special<T, Erf>(-infinity, -1), special<T, Erf>(huge, 1), special<T, Erf>(nan, nan);
  special<T, Sin>(zero, zero), special<T, Sin>(tiny, tiny), special<T, Sin>(infinity, nan);
  special<T, Sin>(-infinity, nan), special<T, Sin>(nan, nan);
  special<T, Cos>(zero, one), special<T, Cos>(tiny, one), special<T, Cos>(infinity, nan);
  special<T, Cos>(-infinity, nan), special<T, Cos>(nan, nan), special<T, Cos>(all_ones, nan);
  for (const T x : {T(1e5), T(1e9), T(1e20), huge}) CHECK(std::abs(at<T, Sin>(x)) <= 1 && std::abs(at<T, Cos>(x)) <= 1);
  special<T, Softplus>(infinity, infinity);
  special<T, Softplus>(-infinity, 0), special<T, Softplus>(huge, huge), special<T, Softplus>(-huge, 0);
  special<T, Softplus>(nan, nan);
}

bool cpu_runs_this() {
#if defined(__AVX512F__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
#elif defined(__AVX2__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return true;
#endif
}

template <class... F>
void test_functions(std::uint64_t stride) {
  (test_float<F>(stride), ...);
  (test_double<F>(), ...);
}

}  // namespace

int main(int argc, char** argv) {
  const char* isa = CHAINRULE_NAME(CHAINRULE_ISA);
  if (!cpu_runs_this()) {
    std::printf("test_math: skipped, this CPU lacks %s\n", isa);
    return 0;
  }
  const bool exhaustive = argc > 1 && std::strcmp(argv[1], "--exhaustive") == 0;
  std::printf("test_math %s\n", isa);
  test_special<float>();
  test_special<double>();
  test_functions<Exp, Expm1, Log, Log1p, Tanh, Logistic, Softplus, Erf, Sin, Cos>(exhaustive ? 1 : 1021);
  return check::finish("test_math");
}
