// Model files as bytes: the disk is Python's to read and write.
#include "chainrule/files.h"

#include <pybind11/stl.h>

#include "bindings/gil.h"
#include "bindings/module.h"
#include "files/model_file.h"

namespace chainrule::python {
namespace {

using namespace py::literals;

template <class T>
py::bytes write(const Network<T>& network, const Metadata& metadata) {
  std::string file;
  {
    const WithoutGil released;
    file = write_model(network, metadata);
  }
  return file;
}

py::tuple read(const py::bytes& file) {
  const std::string_view content = file;
  std::optional<AnyNetwork> network;
  Metadata metadata;
  try {
    const WithoutGil released;
    network = read_model("", content, &metadata);
  } catch (const FileError& error) {
    throw py::value_error(error.what());
  }
  const py::object held = std::visit([](auto& n) -> py::object { return py::cast(std::move(n)); }, *network);
  return py::make_tuple(held, metadata);
}

}  // namespace

void bind_files(py::module_& module) {
  py::class_<Network<float>>(module.attr("NetworkFloat32")).def("write_model", &write<float>, "metadata"_a);
  py::class_<Network<double>>(module.attr("NetworkFloat64")).def("write_model", &write<double>, "metadata"_a);
  module.def("read_model", &read, "file"_a);
}

}  // namespace chainrule::python
