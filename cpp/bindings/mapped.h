// Arrays in memory-mapped files. Pages that have been read count as memory of the process until the system reclaims
// them. A fit on a file larger than memory releases its pages itself, which keeps the process small.
#pragma once

#include <pybind11/pybind11.h>

#include <initializer_list>
#include <vector>

namespace chainrule::python {

namespace py = pybind11;

class MappedFiles {
 public:
  // Finds the mappings of numpy.memmap arrays, of views of them, and of the arrays of sparse matrices and binned rows.
  // Ignores them if their total size is small.
  MappedFiles(std::initializer_list<py::handle> objects);

  bool empty() const { return maps_.empty(); }
  void release() const;  // released pages can be read again, from the system's cache or from the file
  // Time between two releases. It is short because the system may map a file in pages of 2 MB, so that 256 scattered
  // rows take half a gigabyte.
  static constexpr double seconds = 0.0005;

 private:
  void add(py::handle object);
  std::vector<py::object> maps_;
};

}  // namespace chainrule::python
