#include "core/gemm.h"

#include <cassert>
#include <cmath>
#include <numeric>
#include <vector>

namespace chainrule {
namespace {

// A block of A (block_rows x block_depth, 448 KiB of float) and a panel of B (128 KiB for AVX-512) stay in the
// second-level cache; a tile reads 3 lines a step from there, every 14 cycles. Deep blocks beat what the first level
// suggests, as C is written once.
constexpr Index block_depth = 1024;
// Columns of B that gemm_transposed packs at a time.
constexpr Index block_columns = 1024;

constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }
constexpr Index round_up(Index a, Index b) { return ceil_div(a, b) * b; }

// Whether lines so far apart find room in a first-level cache of 64 sets of 8 lines.
template <class T>
bool cached(Index lines, Index distance) {
  return lines <= 8 * 4096 / std::gcd(Index{4096}, distance * static_cast<Index>(sizeof(T)));
}

// How a product of n columns reads A. Packing costs as much as some 30 columns; where many more follow it pays, if
// the rows lie in the same few sets of the cache or far apart.
template <class T>
Layout layout_of(MatrixView<const T> a, Index n) {
  const bool near = a.row_stride <= 2 * block_depth && cached<T>(kernels<T>().tile_rows, a.row_stride);
  if (a.col_stride == 1 && n <= (near ? 1024 : 64)) return Layout::rows;
  if (a.row_stride == 1 && n < (cached<T>(a.cols, a.col_stride) ? 512 : 64)) return Layout::columns;
  return Layout::packed;
}

// Lets g read A where it lies, or packed in scratch.
template <class T>
void read_a(MatrixView<const T> a, T* scratch, GemmBlock<T>& g) {
  g.a_layout = layout_of(a, g.n);
  g.a = a.data;
  g.lda = g.a_layout == Layout::rows ? a.row_stride : a.col_stride;
  if (g.a_layout == Layout::packed) {
    const Kernels<T>& kernel = kernels<T>();
    g.a = scratch;
    const Index tiles = ceil_div(a.rows, kernel.tile_rows);  // as gemm_block takes them
    for (Index t = 0; t < tiles; ++t) {
      const Index begin = a.rows * t / tiles, rows = a.rows * (t + 1) / tiles - begin;
      kernel.pack_panel(rows, rows, a.cols, a.row(begin), a.row_stride, a.col_stride, scratch + begin * a.cols);
    }
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
Index gemm_scratch(Index rows, Index widest) {
  const Index summed = std::min(rows, sum_rows);
  const Index block_of_a = std::max(std::min(rows, block_rows) * std::min(widest, block_depth),
                                    std::min(widest, block_rows) * summed);  // in gemm_transposed
  const Index block_of_b = summed * round_up(std::min(widest, block_columns), kernels<T>().lanes);
  return block_of_a + block_of_b;
}

template <class T>
void gemm_packed(MatrixView<const T> a, const PackedMatrix<T>& b, Share columns, const T* bias, T* c, Index ldc,
                 T* scratch, Epilogue<T> epilogue) {
  const Kernels<T>& kernel = kernels<T>();
  const Index blocks = ceil_div(a.rows, block_rows);
  for (Index block = 0; block < blocks; ++block) {
    const Index begin = a.rows * block / blocks, rows = a.rows * (block + 1) / blocks - begin;
    Epilogue<T> part = epilogue;
    part.a += begin * part.lda;
    for (Index p = 0; p == 0 || p < b.k(); p += b.depth()) {
      const Index length = std::min(b.depth(), b.k() - p);
      GemmBlock<T> g{.m = rows, .n = columns.end - columns.begin, .k = length};
      read_a<T>({a.row(begin) + p * a.col_stride, rows, length, a.row_stride, a.col_stride}, scratch, g);
      g.b = b.block(p) + columns.begin * length;
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
void gemm_unpacked(MatrixView<const T> a, MatrixView<const T> b, const T* bias, T* c, Index ldc, T* scratch,
                   Epilogue<T> epilogue) {
  assert(a.rows <= block_rows);
  for (Index p = 0; p == 0 || p < b.rows; p += block_depth) {
    const Index length = std::min(block_depth, b.rows - p);
    GemmBlock<T> g{.m = a.rows, .n = b.cols, .k = length};
    read_a<T>({a.data + p * a.col_stride, a.rows, length, a.row_stride, a.col_stride}, scratch, g);
    g.b = b.row(p);
    g.ldb = b.row_stride;
    g.b_layout = Layout::rows;
    g.c = c;
    g.ldc = ldc;
    g.bias = bias;
    g.start = p > 0 ? Start::c : bias != nullptr ? Start::bias : Start::zero;
    if (p + length == b.rows) g.epilogue = epilogue;
    kernels<T>().gemm_block(g);
  }
}

template <class T>
void gemm_few_rows(MatrixView<const T> a, MatrixView<const T> b, T* c, Index ldc, Epilogue<T> epilogue) {
  kernels<T>().gemm_few_rows({a.rows, b.rows, b.cols, a.data, a.row_stride, b.data, b.row_stride, c, ldc, epilogue});
}

template <class T>
void gemm_transposed(MatrixView<const T> a, MatrixView<const T> b, Finish finish, T* c, Index ldc, T* scratch,
                     RowFetch<T>* fetch) {
  const Kernels<T>& kernel = kernels<T>();
  const bool in_place = b.col_stride == 1 && a.cols < (cached<T>(b.rows, b.row_stride) ? 512 : 32);
  const Index columns = in_place ? b.cols : block_columns, width = kernel.tile_columns;
  T* scratch_a = in_place ? scratch : scratch + b.rows * round_up(std::min(b.cols, columns), kernel.lanes);
  for (Index j = 0; j < b.cols; j += columns) {
    const Index n = std::min(columns, b.cols - j);
    if (!in_place)
      for (Index panel = 0; panel < n; panel += width) {
        const Index count = std::min(width, n - panel);
        kernel.pack_panel(count, round_up(count, kernel.lanes), b.rows, b.data + (j + panel) * b.col_stride,
                          b.col_stride, b.row_stride, scratch + panel * b.rows);
      }
    const Index rows = layout_of(a.transposed(), n) == Layout::packed ? block_rows : a.cols;
    for (Index i = 0; i < a.cols; i += rows) {
      GemmBlock<T> g{.m = std::min(rows, a.cols - i), .n = n, .k = a.rows};
      read_a<T>(a.columns_between(i, i + g.m).transposed(), scratch_a, g);
      g.b = in_place ? b.data + j : scratch;
      g.ldb = b.row_stride;
      g.b_layout = in_place ? Layout::rows : Layout::packed;
      g.c = c + i * ldc + j;
      g.ldc = ldc;
      g.finish = finish;
      g.fetch = fetch;
      kernel.gemm_block(g);
    }
  }
}

template <class T>
void gemm(MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> c, int threads) {
  const IsaInUse isa_in_use;
  const double operations =
      2.0 * static_cast<double>(a.rows) * static_cast<double>(a.cols) * static_cast<double>(b.cols);
  const int team_size = threads_for(operations, threads);
  const bool in_place = b.col_stride == 1 && a.rows <= block_rows;  // packing B pays with more rows
  PackedMatrix<T> packed;
  if (!in_place) packed = PackedMatrix<T>(b.rows, b.cols);
  std::vector<Buffer<T>> scratch;
  for (int rank = 0; rank < team_size; ++rank)
    scratch.emplace_back(block_rows * std::min(a.cols, block_depth), typename Buffer<T>::Uninitialized{});
  parallel(team_size, [&](Team team) {
    T* mine = scratch[static_cast<std::size_t>(team.rank)].data();
    if (in_place) {
      const Share columns = share(b.cols, team, kernels<T>().tile_columns);
      return gemm_unpacked<T>(a, b.columns_between(columns.begin, columns.end), nullptr, c.data + columns.begin,
                              c.row_stride, mine);
    }
    const Share panels = share(packed.panels(), team);
    packed.pack(b, panels.begin, panels.end, 0, packed.k());
    team.barrier();
    const Share rows = share(a.rows, team);
    gemm_packed<T>(a.rows_between(rows.begin, rows.end), packed, {0, b.cols}, nullptr, c.row(rows.begin), c.row_stride,
                   mine);
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

#define CHAINRULE_INSTANTIATE(T)                                                                                       \
  template class PackedMatrix<T>;                                                                                      \
  template Index gemm_scratch<T>(Index, Index);                                                                        \
  template void gemm_packed(MatrixView<const T>, const PackedMatrix<T>&, Share, const T*, T*, Index, T*, Epilogue<T>); \
  template void gemm_unpacked(MatrixView<const T>, MatrixView<const T>, const T*, T*, Index, T*, Epilogue<T>);         \
  template void gemm_few_rows(MatrixView<const T>, MatrixView<const T>, T*, Index, Epilogue<T>);                       \
  template void gemm_transposed(MatrixView<const T>, MatrixView<const T>, Finish, T*, Index, T*, RowFetch<T>*);        \
  template void gemm(MatrixView<const T>, MatrixView<const T>, MatrixView<T>, int);                                    \
  template void gemm_naive(MatrixView<const T>, MatrixView<const T>, MatrixView<T>);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
