// Reads and replaces whole files. Throws std::system_error.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace chainrule {

std::string read_file(const std::filesystem::path& path);

// The path holds its old content or all of the new, which is on the disk when this returns. Targets that are not files
// are written to: a pipe, a device, and an open descriptor (/dev/stdout, /dev/fd/3), at its own position.
void write_file(const std::filesystem::path& path, std::string_view content);

}  // namespace chainrule
