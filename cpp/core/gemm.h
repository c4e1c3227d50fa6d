// Matrix products: the cache-blocking loops around the kernels' register tile (Goto & van de Geijn 2008). Every element
// of a result is one chain of fused multiply-adds in the order of k. For a naive version that gives the same bits, see
// gemm_naive in tests/cpp/test_gemm.cpp.
#pragma once

#include "chainrule/view.h"
#include "core/buffer.h"
#include "core/dispatch.h"
#include "core/parallel.h"

namespace chainrule {

// A matrix (k x n) in the layout in which the tiles read B: panels of tile_columns columns, one after the other, each
// stored row by row. The last panel is padded to whole vectors.
template <class T>
struct PanelView {
  T* data = nullptr;
  Index k = 0, n = 0;

  static Index size(Index k, Index n) { return checked_product(k, padded(n)); }
  static Index padded(Index columns) { return (columns + kernel().lanes - 1) / kernel().lanes * kernel().lanes; }
  Index panels() const { return (n + kernel().tile_columns - 1) / kernel().tile_columns; }
  // A view of one panel as a matrix.
  MatrixView<T> panel(Index number) const {
    const Index column = number * kernel().tile_columns, count = std::min<Index>(kernel().tile_columns, n - column);
    return {data + column * k, k, count, padded(count), 1};
  }
  operator PanelView<const T>() const { return {data, k, n}; }

 private:
  static const auto& kernel() { return kernels<std::remove_const_t<T>>(); }
};

// Copies the rows of b into some panels, from their row `first` on. Several threads may pack disjoint parts at once.
template <class T>
void pack_panels(MatrixView<const T> b, PanelView<T> to, Share panels, Index first = 0);

// Number of elements of scratch memory that one thread needs for the products of a batch of up to `rows` rows, in
// matrices of up to `widest` columns.
template <class T>
Index gemm_scratch(Index rows, Index widest);

// C (m x n, rows ldc apart) = bias + A B for n columns of B, the first of which begins a panel. bias has n values; null
// means 0. A may have any strides.
template <class T>
void gemm_packed(MatrixView<const T> a, PanelView<const T> b, Share columns, const T* bias, T* c, Index ldc, T* scratch,
                 Epilogue<T> epilogue = {});

// The same for an unpacked B with unit column stride. Use it if A has so few rows that packing B would not pay off, or
// if the rows of B are short.
template <class T>
void gemm_unpacked(MatrixView<const T> a, MatrixView<const T> b, const T* bias, T* c, Index ldc, T* scratch,
                   Epilogue<T> epilogue = {});

// C = A Bᵀ for at most few_rows rows. A and B (n x k) have unit column stride and are not packed.
template <class T>
void gemm_few_rows(MatrixView<const T> a, MatrixView<const T> b, T* c, Index ldc, Epilogue<T> epilogue = {});

// Where C is stored: in rows ld elements apart or, if panel_rows > 0, in panels of panel_rows rows. Then the argument
// of column() must be the first column of a panel.
template <class T>
struct Place {
  T* data;
  Index ld = 0, panel_rows = 0;

  T* column(Index j) const { return data + (panel_rows > 0 ? j * panel_rows : j); }
};

// C = Aᵀ B over at most sum_rows rows of any strides, added to the addends. fetch: rows to prefetch during the product,
// or null.
template <class T>
void gemm_transposed(MatrixView<const T> a, MatrixView<const T> b, Addends<T> addends, Place<T> c, T* scratch,
                     RowFetch<T>* fetch = nullptr);

// C = A B. A and B may have any strides and are packed here. C has unit column stride.
template <class T>
void gemm(MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> c, int threads);

}  // namespace chainrule
