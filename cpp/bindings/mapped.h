// Arrays in mapped files: pages that were read count as the process's memory until the system reclaims them. A fit on a
// file larger than memory releases them itself, which keeps the process small.
#pragma once

#include <pybind11/pybind11.h>

#include <initializer_list>
#include <vector>

namespace chainrule::python {

namespace py = pybind11;

class MappedFiles {
 public:
  // The maps of numpy.memmap arrays, of their views, and of sparse matrices' arrays; none if they are small in all.
  MappedFiles(std::initializer_list<py::handle> objects);

  bool empty() const { return maps_.empty(); }
  void release() const;  // pages that are read again come from the system's cache or from the file
  // Between two releases: the system may map a file in pages of 2 MB, so that 256 scattered rows take half a gigabyte.
  static constexpr double seconds = 0.0005;

 private:
  void add(py::handle object);
  std::vector<py::object> maps_;
};

}  // namespace chainrule::python
