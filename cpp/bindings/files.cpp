// Converts networks to the bytes of model files and back, and writes files.
#include "chainrule/files.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "bindings/gil.h"
#include "bindings/module.h"
#include "files/disk.h"
#include "files/model_file.h"

namespace chainrule::python {
namespace {

using namespace py::literals;

// state: contiguous arrays of float or double.
template <class T>
py::bytes write(const Network<T>& network, const Metadata& metadata, const std::map<std::string, py::array>& state) {
  Tensors tensors;
  for (const auto& [name, array] : state)
    tensors[name] = {array.itemsize() == 4 ? "F32" : "F64",
                     {array.shape(), array.shape() + array.ndim()},
                     {static_cast<const char*>(array.data()), static_cast<std::size_t>(array.nbytes())}};
  std::string file;
  {
    const WithoutGil released;
    file = write_model(network, metadata, tensors);
  }
  return file;
}

py::tuple read(const py::bytes& file) {
  const std::string_view content = file;
  std::optional<AnyNetwork> network;
  Metadata metadata;
  Tensors tensors;
  try {
    const WithoutGil released;
    network = read_model("", content, &metadata, &tensors);
  } catch (const FileError& error) {
    throw py::value_error(error.what());
  }
  const py::object result = std::visit([](auto& n) -> py::object { return py::cast(std::move(n)); }, *network);
  py::dict state;
  for (const auto& [name, tensor] : tensors) {
    py::array array(tensor.dtype == "F32" ? py::dtype::of<float>() : py::dtype::of<double>(), tensor.shape);
    std::copy(tensor.bytes.begin(), tensor.bytes.end(), static_cast<char*>(array.mutable_data()));
    state[py::str(name)] = array;
  }
  return py::make_tuple(result, metadata, state);
}

// Calls a function of files/disk.h with a path, and raises its errors as OSError.
template <class Call>
auto on_disk(const py::object& path, Call call) {
  PyObject* bytes = nullptr;
  if (PyUnicode_FSConverter(path.ptr(), &bytes) == 0) throw py::error_already_set();
  const std::u8string name(reinterpret_cast<const char8_t*>(PyBytes_AsString(bytes)));
  Py_DECREF(bytes);
  try {
    const WithoutGil released;
    return call(std::filesystem::path(name));
  } catch (const std::system_error& error) {
    errno = error.code().default_error_condition().value();
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path.ptr());
    throw py::error_already_set();
  }
}

}  // namespace

void bind_files(py::module_& module) {
  py::class_<Network<float>>(module.attr("NetworkFloat32")).def("write_model", &write<float>, "metadata"_a, "state"_a);
  py::class_<Network<double>>(module.attr("NetworkFloat64"))
      .def("write_model", &write<double>, "metadata"_a, "state"_a);
  module.def("read_model", &read, "file"_a);
  module.def(
      "write_file",
      [](const py::object& path, const py::bytes& content) {
        const std::string_view bytes = content;
        on_disk(path, [&](const std::filesystem::path& name) { write_file(name, bytes); });
      },
      "path"_a, "content"_a);
  module.def("is_descriptor", [](const py::object& path) { return on_disk(path, is_descriptor); }, "path"_a);
  module.def("remove_leftovers", [](const py::object& path) { on_disk(path, remove_leftovers); }, "path"_a);
}

}  // namespace chainrule::python
