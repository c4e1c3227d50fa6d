// Model files: safetensors containers, byte for byte those that Network.save and load of the Python package write and
// read. Nothing in a file is executed; all of it is checked before a network is made.
#pragma once

#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <variant>

#include "chainrule/api.h"
#include "chainrule/network.h"

namespace chainrule {

using AnyNetwork = std::variant<Network<float>, Network<double>>;
using Metadata = std::map<std::string, std::string>;  // the caller's UTF-8 texts, stored beside the network

// The file is not a model, is damaged, or is of a later version. A file that cannot be read or written throws
// std::system_error.
struct CHAINRULE_API FileError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Reads a network, with bit-identical parameters, and, unless metadata is null, the texts stored beside it.
CHAINRULE_API AnyNetwork load_any(const std::filesystem::path& path, Metadata* metadata = nullptr);

// The same for a known type; FileError if the file holds the other one.
template <class T>
CHAINRULE_API Network<T> load(const std::filesystem::path& path, Metadata* metadata = nullptr);

// Replaces the file atomically: whatever happens, the path holds its old content or all of the new model. An existing
// file's permissions are kept; a symbolic link stays one. A pipe or a device, such as /dev/stdout, is written to.
// Throws std::invalid_argument for parameters that are NaN or infinite, which load would refuse, and for metadata that
// is not UTF-8 or has the key "chainrule" or "chainrule.sha256": these hold the network's configuration and a checksum.
template <class T>
CHAINRULE_API void save(const Network<T>& network, const std::filesystem::path& path, const Metadata& metadata = {});

}  // namespace chainrule
