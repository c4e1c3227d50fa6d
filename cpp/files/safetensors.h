// The safetensors container: the length of a header in 8 bytes, the header in JSON, the tensors' bytes. Tensors are
// views of the file's bytes; inconsistent files throw std::invalid_argument.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "chainrule/files.h"

namespace chainrule {

struct Tensor {
  std::string dtype;  // F32 or F64: no model holds another
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

// The SHA-256 of the file that write_container makes. It depends only on the content: a program that writes the same
// metadata and tensors in another order keeps it.
std::string checksum_of(const Container& container);

}  // namespace chainrule
