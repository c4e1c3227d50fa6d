// Products of bf16 numbers, summed in float32 by the dot-product instruction of AVX512_BF16, which adds two steps of k
// at once in each lane. The operands are float32 and are rounded while they are packed. As with kernels.cpp, this
// object is compiled with its own flags, and only its constant table has external linkage.
#include "kernels.h"
#include "simd.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int L = lanes<float>;

struct TileArgs {
  Index k;
  const Bf16Pair* a;
  const Bf16Pair* b;
  float* c;
  Index ldc;
  const float* bias;
  Start start;
  Addends<float> addends;
  Index columns;
};

// Computes MR rows x NV vectors of C; the last vector may extend beyond C. The panels of B are padded.
template <int MR, int NV>
void tile(const TileArgs& t) {
  const Tail<float> tail(t.columns - (NV - 1) * L);
  const auto read = [&tail](const float* p, int v) { return v == NV - 1 ? load(p + v * L, tail) : load(p + v * L); };
  Vec<float> acc[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) {
      if (t.start == Start::zero)
        acc[i][v] = Vec<float>{};
      else
        acc[i][v] = read(t.start == Start::bias ? t.bias : t.c + i * t.ldc, v);
    }
#pragma GCC unroll 16  // C is prefetched while the sums are computed, which makes 784-1024-1024-10 3 % faster
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) __builtin_prefetch(t.c + i * t.ldc + v * L, 1);
  const Bf16Pair* a = t.a;
  const Bf16Pair* b = t.b;
  for (Index p = t.k; p > 0; --p, a += MR, b += NV * L) {
    Pairs bv[NV];
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) bv[v] = load(b + v * L);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const Pairs ai = splat(a[i]);
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) acc[i][v] = dot(ai, bv[v], acc[i][v]);
    }
  }
  for (Index s = 0; s < t.addends.count; ++s) {
    const float* x = t.addends.x[s] + t.addends.at;
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) acc[i][v] = read(x + i * t.ldc, v) + acc[i][v];
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) {
      float* c = t.c + i * t.ldc;
      if (v == NV - 1)
        store(c + v * L, acc[i][v], tail);
      else
        store(c + v * L, acc[i][v]);
    }
}

// Tile functions, indexed by number of rows - 1 and number of vectors - 1.
struct Tiles {
  void (*tile[tile_rows][tile_vectors])(const TileArgs&);
};
template <int MR = 1>
constexpr void fill(Tiles& tiles) {
  static_assert(tile_vectors == 2);
  tiles.tile[MR - 1][0] = tile<MR, 1>;
  tiles.tile[MR - 1][1] = tile<MR, 2>;
  if constexpr (MR < tile_rows) fill<MR + 1>(tiles);
}
constexpr Tiles tiles = [] {
  Tiles all{};
  fill(all);
  return all;
}();

void gemm_block(const Bf16Block<float>& g) {
  constexpr Index width = tile_vectors * L;
  const Index row_tiles = (g.m + tile_rows - 1) / tile_rows;
  const Epilogue<float>& e = g.epilogue;
  for (Index j = 0; j < g.n; j += width) {
    const Index columns = g.n - j < width ? g.n - j : width, vectors = (columns + L - 1) / L;
    for (Index t = 0; t < row_tiles; ++t) {
      const Index row = g.m * t / row_tiles, rows = g.m * (t + 1) / row_tiles - row;
      tiles.tile[rows - 1][vectors - 1]({g.k,
                                         g.a + row * g.k,
                                         g.b + j * g.k,
                                         g.c + row * g.ldc + j,
                                         g.ldc,
                                         g.bias != nullptr ? g.bias + j : nullptr,
                                         g.start,
                                         {g.addends.x, g.addends.count, g.addends.at + row * g.ldc + j},
                                         columns});
    }
    float* c = g.c + j;
    if (e.activate != nullptr) e.activate(g.m, columns, c, g.ldc, e.a + j, e.lda);
    if (e.activate_with_slope != nullptr) e.activate_with_slope(g.m, columns, c, g.ldc, e.a + j, e.lda);
    if (e.activate_backward != nullptr) e.activate_backward(g.m, columns, e.a + j, e.lda, c, g.ldc, c, g.ldc);
  }
}

// Turns rows of src into columns of pairs, in square blocks that fit in the registers.
void pack_rows(Index count, Index step, Index k, const float* src, Index stride_i, Bf16Pair* dst) {
  for (Index i = 0; i < step; i += L) {
    const Index rows = count - i < L ? count - i : L;
    const Tail<float> columns(step - i < L ? step - i : L);
    for (Index p = 0; p < k; p += 2 * L) {
      const Index depth = k - p < 2 * L ? k - p : 2 * L;
      const Tail<float> first(depth < L ? depth : L), second(depth < L ? 0 : depth - L);
      Pairs v[L];
      for (Index r = 0; r < L; ++r) {
        const float* from = src + (i + r) * stride_i + p;
        if (r >= rows)
          v[r] = Pairs{};
        else if (depth == 2 * L)
          v[r] = pairs_along(load(from), load(from + L));
        else
          v[r] = pairs_along(load(from, first), load(from + L, second));
      }
      transpose<Bf16Pair>(v);
      Bf16Pair* to = dst + p / 2 * step + i;
      for (Index q = 0; q < (depth + 1) / 2; ++q) store(to + q * step, v[q], columns);
    }
  }
}

void pack_panel(Index count, Index step, Index k, const float* src, Index stride_i, Index stride_k, Bf16Pair* dst) {
  if (stride_k == 1 && stride_i != 1) return pack_rows(count, step, k, src, stride_i, dst);
  const auto pack = [&](auto read) {  // read(p, i, n) returns elements i to i + n of step p of src
    for (Index i = 0; i < step; i += L) {
      const Index inside = count - i < 0 ? 0 : count - i < L ? count - i : L;
      const Tail<float> columns(step - i < L ? step - i : L);
      Bf16Pair* to = dst + i;
      Index p = 0;
      for (; p + 1 < k; p += 2, to += step)
        store(to, pairs_across(read(p, i, inside), read(p + 1, i, inside)), columns);
      if (p < k) store(to, pairs_across(read(p, i, inside), Vec<float>{}), columns);
    }
  };
  if (stride_i == 1)
    return pack([&](Index p, Index i, Index n) {
      const float* from = src + i + p * stride_k;
      __builtin_prefetch(from + 2 * L);  // the panels to the right are packed next
      return load(from, Tail<float>(n));
    });
  pack([&](Index p, Index i, Index n) {
    Vec<float> v{};
    for (Index r = 0; r < n; ++r) v[r] = src[(i + r) * stride_i + p * stride_k];
    return v;
  });
}

double peak(Index repeats, float* sink) {
  constexpr int chains = 12;
  Vec<float> acc[chains];
  for (int i = 0; i < chains; ++i) acc[i] = splat(static_cast<float>(i));
  const Pairs x = pairs_across(splat(0.5f), splat(0.5f)), y = pairs_across(splat(1.0f), splat(-1.0f));
  for (Index r = 0; r < repeats; ++r)
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i) acc[i] = dot(x, y, acc[i]);
  Vec<float> total{};
  for (int i = 0; i < chains; ++i) total = total + acc[i];
  store(sink, total);
  return 4.0 * chains * L * static_cast<double>(repeats);
}

}  // namespace

extern constinit const Bf16Kernels<float> kernels_bf16 = {pack_panel, gemm_block, peak};

}  // namespace chainrule::CHAINRULE_ISA
