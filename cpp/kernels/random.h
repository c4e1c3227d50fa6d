// Counter-based random bits for dropout: Threefry-4x32-20 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy
// as 1, 2, 3, SC 2011). Each lane turns its counter into four random words. Threefry needs only additions, rotations
// and exclusive ors, which every instruction set has for vectors.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

using Words [[gnu::vector_size(vector_bytes)]] = std::uint32_t;
using Word4 = Words[4];

template <int Left, int Right>
inline void threefry_round(Words& x0, Words& x1, Words& x2, Words& x3) {
  x0 += x1;
  x1 = (x1 << Left | x1 >> (32 - Left)) ^ x0;
  x2 += x3;
  x3 = (x3 << Right | x3 >> (32 - Right)) ^ x2;
}

// Overwrites N counters x with their random words. If N is 2, the rounds of the two counters overlap.
template <int N>
inline void threefry(Word4 (&x)[N], const std::uint32_t (&key)[4]) {
  const std::uint32_t parity = 0x1BD11BDA ^ key[0] ^ key[1] ^ key[2] ^ key[3];
  const std::uint32_t keys[5] = {key[0], key[1], key[2], key[3], parity};
  const auto add = [&](std::uint32_t from, std::uint32_t rounds) {
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) {
#pragma GCC unroll 4
      for (std::uint32_t i = 0; i < 4; ++i) x[n][i] += keys[(from + i) % 5];
      x[n][3] += rounds;
    }
  };
  const auto straight = [&x]<int Left, int Right>() {
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) threefry_round<Left, Right>(x[n][0], x[n][1], x[n][2], x[n][3]);
  };
  const auto crossed = [&x]<int Left, int Right>() {
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) threefry_round<Left, Right>(x[n][0], x[n][3], x[n][2], x[n][1]);
  };
  add(0, 0);
#pragma GCC unroll 5
  for (std::uint32_t four = 1; four <= 5; ++four) {
    if (four % 2 == 1) {
      straight.template operator()<10, 26>();
      crossed.template operator()<11, 21>();
      straight.template operator()<13, 27>();
      crossed.template operator()<23, 5>();
    } else {
      straight.template operator()<6, 20>();
      crossed.template operator()<17, 11>();
      straight.template operator()<25, 10>();
      crossed.template operator()<18, 20>();
    }
    add(four, four);
  }
}

// The random words of the counters (first[lane], second, step) under the key (seed, layer). If N is 2, x[1] gets the
// words of the next counters, first[lane] + lanes.
template <int N>
inline void dropout_words(const Dropout& d, Words first, std::uint32_t second, Word4 (&x)[N]) {
  const Words zero{};
  for (Word4& words : x) {
    words[0] = first;
    words[1] = zero + second;
    words[2] = zero + static_cast<std::uint32_t>(d.step);
    words[3] = zero + static_cast<std::uint32_t>(d.step >> 32);
    first += static_cast<std::uint32_t>(lanes<float>);
  }
  const std::uint32_t key[4] = {static_cast<std::uint32_t>(d.seed), static_cast<std::uint32_t>(d.seed >> 32), d.layer,
                                0};
  threefry(x, key);
}

// The 16 bits of row R of a block of eight rows.
template <int R>
inline Words sixteen_bits(const Word4& x) {
  return R % 2 == 0 ? x[R / 2] & 0xffff : x[R / 2] >> 16;
}

// The factors of part number `part` of the lanes of `bits` (a vector of T has as many lanes as a part): `scale` where
// the bits are below `kept`, else 0.
template <class T>
inline Vec<T> dropout_factors(Words bits, std::uint32_t kept, T scale, int part) {
  using Half [[gnu::vector_size(lanes<T> * 4)]] = std::int32_t;
  using Signed [[gnu::vector_size(vector_bytes)]] = std::int32_t;
  const Signed below = (Signed)bits < (Signed{} + static_cast<std::int32_t>(kept));
  if constexpr (sizeof(T) == 4) {
    return from_bits<T>(below & to_bits<T>(splat(scale)));
  } else {
    Half half;
    __builtin_memcpy(&half, reinterpret_cast<const Half*>(&below) + part, sizeof half);
    return from_bits<T>(__builtin_convertvector(half, Bits<T>) & to_bits<T>(splat(scale)));
  }
}

template <class T>
inline T dropout_scale(const Dropout& d) {
  return static_cast<T>(65536.0 / d.kept);
}

// The remaining rows and columns of a matrix x and, unless y is null, of a second matrix of the same shape.
template <class T>
struct DroppedPart {
  T *x, *y;
  Index ldx, ldy, m, n;
};

template <class T, int R = 0>
inline void drop_rows(const Word4& words, const Dropout& d, Index first, const DroppedPart<T>& p) {
  constexpr Index L = lanes<T>;
  const Words bits = sixteen_bits<R>(words);
  const Index i = first + R;
  if (0 <= i && i < p.m) {
    for (int part = 0; part < static_cast<int>(sizeof(T)) / 4 && part * L < p.n; ++part) {
      const Vec<T> factors = dropout_factors<T>(bits, d.kept, dropout_scale<T>(d), part);
      T *x = p.x + i * p.ldx + part * L, *y = p.y != nullptr ? p.y + i * p.ldy + part * L : nullptr;
      if (p.n - part * L >= L) {
        store(x, factors * load(x));
        if (y != nullptr) store(y, factors * load(y));
      } else {
        const Tail<T> tail(p.n - part * L);
        store(x, factors * load(x, tail), tail);
        if (y != nullptr) store(y, factors * load(y, tail), tail);
      }
    }
  }
  if constexpr (R < 7) drop_rows<T, R + 1>(words, d, first, p);
}

template <class T>
void drop(const Dropout& d, Index m, Index n, Index row, Index column, T* x, Index ldx, T* y, Index ldy) {
  constexpr Index L = lanes<float>;
  Words lane;
  for (int c = 0; c < L; ++c) lane[c] = static_cast<std::uint32_t>(c);
  for (Index block = row / 8; block * 8 < row + m; ++block)
    for (Index j = 0; j < n; j += 2 * L) {
      Word4 words[2];
      dropout_words(d, lane + static_cast<std::uint32_t>(column + j), static_cast<std::uint32_t>(block), words);
      for (Index part = j, w = 0; w < 2; part += L, ++w)
        if (part < n)
          drop_rows<T>(words[w], d, block * 8 - row,
                       {x + part, y != nullptr ? y + part : nullptr, ldx, ldy, m, n - part});
    }
}

// The words of one counter, for tests.
inline void random_words(const std::uint32_t (&counter)[4], const std::uint32_t (&key)[4], std::uint32_t (&words)[4]) {
  Word4 x[1];
#pragma GCC unroll 16
  for (int i = 0; i < 4; ++i) x[0][i] = Words{} + counter[i];
  threefry(x, key);
#pragma GCC unroll 16
  for (int i = 0; i < 4; ++i) words[i] = x[0][i][lanes<float> - 1];
}

}  // namespace
}  // namespace chainrule::CHAINRULE_ISA
