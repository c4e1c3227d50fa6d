// Files as a whole: read, and replaced. Throws std::system_error.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace chainrule {

std::string read_file(const std::filesystem::path& path);

// The path holds what it held before or all of the new content, which is on the disk when this returns. What is not a
// file is written to: a pipe, a device, and an open descriptor (/dev/stdout, /dev/fd/3), at its own position.
void write_file(const std::filesystem::path& path, std::string_view content);

}  // namespace chainrule
