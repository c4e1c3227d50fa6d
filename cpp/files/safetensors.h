// The safetensors container: 8 bytes with the length of the header, the header in JSON, and the bytes of the tensors.
// Tensors are views of the file's bytes. Inconsistent files throw std::invalid_argument.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "chainrule/files.h"

namespace chainrule {

struct Tensor {
  std::string dtype;  // F32 or F64, the only types in a model
  std::vector<Index> shape;
  std::string_view bytes;
};

using Tensors = std::map<std::string, Tensor>;

struct Container {
  Metadata metadata;
  Tensors tensors;
};

Container read_container(std::string_view file);
std::string write_container(const Container& container);

// The SHA-256 of the file that write_container would make. It depends only on the content: it stays the same if another
// program writes the same metadata and tensors in another order.
std::string checksum_of(const Container& container);

}  // namespace chainrule
