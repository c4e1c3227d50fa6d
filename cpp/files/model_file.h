// Converts a network to the bytes of a model file, and back; a checkpoint has more tensors, the state of a training.
// Throws std::invalid_argument for the caller's mistakes, FileError for the file's.
#pragma once

#include <string>
#include <string_view>

#include "chainrule/files.h"
#include "files/safetensors.h"

namespace chainrule {

// path: the file's name in error messages. state: receives the tensors that are not the network's; null: refuse them.
AnyNetwork read_model(const std::string& path, std::string_view file, Metadata* metadata, Tensors* state = nullptr);

template <class T>
std::string write_model(const Network<T>& network, const Metadata& metadata, const Tensors& state = {});

}  // namespace chainrule
