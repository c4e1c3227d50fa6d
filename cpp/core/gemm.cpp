#include "core/gemm.h"

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

// Whether lines so far apart find room in a first-level cache of 64 sets of 8 lines.
template <class T>
bool cached(Index lines, Index distance) {
  return lines <= Index{8} * 4096 / std::gcd(Index{4096}, distance * static_cast<Index>(sizeof(T)));
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
void pack_panels(MatrixView<const T> b, PanelView<T> to, Share panels, Index first) {
  for (Index number = panels.begin; number < panels.end; ++number) {
    const MatrixView<T> panel = to.panel(number);
    kernels<T>().pack_panel(panel.cols, panel.row_stride, b.rows,
                            b.data + number * kernels<T>().tile_columns * b.col_stride, b.col_stride, b.row_stride,
                            panel.row(first));
  }
}

template <class T>
Index gemm_scratch(Index rows, Index widest) {
  const Index summed = std::min(rows, sum_rows);
  const Index block_of_a = std::max({std::min(rows, block_rows) * std::min(widest, block_depth),
                                     std::min(widest, block_rows) * summed,  // in gemm_transposed
                                     widest});
  const Index block_of_b = PanelView<T>::size(summed, std::min(widest, block_columns));
  return block_of_a + block_of_b;
}

namespace {

// C = bias + A B by blocks of rows of A and steps of k; g has B and where in it C's columns begin.
template <class T>
void gemm_blocks(MatrixView<const T> a, const T* bias, T* c, Index ldc, T* scratch, Epilogue<T> epilogue,
                 GemmBlock<T> g) {
  const Index blocks = ceil_div(a.rows, block_rows);
  const Index depth = a.cols == 0 ? 1 : ceil_div(a.cols, ceil_div(a.cols, block_depth));
  const T* b = g.b;
  for (Index block = 0; block < blocks; ++block) {
    const Index begin = a.rows * block / blocks;
    g.m = a.rows * (block + 1) / blocks - begin;
    g.c = c + begin * ldc;
    g.ldc = ldc;
    for (Index p = 0; p == 0 || p < a.cols; p += depth) {
      g.k = std::min(depth, a.cols - p);
      read_a<T>(a.rows_between(begin, begin + g.m).columns_between(p, p + g.k), scratch, g);
      if (g.b_layout == Layout::packed)
        g.b_first = p;
      else
        g.b = b + p * g.ldb;
      g.bias = bias;
      g.start = p > 0 ? Start::c : bias != nullptr ? Start::bias : Start::zero;
      g.epilogue = {};
      if (p + g.k == a.cols) {
        g.epilogue = epilogue;
        g.epilogue.a += begin * epilogue.lda;
      }
      kernels<T>().gemm_block(g);
    }
  }
}

}  // namespace

template <class T>
void gemm_packed(MatrixView<const T> a, PanelView<const T> b, Share columns, const T* bias, T* c, Index ldc, T* scratch,
                 Epilogue<T> epilogue) {
  GemmBlock<T> g{.n = columns.end - columns.begin, .b = b.data + columns.begin * b.k, .b_rows = b.k};
  gemm_blocks<T>(a, bias, c, ldc, scratch, epilogue, g);
}

template <class T>
void gemm_unpacked(MatrixView<const T> a, MatrixView<const T> b, const T* bias, T* c, Index ldc, T* scratch,
                   Epilogue<T> epilogue) {
  GemmBlock<T> g{.n = b.cols, .b = b.data, .ldb = b.row_stride, .b_layout = Layout::rows};
  gemm_blocks<T>(a, bias, c, ldc, scratch, epilogue, g);
}

template <class T>
void gemm_few_rows(MatrixView<const T> a, MatrixView<const T> b, T* c, Index ldc, Epilogue<T> epilogue) {
  kernels<T>().gemm_few_rows({a.rows, b.rows, b.cols, a.data, a.row_stride, b.data, b.row_stride, c, ldc, epilogue});
}

template <class T>
void gemm_transposed(MatrixView<const T> a, MatrixView<const T> b, Addends<T> addends, Place<T> c, T* scratch,
                     RowFetch<T>* fetch) {
  const bool in_place = b.col_stride == 1 && a.cols < (cached<T>(b.rows, b.row_stride) ? 512 : 32);
  const Index columns = in_place ? b.cols : block_columns;
  T* scratch_a = in_place ? scratch : scratch + PanelView<T>::size(b.rows, std::min(b.cols, columns));
  for (Index j = 0; j < b.cols; j += columns) {
    const Index n = std::min(columns, b.cols - j);
    const MatrixView<const T> part = b.columns_between(j, j + n);
    const PanelView<T> packed{scratch, b.rows, n};
    if (!in_place) pack_panels(part, packed, {0, packed.panels()});
    const Index rows = layout_of(a.transposed(), n) == Layout::packed ? block_rows : a.cols;
    for (Index i = 0; i < a.cols; i += rows) {
      GemmBlock<T> g{.m = std::min(rows, a.cols - i), .n = n, .k = a.rows};
      read_a<T>(a.columns_between(i, i + g.m).transposed(), scratch_a, g);
      g.b = in_place ? part.data : packed.data;
      g.ldb = b.row_stride;
      g.b_layout = in_place ? Layout::rows : Layout::packed;
      g.b_rows = b.rows;
      if (c.panel_rows > 0) {
        g.c = c.data + j * c.panel_rows;
        g.c_layout = Layout::packed;
        g.c_rows = c.panel_rows;
        g.c_first = i;
      } else {
        g.c = c.data + i * c.ld + j;
        g.ldc = c.ld;
      }
      g.addends = {addends.x, addends.count, addends.at + (g.c - c.data)};
      g.fetch = fetch;
      kernels<T>().gemm_block(g);
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
  Buffer<T> memory;
  if (!in_place) memory = Buffer<T>(PanelView<T>::size(b.rows, b.cols), typename Buffer<T>::Uninitialized{});
  const PanelView<T> packed{memory.data(), b.rows, b.cols};
  std::vector<Buffer<T>> scratch;
  for (int rank = 0; rank < team_size; ++rank)
    scratch.emplace_back(block_rows * std::min(a.cols, block_depth), typename Buffer<T>::Uninitialized{});
  parallel(team_size, [&](Team team) {
    T* mine = scratch[static_cast<std::size_t>(team.rank)].data();
    const Index panels = packed.panels();
    const Index parts = items_for(panels, team.size);
    if (in_place)
      return team.each(parts, [&](Index i) {
        const Share columns = part(b.cols, parts, i, kernels<T>().tile_columns);
        gemm_unpacked<T>(a, b.columns_between(columns.begin, columns.end), nullptr, c.data + columns.begin,
                         c.row_stride, mine);
      });
    team.each(parts, [&](Index i) { pack_panels(b, packed, part(panels, parts, i)); });
    const Index blocks = items_for(a.rows, team.size, block_rows / 2);
    team.each(blocks, [&](Index i) {
      const Share rows = part(a.rows, blocks, i);
      gemm_packed<T>(a.rows_between(rows.begin, rows.end), packed, {0, b.cols}, nullptr, c.row(rows.begin),
                     c.row_stride, mine);
    });
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

#define CHAINRULE_INSTANTIATE(T)                                                                                   \
  template void pack_panels(MatrixView<const T>, PanelView<T>, Share, Index);                                      \
  template Index gemm_scratch<T>(Index, Index);                                                                    \
  template void gemm_packed(MatrixView<const T>, PanelView<const T>, Share, const T*, T*, Index, T*, Epilogue<T>); \
  template void gemm_unpacked(MatrixView<const T>, MatrixView<const T>, const T*, T*, Index, T*, Epilogue<T>);     \
  template void gemm_few_rows(MatrixView<const T>, MatrixView<const T>, T*, Index, Epilogue<T>);                   \
  template void gemm_transposed(MatrixView<const T>, MatrixView<const T>, Addends<T>, Place<T>, T*, RowFetch<T>*); \
  template void gemm(MatrixView<const T>, MatrixView<const T>, MatrixView<T>, int);                                \
  template void gemm_naive(MatrixView<const T>, MatrixView<const T>, MatrixView<T>);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
