#include "core/gemm_bf16.h"

#include <cassert>
#include <vector>

#include "core/blocking.h"
#include "core/check.h"
#include "core/gemm.h"
#include "core/parallel.h"

namespace chainrule {
namespace {

// Block sizes as in core/gemm, but in pairs: a block of A takes a quarter of the second level. For sums over rows, 2
// MiB of B are packed at a time and stay in the third level. (For 1024-4096-4096-1024, this is 4 % faster than packing
// 512 KiB that stay in the second level, because A is packed less often.)
constexpr Index block_depth = 1024;
constexpr Index group_columns = 2048;

template <class T>
Index block_of_pairs() {
  return std::max(block_size<T>() / 2, kernels<T>().tile_rows * block_depth);
}

constexpr Index round_up(Index a, Index b) { return (a + b - 1) / b * b; }

// Packs panels t in [first, last) of x (count x k), for steps [k_begin, k_end). Panel t has the rows [begin(t),
// begin(t + 1)), rounded up to whole vectors if pad is true. If x is not contiguous along k, a few steps of k are
// packed into all panels before the next ones, so that the panels share cache lines and pages.
template <class T, class Begin>
void pack_panels(MatrixView<const T> x, Begin begin, bool pad, Share panels, Share k, Bf16Pair* to) {
  const Index together = x.col_stride == 1 ? k.end - k.begin : 32;
  for (Index p = k.begin; p < k.end; p += together)
    for (Index t = panels.begin; t < panels.end; ++t) {
      const Index row = begin(t), count = begin(t + 1) - row, step = pad ? round_up(count, kernels<T>().lanes) : count;
      bf16_kernels<T>()->pack_panel(count, step, std::min(together, k.end - p), x.row(row) + p * x.col_stride,
                                    x.row_stride, x.col_stride, to + row * ceil_div(x.cols, 2) + p / 2 * step);
    }
}

// Packs rows of A into the row tiles of gemm_block.
template <class T>
void pack_a(MatrixView<const T> a, Bf16Pair* to) {
  const Index tiles = ceil_div(a.rows, kernels<T>().tile_rows);
  pack_panels(a, [&](Index t) { return a.rows * t / tiles; }, false, {0, tiles}, {0, a.cols}, to);
}

template <class T>
void pack_b(MatrixView<const T> b, Share panels, Share k, Bf16Pair* to) {
  const Index width = kernels<T>().tile_columns;
  pack_panels(b.transposed(), [&](Index t) { return std::min(t * width, b.cols); }, true, panels, k, to);
}

}  // namespace

template <class T>
void require_bf16() {
  require(sizeof(T) == sizeof(float), "precision is bf16, which is for float32 networks");
  require(bf16_kernels<T>() != nullptr,
          "precision is bf16, which needs a CPU with AVX512_BF16 and the instruction set avx512, but ", active_isa(),
          " is in use");
}

template <class T>
PackedBf16<T>::PackedBf16(Index k, Index n)
    : k_(k),
      n_(n),
      padded_n_(round_up(n, kernels<T>().lanes)),
      depth_(k == 0 ? 2 : 2 * ceil_div(ceil_div(k, 2), ceil_div(k, 2 * block_depth))),
      data_(checked_product(ceil_div(k, 2), padded_n_), typename Buffer<Bf16Pair>::Uninitialized{}) {}

template <class T>
Index PackedBf16<T>::panels() const {
  return ceil_div(n_, kernels<T>().tile_columns);
}

template <class T>
void PackedBf16<T>::pack(MatrixView<const T> b, Index first, Index last, Index k_begin, Index k_end) {
  assert(k_begin % 2 == 0 && (k_end % 2 == 0 || k_end == k_));
  for (Index p = k_begin / depth_ * depth_; p < k_end; p += depth_) {
    const Index length = std::min(depth_, k_ - p);
    pack_b(b.rows_between(p, p + length), {first, last}, {std::max<Index>(k_begin - p, 0), std::min(k_end - p, length)},
           data_.data() + p / 2 * padded_n_);
  }
}

Buffer<Bf16Pair> bf16_scratch() {
  return Buffer<Bf16Pair>(block_of_pairs<float>() + group_columns * sum_rows / 2, Buffer<Bf16Pair>::Uninitialized{});
}

template <class T>
void gemm_bf16_packed(MatrixView<const T> a, const PackedBf16<T>& b, const T* bias, T* c, Index ldc, Bf16Pair* scratch,
                      Epilogue<T> epilogue) {
  const Index blocks = ceil_div(a.rows, block_of_pairs<T>() / block_depth);
  for (Index block = 0; block < blocks; ++block) {
    const Index begin = a.rows * block / blocks, rows = a.rows * (block + 1) / blocks - begin;
    Epilogue<T> part = epilogue;
    part.a += begin * part.lda;
    for (Index p = 0; p == 0 || p < b.k(); p += b.depth()) {
      const Index length = std::min(b.depth(), b.k() - p);
      pack_a<T>({a.row(begin) + p * a.col_stride, rows, length, a.row_stride, a.col_stride}, scratch);
      Bf16Block<T> g{.m = rows, .n = b.n(), .k = ceil_div(length, 2), .a = scratch, .b = b.block(p)};
      g.c = c + begin * ldc;
      g.ldc = ldc;
      g.bias = bias;
      g.start = p > 0 ? Start::c : bias != nullptr ? Start::bias : Start::zero;
      if (p + length == b.k()) g.epilogue = part;
      bf16_kernels<T>()->gemm_block(g);
    }
  }
}

template <class T>
void gemm_bf16_transposed(MatrixView<const T> a, MatrixView<const T> b, Addends<T> addends, T* c, Index ldc,
                          Bf16Pair* scratch) {
  assert(a.rows <= sum_rows);
  const MatrixView<const T> rows_of_c = a.transposed();
  const Index pairs = ceil_div(a.rows, 2), blocks = ceil_div(std::max<Index>(a.cols * pairs, 1), block_of_pairs<T>());
  Bf16Pair* packed_b = scratch + block_of_pairs<T>();
  for (Index column = 0; column < b.cols; column += group_columns) {
    const Index columns = std::min(group_columns, b.cols - column);
    const Share panels{0, ceil_div(columns, kernels<T>().tile_columns)};
    pack_b<T>({b.data + column * b.col_stride, b.rows, columns, b.row_stride, b.col_stride}, panels, {0, b.rows},
              packed_b);
    for (Index block = 0; block < blocks; ++block) {
      const Index begin = a.cols * block / blocks, rows = a.cols * (block + 1) / blocks - begin;
      pack_a<T>(rows_of_c.rows_between(begin, begin + rows), scratch);
      Bf16Block<T> g{.m = rows, .n = columns, .k = pairs, .a = scratch, .b = packed_b};
      g.c = c + begin * ldc + column;
      g.ldc = ldc;
      g.addends = {addends.x, addends.count, addends.at + begin * ldc + column};
      bf16_kernels<T>()->gemm_block(g);
    }
  }
}

template <class T>
void gemm_bf16(MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> c, int threads) {
  const IsaInUse isa_in_use;
  const double operations =
      2.0 * static_cast<double>(a.rows) * static_cast<double>(a.cols) * static_cast<double>(b.cols);
  const int team_size = threads_for(operations, threads);
  PackedBf16<T> packed(b.rows, b.cols);
  std::vector<Buffer<Bf16Pair>> scratch;
  for (int rank = 0; rank < team_size; ++rank) scratch.push_back(bf16_scratch());
  parallel_step(team_size, [&](Team team) {
    const Index parts = items_for(packed.panels(), team.size);
    team.each(parts, [&](Index i) {
      const Share panels = part(packed.panels(), parts, i);
      packed.pack(b, panels.begin, panels.end, 0, packed.k());
    });
    const Index blocks = items_for(a.rows, team.size, block_of_pairs<T>() / block_depth);
    team.each(blocks, [&](Index i) {
      const Share rows = part(a.rows, blocks, i);
      gemm_bf16_packed<T>(a.rows_between(rows.begin, rows.end), packed, nullptr, c.row(rows.begin), c.row_stride,
                          scratch[static_cast<std::size_t>(team.rank)].data());
    });
  });
}

#define CHAINRULE_INSTANTIATE(T)                                                                                  \
  template void require_bf16<T>();                                                                                \
  template class PackedBf16<T>;                                                                                   \
  template void gemm_bf16_packed(MatrixView<const T>, const PackedBf16<T>&, const T*, T*, Index, Bf16Pair*,       \
                                 Epilogue<T>);                                                                    \
  template void gemm_bf16_transposed(MatrixView<const T>, MatrixView<const T>, Addends<T>, T*, Index, Bf16Pair*); \
  template void gemm_bf16(MatrixView<const T>, MatrixView<const T>, MatrixView<T>, int);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
