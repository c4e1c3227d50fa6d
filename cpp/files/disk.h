// Reads and replaces whole files. Throws std::system_error.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace chainrule {

std::string read_file(const std::filesystem::path& path);

// Replaces the file atomically: the path always holds its complete old or its complete new content, and the new content
// is on the disk when this returns. A target that is not a file is written to instead: a pipe, a device, or an open
// descriptor (/dev/stdout, /dev/fd/3) at its current position.
void write_file(const std::filesystem::path& path, std::string_view content);

}  // namespace chainrule
