// Model files: safetensors containers, the same that Network.save and load of the Python package write and read, byte
// for byte. Nothing in one is executed; all of it is checked before a network is made.
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
using Metadata = std::map<std::string, std::string>;  // texts of the caller's own beside the network, in UTF-8

// A file that is no model, is damaged, or is of a later version. One that cannot be read or written at all:
// std::system_error.
struct CHAINRULE_API FileError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The network of a file, with the same parameters bit for bit, and, if they are asked for, the texts beside it.
CHAINRULE_API AnyNetwork load_any(const std::filesystem::path& path, Metadata* metadata = nullptr);

// The same where the type is known; FileError if it is the other one.
template <class T>
CHAINRULE_API Network<T> load(const std::filesystem::path& path, Metadata* metadata = nullptr);

// Replaces the file as a whole: whatever happens, the path holds what it held before or all of the new model. An
// existing file's permissions are kept; a symbolic link stays one. A pipe or a device, such as /dev/stdout, is written
// to. std::invalid_argument for parameters that are NaN or infinite, which load would refuse, and for metadata that are
// not UTF-8 or have the key "chainrule" or "chainrule.sha256", which hold the network's configuration and a checksum.
template <class T>
CHAINRULE_API void save(const Network<T>& network, const std::filesystem::path& path, const Metadata& metadata = {});

}  // namespace chainrule
