#include "core/gemm.h"

#include <cassert>
#include <cmath>
#include <vector>

#include "core/parallel.h"

namespace chainrule {
namespace {

// A block of A (block_rows x block_depth, 224 KiB of float) and a panel of B (128 KiB for AVX-512) stay in the
// second-level cache; a tile reads 3 lines a step from there, every 14 cycles. Deep and few rows beat what the first
// level suggests (512 x 128: 87-91 % of peak at 1024³ on Zen 5; 1024 x 56: 90-92 %, and W4-W6 3-10 % faster): C is
// written once.
constexpr Index block_depth = 1024;

constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }
constexpr Index round_up(Index a, Index b) { return ceil_div(a, b) * b; }

// Rows [0, m) of A in the tiles that gemm_block takes them in.
template <class T>
void pack_rows(MatrixView<const T> a, T* scratch) {
  const Kernels<T>& kernel = kernels<T>();
  const Index tiles = ceil_div(a.rows, kernel.tile_rows);
  for (Index t = 0; t < tiles; ++t) {
    const Index begin = a.rows * t / tiles, rows = a.rows * (t + 1) / tiles - begin;
    kernel.pack_panel(rows, rows, a.cols, a.row(begin), a.row_stride, a.col_stride, scratch + begin * a.cols);
  }
}

}  // namespace

template <class T>
PackedMatrix<T>::PackedMatrix(Index k, Index n)
    : k_(k),
      n_(n),
      padded_n_(round_up(n, kernels<T>().lanes)),
      depth_(k == 0 ? 1 : ceil_div(k, ceil_div(k, block_depth))),
      data_(checked_product(k, padded_n_), typename Buffer<T>::Uninitialized{}) {}

template <class T>
Index PackedMatrix<T>::panels() const {
  return ceil_div(n_, kernels<T>().tile_columns);
}

template <class T>
void PackedMatrix<T>::pack(MatrixView<const T> b, Index first, Index last, Index k_begin, Index k_end) {
  const Kernels<T>& kernel = kernels<T>();
  for (Index p = k_begin; p < k_end;) {
    const Index block_begin = p / depth_ * depth_;
    const Index block_length = std::min(depth_, k_ - block_begin);
    const Index length = std::min(block_begin + block_length, k_end) - p;
    for (Index panel = first; panel < last; ++panel) {
      const Index column = panel * kernel.tile_columns;
      const Index count = std::min<Index>(kernel.tile_columns, n_ - column);
      const Index step = round_up(count, kernel.lanes);
      T* to = data_.data() + block_begin * padded_n_ + column * block_length + (p - block_begin) * step;
      kernel.pack_panel(count, step, length, b.row(p) + column * b.col_stride, b.col_stride, b.row_stride, to);
    }
    p += length;
  }
}

template <class T>
Buffer<T> gemm_scratch(Index rows, Index k) {
  const Index packed_a = std::min(rows, block_rows) * std::min(k, block_depth);
  const Index panel_of_b = std::min(rows, sum_rows) * kernels<T>().tile_columns;
  return Buffer<T>(std::max(packed_a, panel_of_b), typename Buffer<T>::Uninitialized{});
}

template <class T>
void gemm_packed(MatrixView<const T> a, const PackedMatrix<T>& b, const T* bias, T* c, Index ldc, T* scratch,
                 Epilogue<T> epilogue) {
  const Kernels<T>& kernel = kernels<T>();
  const Index blocks = ceil_div(a.rows, block_rows);
  for (Index block = 0; block < blocks; ++block) {
    const Index begin = a.rows * block / blocks, rows = a.rows * (block + 1) / blocks - begin;
    Epilogue<T> part = epilogue;
    part.a += begin * part.lda;
    for (Index p = 0; p == 0 || p < b.k(); p += b.depth()) {
      const Index length = std::min(b.depth(), b.k() - p);
      pack_rows<T>({a.row(begin) + p * a.col_stride, rows, length, a.row_stride, a.col_stride}, scratch);
      GemmBlock<T> g{.m = rows, .n = b.n(), .k = length};
      g.a = scratch;
      g.b = b.block(p);
      g.a_row = g.b_col = length;
      g.a_packed = g.b_packed = true;
      g.c = c + begin * ldc;
      g.ldc = ldc;
      g.bias = bias;
      g.start = p > 0 ? Start::c : bias != nullptr ? Start::bias : Start::zero;
      if (p + length == b.k()) g.epilogue = part;
      kernel.gemm_block(g);
    }
  }
}

