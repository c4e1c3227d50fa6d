// Rows of chainrule.Rows, a data set in files. Python reads a part while the core trains on another one.
#pragma once

#include <memory>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/shared.h"

namespace chainrule::python {

bool is_file_rows(py::handle object);

template <class T>
class FileRows final : public RowReader<T> {
 public:
  // part_rows: rows per part of an order within parts; 0: the parts in which the files are stored.
  FileRows(py::handle rows, Index part_rows);
  ~FileRows() override;

  Index rows() const { return edges_.back(); }
  Index cols() const { return cols_; }

  void prepare(const RowNumbers& rows, Index count) override;
  void read(const RowNumbers& rows, MatrixView<T> into) const override;
  void expect(Index row) override { expected_ = row; }
  void release() override;

 private:
  struct Part {
    Index number, begin, end;  // rows [begin, end) of the data set
    SharedObject array;
    const T* data;

    bool has(Index row) const { return row >= begin && row < end; }
  };
  Index part_of(Index row) const;
  Index part_after(const RowNumbers& rows, Index count) const;
  bool holds(Index number) const;
  void take(Index number);
  void give_back(py::handle array);  // None: the memory of the parts is not needed any more

  SharedObject reader_;       // chainrule.rows.PartReader
  std::vector<Index> edges_;  // part p has the rows [edges_[p], edges_[p + 1])
  Index cols_;
  std::vector<Part> parts_;  // made available by prepare()
  Index expected_ = -1, requested_ = -1;
};

}  // namespace chainrule::python
