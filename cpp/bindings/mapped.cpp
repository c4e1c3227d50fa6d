#include "bindings/mapped.h"

#include <pybind11/numpy.h>

#include "bindings/gil.h"

namespace chainrule::python {
namespace {

// Mappings are not released if their total size in bytes is smaller than this.
constexpr std::size_t small = std::size_t{1} << 29;

}  // namespace

MappedFiles::MappedFiles(std::initializer_list<py::handle> objects) {
  for (const py::handle object : objects) {
    add(object);
    for (const char* part : {"data", "indices"})
      if (py::hasattr(object, "tocsr") && py::hasattr(object, part)) add(object.attr(part));
    // Nothing can be imported while the interpreter ends.
    if (object.is_none() || py::isinstance<py::array>(object)) continue;
    const auto binned = py::module_::import("chainrule.binned");
    auto rows = py::reinterpret_borrow<py::object>(object);
    if (py::isinstance(rows, binned.attr("BinnedFeatures"))) rows = rows.attr("rows");
    for (const char* part : {"codes", "values"})
      if (py::isinstance(rows, binned.attr("BinnedRows"))) add(rows.attr(part));
  }
  std::size_t bytes = 0;
  for (const py::object& map : maps_) bytes += py::len(map);
  if (bytes < small) maps_.clear();
}

void MappedFiles::add(py::handle object) {
  auto array = py::reinterpret_borrow<py::object>(object);
  while (py::isinstance<py::array>(array) && py::getattr(array, "_mmap", py::none()).is_none())
    array = array.attr("base");
  if (!py::isinstance<py::array>(array)) return;
  const py::object map = array.attr("_mmap");
  // A copy-on-write mapping ("c") must not be released: it would lose the pages that were written to.
  const bool shared = !py::str(py::getattr(array, "mode", py::none())).equal(py::str("c"));
  if (shared && py::hasattr(map, "madvise")) maps_.push_back(map);
}

void MappedFiles::release() const {
  if (maps_.empty()) return;
  const WithGil gil;
  const py::object advice = py::module_::import("mmap").attr("MADV_DONTNEED");
  for (const py::object& map : maps_) call(map.attr("madvise"), advice);
}

}  // namespace chainrule::python
