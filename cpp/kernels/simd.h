// The vector type of this instruction set and all operations that need an intrinsic. The rest of kernels/ uses these
// functions and the compilers' vector extensions (+ - * / < ?: on vectors), so one source serves AVX-512, AVX2+FMA,
// SSE2 and NEON. All code is in an unnamed namespace inside a namespace named after the instruction set, so the linker
// cannot use code that was compiled for one CPU on another.
#pragma once

#include <cstdint>

#include "chainrule/names.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#else
#error "chainrule needs x86-64 (of any age), 64-bit ARM or WebAssembly with -msimd128"
#endif

namespace chainrule::CHAINRULE_ISA {
namespace {

// Register tiles (rows x vectors) fill the register file: on AVX-512, 14 x 2 accumulators + 2 vectors of B + 1
// broadcast of A take 31 of 32 registers.
#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64, tile_rows = 14, tile_vectors = 2;
#elif defined(__AVX2__) && defined(__FMA__)
inline constexpr int vector_bytes = 32, tile_rows = 6, tile_vectors = 2;
#elif defined(__aarch64__)
inline constexpr int vector_bytes = 16, tile_rows = 14, tile_vectors = 2;
#else
inline constexpr int vector_bytes = 16, tile_rows = 6, tile_vectors = 2;
#endif

// An integer as a type, so that it can be passed to a generic lambda.
template <int Value>
struct Constant {
  static constexpr int value = Value;
};

template <class T>
struct SimdTypes;
template <>
struct SimdTypes<float> {
  using Vec [[gnu::vector_size(vector_bytes)]] = float;
  using Bits [[gnu::vector_size(vector_bytes)]] = std::int32_t;
};
template <>
struct SimdTypes<double> {
  using Vec [[gnu::vector_size(vector_bytes)]] = double;
  using Bits [[gnu::vector_size(vector_bytes)]] = std::int64_t;
};
// Vec<T>: lanes<T> values. Bits<T>: signed integers of the same width; a comparison of Vec<T> yields Bits<T>, 0 or -1.
template <class T>
using Vec = typename SimdTypes<T>::Vec;
template <class T>
using Bits = typename SimdTypes<T>::Bits;
template <class T>
inline constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));

// x in every lane. (x - 0 keeps the sign of zero and compiles to one broadcast; a lane-by-lane fill does not.)
template <class T>
inline Vec<T> splat(T x) {
  return x - Vec<T>{};
}

