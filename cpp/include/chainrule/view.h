// A matrix somewhere in the caller's memory, of any strides: no ownership, no copy.
#pragma once

#include "chainrule/names.h"

namespace chainrule {

// Element (i, j) is data[i * row_stride + j * col_stride]. Strides are in elements and may be negative or 0.
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

}  // namespace chainrule
