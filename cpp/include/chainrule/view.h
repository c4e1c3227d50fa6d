// Matrices somewhere in the caller's memory: no ownership, no copy.
#pragma once

#include <cstdint>

#include "chainrule/names.h"

namespace chainrule {

// A matrix of any strides: element (i, j) is data[i * row_stride + j * col_stride]. Strides are in elements and may be
// negative or 0.
template <class T>
struct MatrixView {
  T* data = nullptr;
  Index rows = 0, cols = 0;
  Index row_stride = 0, col_stride = 1;

  static MatrixView contiguous(T* data, Index rows, Index cols) { return {data, rows, cols, cols, 1}; }

  T& operator()(Index i, Index j) const { return data[i * row_stride + j * col_stride]; }
  T* row(Index i) const { return data + i * row_stride; }
  MatrixView rows_between(Index begin, Index end) const {
    return {row(begin), end - begin, cols, row_stride, col_stride};
  }
  MatrixView columns_between(Index begin, Index end) const {
    return {data + begin * col_stride, rows, end - begin, row_stride, col_stride};
  }
  MatrixView transposed() const { return {data, cols, rows, col_stride, row_stride}; }

  operator MatrixView<const T>() const { return {data, rows, cols, row_stride, col_stride}; }
};

// A sparse matrix in CSR form: row i has values[k] in column indices[k] for indptr[i] <= k < indptr[i + 1], ascending.
template <class T>
struct SparseView {
  const Index* indptr = nullptr;  // rows + 1 of them
  const std::int32_t* indices = nullptr;
  const T* values = nullptr;
  Index rows = 0, cols = 0;
};

// The inputs of some examples: a matrix, or a sparse one.
template <class T>
struct Inputs {
  MatrixView<const T> matrix{};
  SparseView<T> sparse{};  // if it has an indptr
  Index rows = 0, cols = 0;

  Inputs() = default;
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
