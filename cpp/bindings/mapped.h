// Arrays in mapped files: pages that were read count as the process's memory until the system wants them back. A fit
// that goes through a file larger than memory lets them go by itself, so that it neither looks nor is large.
#pragma once

#include <pybind11/pybind11.h>

#include <initializer_list>
#include <vector>

namespace chainrule::python {

namespace py = pybind11;

class MappedFiles {
 public:
  // Those of numpy.memmap arrays, of views of them, and of the arrays of a sparse matrix, if they are large together.
  MappedFiles(std::initializer_list<py::handle> objects);

  bool empty() const { return maps_.empty(); }
  void release() const;  // pages come back from the system's cache, or from the file, where they are read again
  // How often: the system may map a file in pages of 2 MB, so that 256 rows here and there are half a gigabyte.
  static constexpr double seconds = 0.0005;

 private:
  void add(py::handle object);
  std::vector<py::object> maps_;
};

}  // namespace chainrule::python