template <class T>
inline Vec<T> load(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
inline void store(T* p, Vec<T> v) {
  __builtin_memcpy(p, &v, sizeof v);
}

// The bits of a floating-point vector as integers, and back.
template <class T>
inline Bits<T> to_bits(Vec<T> v) {
  return (Bits<T>)v;
}
template <class T>
inline Vec<T> from_bits(Bits<T> b) {
  return (Vec<T>)b;
}

template <class T>
inline Vec<T> select(Bits<T> mask, Vec<T> if_true, Vec<T> if_false) {
  return mask ? if_true : if_false;
}

// fma: a*b + c with one rounding, except on x86 without FMA and on WebAssembly, where it rounds twice (so only these
// two have results with different bits). min is a < b ? a : b and max is a > b ? a : b, so the result is b if either is
// NaN. (GCC 12 compiles the ?: form to two instructions instead of one, which slows exp and tanh down by 20 %.)
#if defined(__AVX512F__)
inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return _mm512_fmadd_pd(a, b, c); }
// The zero-masking form, because GCC 12 warns about an uninitialized operand in the plain one.
inline Vec<float> sqrt(Vec<float> v) { return _mm512_maskz_sqrt_ps(0xffff, v); }
inline Vec<double> sqrt(Vec<double> v) { return _mm512_maskz_sqrt_pd(0xff, v); }
inline Vec<float> min(Vec<float> a, Vec<float> b) { return _mm512_maskz_min_ps(0xffff, a, b); }
inline Vec<double> min(Vec<double> a, Vec<double> b) { return _mm512_maskz_min_pd(0xff, a, b); }
inline Vec<float> max(Vec<float> a, Vec<float> b) { return _mm512_maskz_max_ps(0xffff, a, b); }
inline Vec<double> max(Vec<double> a, Vec<double> b) { return _mm512_maskz_max_pd(0xff, a, b); }
#elif defined(__AVX2__) && defined(__FMA__)
inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return _mm256_fmadd_pd(a, b, c); }
inline Vec<float> sqrt(Vec<float> v) { return _mm256_sqrt_ps(v); }
inline Vec<double> sqrt(Vec<double> v) { return _mm256_sqrt_pd(v); }
inline Vec<float> min(Vec<float> a, Vec<float> b) { return _mm256_min_ps(a, b); }
inline Vec<double> min(Vec<double> a, Vec<double> b) { return _mm256_min_pd(a, b); }
inline Vec<float> max(Vec<float> a, Vec<float> b) { return _mm256_max_ps(a, b); }
inline Vec<double> max(Vec<double> a, Vec<double> b) { return _mm256_max_pd(a, b); }
#elif defined(__aarch64__)
inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return vfmaq_f32(c, a, b); }
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return vfmaq_f64(c, a, b); }
inline Vec<float> sqrt(Vec<float> v) { return vsqrtq_f32(v); }
inline Vec<double> sqrt(Vec<double> v) { return vsqrtq_f64(v); }
inline Vec<float> min(Vec<float> a, Vec<float> b) { return a < b ? a : b; }
inline Vec<double> min(Vec<double> a, Vec<double> b) { return a < b ? a : b; }
inline Vec<float> max(Vec<float> a, Vec<float> b) { return a > b ? a : b; }
inline Vec<double> max(Vec<double> a, Vec<double> b) { return a > b ? a : b; }
#elif defined(__wasm_simd128__)
inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return a * b + c; }
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return a * b + c; }
inline Vec<float> sqrt(Vec<float> v) { return Vec<float>(wasm_f32x4_sqrt(v128_t(v))); }
inline Vec<double> sqrt(Vec<double> v) { return Vec<double>(wasm_f64x2_sqrt(v128_t(v))); }
inline Vec<float> min(Vec<float> a, Vec<float> b) { return Vec<float>(wasm_f32x4_pmin(v128_t(b), v128_t(a))); }
inline Vec<double> min(Vec<double> a, Vec<double> b) { return Vec<double>(wasm_f64x2_pmin(v128_t(b), v128_t(a))); }
inline Vec<float> max(Vec<float> a, Vec<float> b) { return Vec<float>(wasm_f32x4_pmax(v128_t(b), v128_t(a))); }
inline Vec<double> max(Vec<double> a, Vec<double> b) { return Vec<double>(wasm_f64x2_pmax(v128_t(b), v128_t(a))); }
#else
inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return a * b + c; }
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return a * b + c; }
inline Vec<float> sqrt(Vec<float> v) { return _mm_sqrt_ps(v); }
inline Vec<double> sqrt(Vec<double> v) { return _mm_sqrt_pd(v); }
inline Vec<float> min(Vec<float> a, Vec<float> b) { return _mm_min_ps(a, b); }
inline Vec<double> min(Vec<double> a, Vec<double> b) { return _mm_min_pd(a, b); }
inline Vec<float> max(Vec<float> a, Vec<float> b) { return _mm_max_ps(a, b); }
inline Vec<double> max(Vec<double> a, Vec<double> b) { return _mm_max_pd(a, b); }
#endif

// Selects the first n lanes, 0 <= n <= lanes<T>. A load reads only these and sets the others to 0; a store writes only
// these.
template <class T>
struct Tail {
#if defined(__AVX512F__)
  std::uint32_t mask;
  explicit Tail(Index n) : mask((1u << n) - 1u) {}
#elif defined(__AVX2__)
  Bits<T> mask;
  explicit Tail(Index n) {
    for (int i = 0; i < lanes<T>; ++i) mask[i] = i < n ? -1 : 0;
  }
#else
  Index n;
  explicit Tail(Index count) : n(count) {}
#endif
};

// Whether a masked load takes as long as a load.
#if defined(__AVX512F__)
inline constexpr bool free_masks = true;
#else
inline constexpr bool free_masks = false;
#endif

#if defined(__AVX512F__)
inline Vec<float> load(const float* p, Tail<float> t) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>(t.mask), p);
}
inline Vec<double> load(const double* p, Tail<double> t) {
  return _mm512_maskz_loadu_pd(static_cast<__mmask8>(t.mask), p);
}
inline void store(float* p, Vec<float> v, Tail<float> t) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>(t.mask), v);
}
inline void store(double* p, Vec<double> v, Tail<double> t) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>(t.mask), v);
}
#elif defined(__AVX2__)
inline Vec<float> load(const float* p, Tail<float> t) { return _mm256_maskload_ps(p, (__m256i)t.mask); }
inline Vec<double> load(const double* p, Tail<double> t) { return _mm256_maskload_pd(p, (__m256i)t.mask); }
inline void store(float* p, Vec<float> v, Tail<float> t) { _mm256_maskstore_ps(p, (__m256i)t.mask, v); }
inline void store(double* p, Vec<double> v, Tail<double> t) { _mm256_maskstore_pd(p, (__m256i)t.mask, v); }
#else
template <class T>
inline Vec<T> load(const T* p, Tail<T> t) {
  Vec<T> v{};
  for (Index i = 0; i < t.n; ++i) v[i] = p[i];
  return v;
}
template <class T>
inline void store(T* p, Vec<T> v, Tail<T> t) {
  for (Index i = 0; i < t.n; ++i) p[i] = v[i];
}
#endif