template <class T>
void gemm_unpacked(MatrixView<const T> a, MatrixView<const T> b, T* c, Index ldc, T* scratch, Epilogue<T> epilogue) {
  assert(a.rows <= block_rows);
  for (Index p = 0; p == 0 || p < b.rows; p += block_depth) {
    const Index length = std::min(block_depth, b.rows - p);
    pack_rows<T>({a.data + p * a.col_stride, a.rows, length, a.row_stride, a.col_stride}, scratch);
    GemmBlock<T> g{.m = a.rows, .n = b.cols, .k = length};
    g.a = scratch;
    g.a_row = length;
    g.a_packed = true;
    g.b = b.row(p);
    g.b_col = 1;
    g.b_step = b.row_stride;
    g.c = c;
    g.ldc = ldc;
    g.start = p > 0 ? Start::c : Start::zero;
    if (p + length == b.rows) g.epilogue = epilogue;
    kernels<T>().gemm_block(g);
  }
}

template <class T>
void gemm_few_rows(MatrixView<const T> a, MatrixView<const T> w, const T* bias, T* c, Index ldc, Epilogue<T> epilogue) {
  kernels<T>().gemm_few_rows(
      {a.rows, w.rows, w.cols, a.data, a.row_stride, w.data, w.row_stride, bias, c, ldc, epilogue});
}

template <class T>
void gemm_transposed(MatrixView<const T> a, MatrixView<const T> b, Finish finish, T* c, Index ldc, T* scratch) {
  const Kernels<T>& kernel = kernels<T>();
  GemmBlock<T> block{.m = a.cols, .n = b.cols, .k = a.rows};
  block.a = a.data;
  block.a_row = 1;
  block.a_step = a.row_stride;
  block.b = b.data;
  block.b_col = 1;
  block.b_step = b.row_stride;
  block.c = c;
  block.ldc = ldc;
  block.finish = finish;
  if (b.col_stride == 1) return kernel.gemm_block(block);
  for (Index column = 0; column < b.cols; column += kernel.tile_columns) {
    block.n = std::min<Index>(kernel.tile_columns, b.cols - column);
    block.b_step = kernel.tile_columns;
    block.b = scratch;
    block.c = c + column;
    kernel.pack_panel(block.n, block.b_step, b.rows, b.data + column * b.col_stride, b.col_stride, b.row_stride,
                      scratch);
    kernel.gemm_block(block);
  }
}

template <class T>
void gemm(MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> c, int threads) {
  const IsaInUse isa_in_use;
  const double operations =
      2.0 * static_cast<double>(a.rows) * static_cast<double>(a.cols) * static_cast<double>(b.cols);
  const int team_size = threads_for(operations, threads);
  PackedMatrix<T> packed(b.rows, b.cols);
  std::vector<Buffer<T>> scratch;
  for (int rank = 0; rank < team_size; ++rank) scratch.push_back(gemm_scratch<T>(a.rows, a.cols));
  parallel(team_size, [&](Team team) {
    const Share panels = share(packed.panels(), team);
    packed.pack(b, panels.begin, panels.end, 0, packed.k());
    team.barrier();
    const Share rows = share(a.rows, team);
    gemm_packed<T>(a.rows_between(rows.begin, rows.end), packed, nullptr, c.row(rows.begin), c.row_stride,
                   scratch[static_cast<std::size_t>(team.rank)].data());
  });
}

template <class T>
void gemm_naive(MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> c) {
  for (Index i = 0; i < a.rows; ++i)
    for (Index j = 0; j < b.cols; ++j) {
      T sum = 0;
      for (Index p = 0; p < a.cols; ++p) sum = std::fma(a(i, p), b(p, j), sum);
      c(i, j) = sum;
    }
}

#define CHAINRULE_INSTANTIATE(T)                                                                                \
  template class PackedMatrix<T>;                                                                               \
  template Buffer<T> gemm_scratch(Index, Index);                                                                \
  template void gemm_packed(MatrixView<const T>, const PackedMatrix<T>&, const T*, T*, Index, T*, Epilogue<T>); \
  template void gemm_unpacked(MatrixView<const T>, MatrixView<const T>, T*, Index, T*, Epilogue<T>);            \
  template void gemm_few_rows(MatrixView<const T>, MatrixView<const T>, const T*, T*, Index, Epilogue<T>);      \
  template void gemm_transposed(MatrixView<const T>, MatrixView<const T>, Finish, T*, Index, T*);               \
  template void gemm(MatrixView<const T>, MatrixView<const T>, MatrixView<T>, int);                             \
  template void gemm_naive(MatrixView<const T>, MatrixView<const T>, MatrixView<T>);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
