#include "core/gemm.h"

#include <span>
#include <vector>

#include "core/blocking.h"

namespace chainrule {
namespace {

// Chooses the layout in which a product of n columns reads A. Packing A takes as long as computing about 10 columns of
// C. It pays off if n is much larger and the cache lines of two tiles, or of the block, map to few cache sets or lie in
// many pages.
template <class T>
Layout layout_of(MatrixView<const T> a, Index n) {
  constexpr Index near = 2048;  // elements; a row is then within one or two pages
  const bool in_reach = a.row_stride <= near && lines_fit<T>(2 * kernels<T>().tile_rows, a.row_stride) &&
                        rows_fit<T>(a.rows, a.cols, a.row_stride);
  if (a.col_stride == 1 && n <= (in_reach ? 1024 : 64)) return Layout::rows;
  if (a.row_stride == 1 && n <= 64) return Layout::columns;
  return Layout::packed;
}

// Number of steps of k that are packed into all panels before the next steps. If the steps are far apart in memory, the
// cache lines and pages that one panel has loaded are then still there for the next panel.
Index band_of(Index stride, Index k) { return stride == 1 ? std::max<Index>(k, 1) : 64; }

// Sets up g to read A in place or from a packed copy in scratch. Partial sums are stored in scratch too.
template <class T>
void read_a(MatrixView<const T> a, T* scratch, GemmBlock<T>& g) {
  g.depth = panel_depth<T>(a.cols);
  g.sums = scratch + a.rows * a.cols;
  g.a_layout = layout_of(a, g.n);
  g.a = a.data;
  g.lda = g.a_layout == Layout::rows ? a.row_stride : a.col_stride;
  if (g.a_layout == Layout::packed) {
    g.a = scratch;
    const Index tiles = ceil_div(a.rows, kernels<T>().tile_rows), band = band_of(a.col_stride, a.cols);
    for (Index p = 0; p < a.cols; p += band)
      for (Index t = 0; t < tiles; ++t) {
        const Index begin = a.rows * t / tiles, rows = a.rows * (t + 1) / tiles - begin;  // the row tiles of gemm_block
        kernels<T>().pack_panel(rows, rows, std::min(band, a.cols - p), a.row(begin) + p * a.col_stride, a.row_stride,
                                a.col_stride, scratch + begin * a.cols + p * rows);
      }
  }
}

}  // namespace

template <class T>
void pack_panels(MatrixView<const T> b, PanelView<T> to, Share panels, Index first) {
  const Index band = band_of(b.row_stride, b.rows);
  for (Index p = 0; p < b.rows; p += band)
    for (Index number = panels.begin; number < panels.end; ++number) {
      const MatrixView<T> panel = to.panel(number);
      kernels<T>().pack_panel(panel.cols, panel.row_stride, std::min(band, b.rows - p),
                              b.row(p) + number * kernels<T>().tile_columns * b.col_stride, b.col_stride, b.row_stride,
                              panel.row(first + p));
    }
}

template <class T>
Index gemm_scratch(Index rows, Index widest) {
  const Index summed = std::min(rows, sum_rows);
  const Index a = std::max({max_block_scratch<T>(rows, widest), max_block_scratch<T>(widest, summed), widest});
  const Index b = PanelView<T>::size(summed, std::min(widest, packed_columns<T>(sum_rows)));
  return a + b;
}

namespace {

// Computes C = start + A B in blocks of k and of rows of A. g describes B, the initial values, and the first column.
template <class T>
void gemm_blocks(MatrixView<const T> a, T* c, Index ldc, T* scratch, Epilogue<T> epilogue, GemmBlock<T> g) {
  g.ldc = ldc;
  if (a.rows == 1 && g.b_layout == Layout::rows) {  // no blocks: one pass reads B in storage order
    g.m = 1, g.k = a.cols, g.a = a.data, g.lda = a.col_stride, g.a_layout = Layout::columns;
    g.c = c, g.epilogue = epilogue;
    return kernels<T>().gemm_block(g);
  }
  const Block size = block_of_a<T>(a.rows, a.cols);
  const Index blocks = ceil_div(a.rows, size.rows);
  const T* b = g.b;
  g.fetch_b = g.b_layout == Layout::packed && a.cols * g.n * static_cast<Index>(sizeof(T)) > bytes_of_core(caches().l2);
  for (Index p = 0; p == 0 || p < a.cols; p += size.depth) {
    g.k = std::min(size.depth, a.cols - p);
    if (g.b_layout == Layout::packed)
      g.b_first = p;
    else
      g.b = b + p * g.ldb;
    if (p > 0) g.start = Start::c;
    for (Index block = 0; block < blocks; ++block) {
      const Index begin = a.rows * block / blocks;
      g.m = a.rows * (block + 1) / blocks - begin;
      g.c = c + begin * ldc;
      read_a<T>(a.rows_between(begin, begin + g.m).columns_between(p, p + g.k), scratch, g);
      g.epilogue = {};
      if (p + g.k == a.cols) {
        g.epilogue = epilogue;
        g.epilogue.a += begin * epilogue.lda;
      }
      kernels<T>().gemm_block(g);
    }
  }
}

constexpr Start start_of(const void* bias) { return bias != nullptr ? Start::bias : Start::zero; }

// Sets up a product with some columns of packed B. The first of them begins a panel.
template <class T>
GemmBlock<T> product_with(PanelView<const T> b, Share columns) {
  return {.n = columns.end - columns.begin, .b = b.data + columns.begin * b.k, .b_rows = b.k};
}

}  // namespace

template <class T>
void gemm_packed(MatrixView<const T> a, PanelView<const T> b, Share columns, const T* bias, T* c, Index ldc, T* scratch,
                 Epilogue<T> epilogue) {
  GemmBlock<T> g = product_with<T>(b, columns);
  g.bias = bias, g.start = start_of(bias);
  gemm_blocks<T>(a, c, ldc, scratch, epilogue, g);
}

template <class T>
void gemm_unpacked(MatrixView<const T> a, MatrixView<const T> b, const T* bias, T* c, Index ldc, T* scratch,
                   Epilogue<T> epilogue) {
  GemmBlock<T> g{.n = b.cols, .b = b.data, .ldb = b.row_stride, .b_layout = Layout::rows};
  g.bias = bias, g.start = start_of(bias);
  gemm_blocks<T>(a, c, ldc, scratch, epilogue, g);
}

template <class T>
void gemm_few_rows(MatrixView<const T> a, MatrixView<const T> b, T* c, Index ldc, Epilogue<T> epilogue) {
  kernels<T>().gemm_few_rows({a.rows, b.rows, b.cols, a.data, a.row_stride, b.data, b.row_stride, c, ldc, epilogue});
}

template <class T>
void gemm_transposed(MatrixView<const T> a, MatrixView<const T> b, Addends<T> addends, Place<T> c, T* scratch,
                     RowFetch<T>* fetch) {
  if (b.cols == 1 && c.panel_rows == 0 && c.ld == 1 && a.col_stride == 1) {
    // Computed as a product of one row, Cᵀ = Bᵀ A, which reads A in order and uses whole vectors.
    return kernels<T>().gemm_block({.m = 1,
                                    .n = a.cols,
                                    .k = a.rows,
                                    .a = b.data,
                                    .lda = b.row_stride,
                                    .a_layout = Layout::columns,
                                    .b = a.data,
                                    .ldb = a.row_stride,
                                    .b_layout = Layout::rows,
                                    .c = c.data,
                                    .addends = addends,
                                    .fetch = fetch});
  }
  const bool in_place = b.col_stride == 1 && a.cols < (lines_fit<T>(b.rows, b.row_stride) ? 512 : 32);
  const Index columns = in_place ? b.cols : packed_columns<T>(sum_rows);
  T* scratch_a = in_place ? scratch : scratch + PanelView<T>::size(b.rows, std::min(b.cols, columns));
  for (Index j = 0; j < b.cols; j += columns) {
    const Index n = std::min(columns, b.cols - j);
    const MatrixView<const T> part = b.columns_between(j, j + n);
    const PanelView<T> packed{scratch, b.rows, n};
    if (!in_place) pack_panels(part, packed, {0, packed.panels()});
    const Index rows = block_rows<T>(a.rows);
    for (Index i = 0; i < a.cols; i += rows) {
      GemmBlock<T> g{.m = std::min(rows, a.cols - i), .n = n, .k = a.rows};
      read_a<T>(a.columns_between(i, i + g.m).transposed(), scratch_a, g);
      g.b = in_place ? part.data : packed.data;
      g.ldb = b.row_stride;
      g.b_layout = in_place ? Layout::rows : Layout::packed;
      g.b_rows = b.rows;
      g.c = c.column(j) + i * c.ld;
      g.ldc = c.ld;
      if (c.panel_rows > 0) {
        g.c_layout = Layout::packed;
        g.c_rows = c.panel_rows;
        g.c_first = i;
      }
      g.addends = {addends.x, addends.count, addends.at + (g.c - c.data)};
      g.fetch_b = !in_place && a.rows * n * static_cast<Index>(sizeof(T)) > bytes_of_core(caches().l2);
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
  const Block size = block_of_a<T>(a.rows, a.cols);
  constexpr Index few = 112;  // packing B pays off if A has more rows than this
  const bool in_place = b.col_stride == 1 && a.rows <= few;
  const Index columns = in_place ? b.cols : std::min(b.cols, packed_columns<T>(size.depth));
  // Reused between calls: the system clears new memory page by page, which takes a third of the time of a small
  // product.
  constexpr Index max_reused = Index{1} << 22;  // bytes
  thread_local std::vector<Buffer<T>> reused;
  reused.resize(std::max(reused.size(), static_cast<std::size_t>(team_size) + 1));
  if (!in_place) reused.front().reserve(PanelView<T>::size(size.depth, columns));
  for (int rank = 0; rank < team_size; ++rank)
    reused[static_cast<std::size_t>(rank) + 1].reserve(max_block_scratch<T>(a.rows, a.cols));
  const std::span<Buffer<T>> buffers = reused;
  parallel_step(team_size, [&](Team team) {
    T* scratch = buffers[static_cast<std::size_t>(team.rank) + 1].data();
    if (in_place) {
      const Index parts = items_for(ceil_div(b.cols, kernels<T>().tile_columns), team.size);
      return team.each(parts, [&](Index i) {
        const Share columns_of_b = part(b.cols, parts, i, kernels<T>().tile_columns);
        gemm_unpacked<T>(a, b.columns_between(columns_of_b.begin, columns_of_b.end), nullptr,
                         c.data + columns_of_b.begin, c.row_stride, scratch);
      });
    }
    constexpr Index min_rows = 64;  // of an item, because every item reads all of B
    const Index blocks = items_for(a.rows, team.size, min_rows);
    for (Index j = 0; j < b.cols; j += columns) {
      const Share wide{j, std::min(j + columns, b.cols)};
      for (Index p = 0; p == 0 || p < b.rows; p += size.depth) {
        const Share deep{p, std::min(p + size.depth, b.rows)};
        const MatrixView<const T> part_of_b =
            b.rows_between(deep.begin, deep.end).columns_between(wide.begin, wide.end);
        const PanelView<T> packed{buffers.front().data(), part_of_b.rows, part_of_b.cols};
        const Index parts = items_for(packed.panels(), team.size);
        team.each(parts, [&](Index i) { pack_panels<T>(part_of_b, packed, part(packed.panels(), parts, i)); });
        team.each(blocks, [&](Index i) {
          const Share rows = part(a.rows, blocks, i);
          GemmBlock<T> g = product_with<T>(packed, {0, packed.n});
          if (p > 0) g.start = Start::c;
          gemm_blocks<T>(a.rows_between(rows.begin, rows.end).columns_between(deep.begin, deep.end),
                         c.row(rows.begin) + j, c.row_stride, scratch, {}, g);
        });
      }
    }
  });
  Index bytes = 0;
  for (const Buffer<T>& buffer : reused) bytes += buffer.size() * static_cast<Index>(sizeof(T));
  if (bytes > max_reused) reused.clear();
}

#define CHAINRULE_INSTANTIATE(T)                                                                                   \
  template void pack_panels(MatrixView<const T>, PanelView<T>, Share, Index);                                      \
  template Index gemm_scratch<T>(Index, Index);                                                                    \
  template void gemm_packed(MatrixView<const T>, PanelView<const T>, Share, const T*, T*, Index, T*, Epilogue<T>); \
  template void gemm_unpacked(MatrixView<const T>, MatrixView<const T>, const T*, T*, Index, T*, Epilogue<T>);     \
  template void gemm_few_rows(MatrixView<const T>, MatrixView<const T>, T*, Index, Epilogue<T>);                   \
  template void gemm_transposed(MatrixView<const T>, MatrixView<const T>, Addends<T>, Place<T>, T*, RowFetch<T>*); \
  template void gemm(MatrixView<const T>, MatrixView<const T>, MatrixView<T>, int);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