// Interleave the lower, or the upper, halves of a and b: a0 b0 a1 b1 ...
template <class T>
inline Vec<T> zip_low(Vec<T> a, Vec<T> b) {
  if constexpr (lanes<T> == 16)
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  else if constexpr (lanes<T> == 8)
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  else if constexpr (lanes<T> == 4)
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
  else
    return __builtin_shufflevector(a, b, 0, 2);
}
template <class T>
inline Vec<T> zip_high(Vec<T> a, Vec<T> b) {
  if constexpr (lanes<T> == 16)
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  else if constexpr (lanes<T> == 8)
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  else if constexpr (lanes<T> == 4)
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
  else
    return __builtin_shufflevector(a, b, 1, 3);
}

// Rotates the lanes: lane c of the result is lane (c + By) mod lanes of v.
template <class T, int By>
inline Vec<T> rotate(Vec<T> v) {
  if constexpr (lanes<T> == 16)
    return __builtin_shufflevector(v, v, (0 + By) % 16, (1 + By) % 16, (2 + By) % 16, (3 + By) % 16, (4 + By) % 16,
                                   (5 + By) % 16, (6 + By) % 16, (7 + By) % 16, (8 + By) % 16, (9 + By) % 16,
                                   (10 + By) % 16, (11 + By) % 16, (12 + By) % 16, (13 + By) % 16, (14 + By) % 16,
                                   (15 + By) % 16);
  else if constexpr (lanes<T> == 8)
    return __builtin_shufflevector(v, v, (0 + By) % 8, (1 + By) % 8, (2 + By) % 8, (3 + By) % 8, (4 + By) % 8,
                                   (5 + By) % 8, (6 + By) % 8, (7 + By) % 8);
  else if constexpr (lanes<T> == 4)
    return __builtin_shufflevector(v, v, (0 + By) % 4, (1 + By) % 4, (2 + By) % 4, (3 + By) % 4);
  else
    return __builtin_shufflevector(v, v, (0 + By) % 2, (1 + By) % 2);
}

// The sum of all lanes, as a tree: lane c + half is added to lane c, for half = lanes / 2, ..., 2, 1.
template <class T, int Half = lanes<T> / 2>
inline T sum_lanes(Vec<T> v) {
  if constexpr (Half == 0)
    return v[0];
  else
    return sum_lanes<T, Half / 2>(v + rotate<T, Half>(v));
}

// Transposes the lanes<T> x lanes<T> block held by v[0..lanes<T>): log2(lanes) rounds of perfect shuffles.
template <class T>
inline void transpose(Vec<T> (&v)[lanes<T>]) {
  constexpr int half = lanes<T> / 2;
#pragma GCC unroll 4
  for (int round = 1; round < lanes<T>; round *= 2) {
    Vec<T> t[lanes<T>];
#pragma GCC unroll 16
    for (int i = 0; i < half; ++i) {
      t[2 * i] = zip_low<T>(v[i], v[i + half]);
      t[2 * i + 1] = zip_high<T>(v[i], v[i + half]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < lanes<T>; ++i) v[i] = t[i];
  }
}

#if defined(__AVX512BF16__)
// A 32-bit integer holds a pair of bf16 numbers, the first one in its lower half.
template <>
struct SimdTypes<std::int32_t> {
  using Vec [[gnu::vector_size(vector_bytes)]] = std::int32_t;
};
using Pairs = Vec<std::int32_t>;

inline void store(std::int32_t* p, Pairs v, Tail<float> t) {
  _mm512_mask_storeu_epi32(p, static_cast<__mmask16>(t.mask), (__m512i)v);
}

// Conversions to bf16 round to nearest, ties to even; NaN stays NaN, and a denormal number becomes a zero with its
// sign. The pairs (x0, x1), (x2, x3) ... of the values of first, then those of second:
inline Pairs pairs_along(Vec<float> first, Vec<float> second) { return (Pairs)_mm512_cvtne2ps_pbh(second, first); }
// The pairs (first[i], second[i]):
inline Pairs pairs_across(Vec<float> first, Vec<float> second) {
  const Pairs low = (Pairs)_mm512_maskz_cvtepu16_epi32(0xffff, (__m256i)_mm512_cvtneps_pbh(first));
  const Pairs high = (Pairs)_mm512_maskz_cvtepu16_epi32(0xffff, (__m256i)_mm512_cvtneps_pbh(second));
  return low | (high << 16);
}
// c plus the products of both halves of each lane; the instruction defines the order and the rounding.
inline Vec<float> dot(Pairs a, Pairs b, Vec<float> c) { return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b); }
#endif

}  // namespace
}  // namespace chainrule::CHAINRULE_ISA
