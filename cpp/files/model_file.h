// A network as the bytes of a model file, and back. Throws std::invalid_argument for the caller's mistakes, FileError
// for the file's.
#pragma once

#include <string>
#include <string_view>

#include "chainrule/files.h"

namespace chainrule {

// path: what error messages call the file.
AnyNetwork read_model(const std::string& path, std::string_view file, Metadata* metadata);

template <class T>
std::string write_model(const Network<T>& network, const Metadata& metadata);

}  // namespace chainrule
