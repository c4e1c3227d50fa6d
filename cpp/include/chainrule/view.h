// Views of matrices in the caller's memory. They own nothing and copy nothing.
#pragma once

#include <cstdint>

#include "chainrule/names.h"

namespace chainrule {

// A matrix with any strides: element (i, j) is data[i * row_stride + j * col_stride]. Strides are in elements and may
// be negative or 0. If no strides are given, the matrix is row-major without gaps.
template <class T>
struct MatrixView {
  T* data = nullptr;
  Index rows = 0, cols = 0;
  Index row_stride = 0, col_stride = 1;

  MatrixView() = default;
  MatrixView(T* first, Index row_count, Index col_count) : MatrixView(first, row_count, col_count, col_count, 1) {}
  MatrixView(T* first, Index row_count, Index col_count, Index from_row_to_row, Index from_col_to_col)
      : data(first), rows(row_count), cols(col_count), row_stride(from_row_to_row), col_stride(from_col_to_col) {}
  static MatrixView contiguous(T* data, Index rows, Index cols) { return {data, rows, cols}; }

  T& operator()(Index i, Index j) const { return data[i * row_stride + j * col_stride]; }
  T* row(Index i) const { return data + i * row_stride; }
  MatrixView rows_between(Index begin, Index end) const {
    return {row(begin), end - begin, cols, row_stride, col_stride};
  }
  MatrixView columns_between(Index begin, Index end) const {
    return {data + begin * col_stride, rows, end - begin, row_stride, col_stride};
  }
  // A view of the first column repeated `count` times, without a copy: for a target that several quantiles share.
  MatrixView repeated_column(Index count) const { return {data, rows, count, row_stride, 0}; }
  MatrixView transposed() const { return {data, cols, rows, col_stride, row_stride}; }

  operator MatrixView<const T>() const { return {data, rows, cols, row_stride, col_stride}; }
};

// A sparse matrix in CSR form: row i has values[k] in column indices[k] for indptr[i] <= k < indptr[i + 1]. The columns
// of a row are in ascending order.
template <class T>
struct SparseView {
  const Index* indptr = nullptr;  // rows + 1 entries
  const std::int32_t* indices = nullptr;
  const T* values = nullptr;
  Index rows = 0, cols = 0;
};

// The inputs of some examples: a dense or a sparse matrix.
template <class T>
struct Inputs {
  MatrixView<const T> matrix{};
  SparseView<T> sparse{};  // used if indptr is not null
  Index rows = 0, cols = 0;

  Inputs() = default;
  Inputs(const T* data, Index row_count, Index col_count) : Inputs(MatrixView<const T>(data, row_count, col_count)) {}
  Inputs(MatrixView<const T> m) : matrix(m), rows(m.rows), cols(m.cols) {}
  Inputs(MatrixView<T> m) : Inputs(MatrixView<const T>(m)) {}
  Inputs(SparseView<T> s) : sparse(s), rows(s.rows), cols(s.cols) {}

  bool is_sparse() const { return sparse.indptr != nullptr; }
  Inputs rows_between(Index begin, Index end) const {
    if (!is_sparse()) return matrix.rows_between(begin, end);
    return SparseView<T>{sparse.indptr + begin, sparse.indices, sparse.values, end - begin, cols};
  }
};

}  // namespace chainrule
