// Views of matrices in the caller's memory. They own nothing and copy nothing.
#pragma once

#include <cstdint>
#include <span>

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

// Rows of a table as the numbers of bins and levels. The first layer computes its sums from them at a cost that does
// not depend on how many features a column has. `layout` lists the columns in the order of their features; each row has
// the codes of all bins and levels, and the values of all values and bins, in that order and without gaps.
template <class T>
struct BinnedView {
  std::span<const BinnedColumn> layout{};
  const void* codes = nullptr;
  int code_bytes = 0;
  const T* values = nullptr;
  Index rows = 0, cols = 0;  // cols: the features
  Index codes_per_row = 0, values_per_row = 0;

  BinnedView() = default;
  // Code: std::uint8_t, std::uint16_t or std::int32_t.
  template <class Code>
  BinnedView(std::span<const BinnedColumn> columns, const Code* first_code, const T* first_value, Index row_count)
      : layout(columns), codes(first_code), code_bytes(sizeof(Code)), values(first_value), rows(row_count) {
    static_assert(sizeof(Code) == 4 ? Code(-1) < Code(0) : sizeof(Code) < 4 && Code(-1) > Code(0));
    for (const BinnedColumn& column : layout) {
      cols += column.features;
      codes_per_row += column.kind != ColumnKind::value;
      values_per_row += column.kind != ColumnKind::levels;
    }
  }

  BinnedView rows_between(Index begin, Index end) const {
    BinnedView part = *this;
    part.codes = static_cast<const std::uint8_t*>(codes) + begin * codes_per_row * code_bytes;
    part.values = values + begin * values_per_row;
    part.rows = end - begin;
    return part;
  }
};

// Row numbers: numbers[0..count) or, if that is null, first, first + 1, ...
struct RowNumbers {
  const Index* numbers = nullptr;
  Index first = 0, count = 0;

  Index operator[](Index i) const { return numbers != nullptr ? numbers[i] : first + i; }
  RowNumbers between(Index begin, Index end) const {
    return {numbers != nullptr ? numbers + begin : nullptr, first + begin, end - begin};
  }
};

// Rows that are not in memory as T, for instance numbers of another type, or a data set larger than memory. A call
// reads the rows that it needs next, a few thousand at a time, into memory of its own. The caller owns the reader,
// which must outlive the call, as must the memory of a view; calls keep no reference to it. Only one call at a time may
// use a reader, except that the training and validation rows of a fit may share one. Results do not depend on the order
// in which rows are read.
template <class T>
class RowReader {
 public:
  virtual ~RowReader() = default;

  // Makes the first `count` of these rows available to read(); the others are read later. Rows of earlier calls may
  // become unavailable. Called by one thread, which need not be the one that made the call, and never during read(). An
  // exception ends the call and is passed on; a fit then keeps its last complete step.
  virtual void prepare(const RowNumbers& rows, Index count) = 0;
  // Writes prepared rows to `into`, which has unit column stride. Called by several threads at once; must not throw.
  virtual void read(const RowNumbers& rows, MatrixView<T> into) const = 0;
  // Announces a row that will be needed, with its neighbors, after those of the next prepare(), so that they can be
  // read ahead; a hint only. -1: none, or not known. Called by the thread that made the call.
  virtual void expect(Index) {}
  // Called between training and validation, and after validation: no prepared row is needed any more.
  virtual void release() {}
};

// The inputs of some examples: a dense matrix, a sparse matrix, binned rows, or a reader.
template <class T>
struct Inputs {
  MatrixView<const T> matrix{};
  SparseView<T> sparse{};  // used if indptr is not null
  BinnedView<T> binned{};  // used if layout is not empty
  RowReader<T>* reader = nullptr;
  Index first = 0;  // the reader's number of row 0
  Index rows = 0, cols = 0;

  Inputs() = default;
  Inputs(const T* data, Index row_count, Index col_count) : Inputs(MatrixView<const T>(data, row_count, col_count)) {}
  Inputs(MatrixView<const T> m) : matrix(m), rows(m.rows), cols(m.cols) {}
  Inputs(MatrixView<T> m) : Inputs(MatrixView<const T>(m)) {}
  Inputs(SparseView<T> s) : sparse(s), rows(s.rows), cols(s.cols) {}

  Inputs(const BinnedView<T>& b) : binned(b), rows(b.rows), cols(b.cols) {}
  Inputs(RowReader<T>& r, Index row_count, Index col_count) : reader(&r), rows(row_count), cols(col_count) {}

  bool is_binned() const { return !binned.layout.empty(); }
  bool is_sparse() const { return sparse.indptr != nullptr || is_binned(); }
  Inputs rows_between(Index begin, Index end) const {
    if (is_binned()) return binned.rows_between(begin, end);
    if (reader != nullptr) {
      Inputs part = *this;
      part.first += begin;
      part.rows = end - begin;
      return part;
    }
    if (!is_sparse()) return matrix.rows_between(begin, end);
    return SparseView<T>{sparse.indptr + begin, sparse.indices, sparse.values, end - begin, cols};
  }
  // The reader's numbers of the rows indices[0..count) or, if indices is null, of the first `count` rows.
  RowNumbers numbers(const Index* indices, Index count) const { return {indices, first, count}; }
};

}  // namespace chainrule
