// Reads and replaces whole files. Throws std::system_error.
//
// If the system supports it (O_TMPFILE), a new file has no name until it is complete, so a killed program leaves
// nothing behind. On other systems, and while one file replaces another, the new file has a hidden name and is locked.
// The next write removes hidden files that are no longer locked.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace chainrule {

std::string read_file(const std::filesystem::path& path);

// Replaces the file atomically: the path always holds its complete old or its complete new content, and the new content
// is on the disk when this returns. The file keeps its permissions, and a symbolic link stays a link. A target that is
// not a file is written to instead: a pipe, a device, or an open descriptor (/dev/stdout, /dev/fd/3) at its current
// position. If a signal arrives, poll() runs its handler, which may throw.
void write_file(const std::filesystem::path& path, std::string_view content);

// True if the path refers to an open descriptor, directly or through links, as /dev/stdout does.
bool is_descriptor(const std::filesystem::path& path);

// Removes the temporary files that were left by programs that ended while they were writing to this path.
void remove_leftovers(const std::filesystem::path& path);

}  // namespace chainrule
