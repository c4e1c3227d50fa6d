// Model files: safetensors containers. They are byte for byte the files that Network.save of the Python package writes
// and Network.load reads. Nothing in a file is executed, and the whole file is checked before a network is made from
// it.
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
using Metadata = std::map<std::string, std::string>;  // UTF-8 strings of the caller, stored with the network

// Thrown if a file is not a model, is damaged, or has a later format version. A file that cannot be read or written
// throws std::system_error.
struct CHAINRULE_API FileError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Reads a network with bit-identical parameters and, unless metadata is null, the metadata that is stored with it.
CHAINRULE_API AnyNetwork load_any(const std::filesystem::path& path, Metadata* metadata = nullptr);

// The same for a known type; throws FileError if the file holds the other type.
template <class T>
CHAINRULE_API Network<T> load(const std::filesystem::path& path, Metadata* metadata = nullptr);

// Replaces the file atomically: whatever happens, the path holds its complete old content or the complete new model. An
// existing file keeps its permissions, and a symbolic link stays a link. A pipe or a device, such as /dev/stdout, is
// written to. Throws std::invalid_argument for NaN or infinite parameters, which load would reject, and for metadata
// that is not UTF-8 or has the key "chainrule" or "chainrule.sha256": these two hold the network's configuration and a
// checksum.
template <class T>
CHAINRULE_API void save(const Network<T>& network, const std::filesystem::path& path, const Metadata& metadata = {});

}  // namespace chainrule
