// Converts a network to the bytes of a model file and back. A checkpoint is a model file with additional tensors, which
// hold the state of a fit. Bad arguments throw std::invalid_argument, bad files throw FileError.
#pragma once

#include <string>
#include <string_view>

#include "chainrule/files.h"
#include "files/safetensors.h"

namespace chainrule {

// path: the name of the file in error messages. state: receives the tensors that do not belong to the network; if it is
// null, a file with such tensors is rejected.
AnyNetwork read_model(const std::string& path, std::string_view file, Metadata* metadata, Tensors* state = nullptr);

// Makes a network from a configuration in the form that a model file has. Only layer_sizes is required.
AnyNetwork new_network(std::string_view configuration);

template <class T>
std::string write_model(const Network<T>& network, const Metadata& metadata, const Tensors& state = {});

}  // namespace chainrule
