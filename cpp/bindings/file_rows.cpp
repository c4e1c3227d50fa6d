#include "bindings/file_rows.h"

#include <pybind11/stl.h>

#include <algorithm>

namespace chainrule::python {

bool is_file_rows(py::handle object) {
  if (py::isinstance<py::array>(object)) return false;  // nothing can be imported while the interpreter ends
  return py::isinstance(object, py::module_::import("chainrule.rows").attr("Rows"));
}

template <class T>
FileRows<T>::FileRows(py::handle rows, Index part_rows)
    : reader_(shared(call(rows.attr("reader"), py::dtype::of<T>(), part_rows))),
      edges_(reader_->attr("edges").cast<std::vector<Index>>()),
      cols_(py::cast<py::tuple>(rows.attr("shape"))[1].cast<Index>()) {}

template <class T>
FileRows<T>::~FileRows() {
  const WithGil gil;
  try {
    call(reader_->attr("close"));
  } catch (py::error_already_set& error) {
    error.discard_as_unraisable("closing a reader of rows");
  }
}

template <class T>
Index FileRows<T>::part_of(Index row) const {
  return std::ranges::upper_bound(edges_, row) - edges_.begin() - 1;
}

template <class T>
bool FileRows<T>::holds(Index number) const {
  return std::ranges::any_of(parts_, [number](const Part& part) { return part.number == number; });
}

// The part that is needed after the first `count` rows, which are in one part; -1 if that is not known.
template <class T>
Index FileRows<T>::part_after(const RowNumbers& rows, Index count) const {
  const Part& part = parts_.front();
  if (rows.numbers == nullptr && part.end < this->rows()) return part.number + 1;
  for (Index i = count; rows.numbers != nullptr && i < rows.count; ++i)
    if (!part.has(rows[i])) return part_of(rows[i]);
  return expected_ >= 0 && !part.has(expected_) ? part_of(expected_) : -1;
}

template <class T>
void FileRows<T>::take(Index number) {
  const WithGil gil;
  if (number == requested_) requested_ = -1;
  const py::object array = call(reader_->attr("take"), number);
  const auto values = array.cast<py::array_t<T, py::array::c_style>>();
  parts_.push_back({number, edges_[static_cast<std::size_t>(number)], edges_[static_cast<std::size_t>(number) + 1],
                    shared(values), values.data()});
}

template <class T>
void FileRows<T>::prepare(const RowNumbers& rows, Index count) {
  std::vector<Index> wanted;
  for (Index i = 0; i < count; ++i) {
    const Index row = rows[i];
    if (!wanted.empty() && row >= edges_[static_cast<std::size_t>(wanted.back())] &&
        row < edges_[static_cast<std::size_t>(wanted.back()) + 1])
      continue;
    const Index part = part_of(row);
    std::erase(wanted, part);
    wanted.push_back(part);
  }
  std::erase_if(parts_, [&](const Part& part) {
    const bool needed = std::ranges::find(wanted, part.number) != wanted.end();
    if (!needed) give_back(*part.array);
    return !needed;
  });
  for (const Index part : wanted)
    if (!holds(part)) take(part);
  // Read the next part ahead only if one part is in memory, so that there are never three.
  if (parts_.size() != 1) return;
  const Index next = part_after(rows, count);
  if (next < 0 || next == requested_) return;
  const WithGil gil;
  call(reader_->attr("ask"), next);
  requested_ = next;
}

template <class T>
void FileRows<T>::read(const RowNumbers& rows, MatrixView<T> into) const {
  const Part* part = parts_.data();
  for (Index i = 0; i < rows.count; ++i) {
    const Index row = rows[i];
    if (!part->has(row)) part = &*std::ranges::find_if(parts_, [row](const Part& p) { return p.has(row); });
    std::copy_n(part->data + (row - part->begin) * cols_, cols_, into.row(i));
  }
}

template <class T>
void FileRows<T>::release() {
  parts_.clear();
  give_back(py::none());
}

template <class T>
void FileRows<T>::give_back(py::handle array) {
  const WithGil gil;
  call(reader_->attr("give_back"), array);
}

template class FileRows<float>;
template class FileRows<double>;

}  // namespace chainrule::python
