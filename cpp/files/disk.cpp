#include "files/disk.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <random>
#include <system_error>
#include <utility>

#include "core/poll.h"
#include "core/text.h"

#ifdef _WIN32
#include <io.h>
#else
#include <dirent.h>
#include <sys/file.h>
#include <unistd.h>
#endif

namespace chainrule {
namespace {

namespace fs = std::filesystem;

using Text = fs::path::string_type;

constexpr int max_links = 40;  // the limit of the Linux kernel for the symbolic links in a path

[[noreturn]] void fail(const char* what, const fs::path& path, int error = errno) {
  throw std::system_error(error, std::generic_category(), std::string(what) + path.string());
}

#ifdef _WIN32
int open_file(const fs::path& path, int flags) {
  return _wopen(path.c_str(), flags | _O_BINARY | _O_NOINHERIT, _S_IREAD | _S_IWRITE);
}
int fsync(int file) { return _commit(file); }
#else
int open_file(const fs::path& path, int flags) { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); }
#endif

// Repeats a system call that a signal interrupts. The signal's handler, which poll_at_once runs, may throw.
template <class Call>
auto uninterrupted(Call call) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
    poll_at_once();
  }
}

// The descriptor of an open file. Throws if it is negative: the file could not be opened.
class File {
 public:
  File(int descriptor, const char* what, const fs::path& path) : descriptor_(descriptor) {
    if (descriptor < 0) fail(what, path);
  }
  ~File() { close(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }
  operator int() const { return descriptor_; }

 private:
  int descriptor_;
};

bool flush_to_disk(int file) {
  return uninterrupted([&] { return fsync(file); }) == 0;
}

void write(int file, const fs::path& path, std::string_view content) {
  while (!content.empty()) {
    const auto count = static_cast<unsigned>(std::min(content.size(), std::size_t{1} << 30));  // macOS rejects 2 GiB
    const auto size = uninterrupted([&] { return ::write(file, content.data(), count); });
    if (size < 0) fail("cannot write ", path);
    content.remove_prefix(static_cast<std::size_t>(size));
  }
}

// Locks the file until it is closed or the program ends. If the file system does not support locks, remove_leftovers
// removes nothing.
void lock([[maybe_unused]] int file) {
#ifndef _WIN32
  uninterrupted([&] { return flock(file, LOCK_EX); });
#endif
}

// Resolves symbolic links. The target need not exist.
fs::path resolve_links(fs::path path) {
  for (int links = 0; fs::is_symlink(fs::symlink_status(path)); ++links) {
    if (links == max_links) fail("too many symbolic links from ", path, ELOOP);
    path = path.parent_path() / fs::read_symlink(path);
  }
  return path;
}

fs::path folder_of(const fs::path& target) { return target.has_parent_path() ? target.parent_path() : fs::path("."); }

constexpr std::string_view temporary_end = ".tmp";
constexpr std::size_t random_digits = 12;

// The name of a temporary file of a target consists of this beginning, random digits, and temporary_end. A name may
// have at most 255 bytes.
fs::path temporary_begin(const fs::path& target) {
  return (fs::path(".") += fs::path(beginning(target.filename().native(), 100))) += ".";
}

fs::path temporary_name(const fs::path& target) {
  std::random_device random;
  const std::uint64_t number = std::uint64_t{random()} << 32 | random();
  char digits[24];
  std::snprintf(digits, sizeof digits, "%012llx", static_cast<unsigned long long>(number >> 16));
  return target.parent_path() / ((temporary_begin(target) += digits) += temporary_end);
}

bool is_temporary(const Text& name, const Text& begin) {
  const Text end = fs::path(temporary_end), digits = fs::path("0123456789abcdef");
  return name.size() == begin.size() + random_digits + end.size() && name.starts_with(begin) && name.ends_with(end) &&
         name.find_first_not_of(digits, begin.size()) == begin.size() + random_digits;
}

#ifdef _WIN32
// Removes the temporary files of this target. Windows does not remove those that a program still has open.
void remove_temporary(const fs::path& target) {
  std::error_code error;
  for (fs::directory_iterator entry(folder_of(target), error), end; entry != end; entry.increment(error))
    if (is_temporary(entry->path().filename(), temporary_begin(target))) fs::remove(entry->path(), error);
}
#else
struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

// Null if the folder may be written to but not listed. This uses readdir because std::filesystem::directory_iterator
// ends the program when memory runs out.
Folder open_folder(const fs::path& path) {
  const int descriptor = open_file(path, O_RDONLY | O_DIRECTORY);
  if (descriptor < 0) return nullptr;
  DIR* folder = fdopendir(descriptor);
  if (folder == nullptr) ::close(descriptor);
  return Folder(folder);
}

// Removes the temporary files of this target that are not locked, because the programs that wrote them have ended.
void remove_temporary(DIR* folder, const fs::path& target) {
  const Text begin = temporary_begin(target);
  while (const dirent* entry = readdir(folder)) {
    if (!is_temporary(entry->d_name, begin)) continue;
    const int file = openat(dirfd(folder), entry->d_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0) continue;
    if (flock(file, LOCK_EX | LOCK_NB) == 0) unlinkat(dirfd(folder), entry->d_name, 0);
    ::close(file);
  }
}
#endif

void replace(const fs::path& temporary, const fs::path& target) {
  std::error_code error, ignored;
  fs::rename(temporary, target, error);
  if (!error) return;
  fs::remove(temporary, ignored);
  throw std::system_error(error, "cannot write " + target.string());
}

// Writes to a file that has no name until it is complete, so that a killed program leaves nothing behind. Returns false
// if the system or the file system does not support such files.
bool replace_by_unnamed([[maybe_unused]] const fs::path& target, [[maybe_unused]] const fs::file_status& before,
                        [[maybe_unused]] std::string_view content) {
#ifdef O_TMPFILE
  const int descriptor = open_file(folder_of(target), O_WRONLY | O_TMPFILE);
  if (descriptor < 0) return false;  // any other error recurs when the named file is opened
  const File file(descriptor, "cannot write ", target);
  lock(file);
  // Set the permissions before there is any content to read.
  if (fs::exists(before) && fchmod(file, static_cast<mode_t>(before.permissions())) != 0) fail("cannot write ", target);
  write(file, target, content);
  if (!flush_to_disk(file)) fail("cannot write ", target);
  const std::string own_name = "/proc/self/fd/" + std::to_string(descriptor);
  const auto link_to = [&](const fs::path& name) {
    return linkat(AT_FDCWD, own_name.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
  };
  if (link_to(target)) return true;
  if (errno != EEXIST) return false;
  const fs::path temporary = temporary_name(target);  // linkat does not replace an existing file, rename does
  if (!link_to(temporary)) return false;
  replace(temporary, target);
  return true;
#else
  return false;
#endif
}

// Writes to a hidden temporary file, which is locked so that no other program removes it as a leftover. Returns false
// if another program removed it before it was locked.
bool replace_by_named(const fs::path& target, const fs::file_status& before, std::string_view content) {
  const fs::path temporary = temporary_name(target);
  File file(open_file(temporary, O_WRONLY | O_CREAT | O_EXCL), "cannot write ", target);
  lock(file);
#ifndef _WIN32
  struct stat found;
  if (fstat(file, &found) == 0 && found.st_nlink == 0) return false;
#endif
  try {
    if (fs::exists(before)) fs::permissions(temporary, before.permissions());  // before there is any content to read
    write(file, target, content);
    if (!flush_to_disk(file)) fail("cannot write ", target);
#ifdef _WIN32
    file.close();  // Windows cannot rename an open file
#endif
    replace(temporary, target);
  } catch (...) {
    file.close();
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
  return true;
}

// Follows links until the path names a descriptor: from /dev/stdout to /proc/<number of this process>/fd/1. Returns an
// empty path if there is no descriptor.
fs::path descriptor_path([[maybe_unused]] const fs::path& path) {
#ifndef _WIN32
  std::error_code error;
  fs::path place = fs::absolute(path, error);
  for (int links = 0; links < max_links; ++links) {
    const fs::path folder = fs::canonical(place.parent_path(), error);
    if (error) return {};
    place = folder / place.filename();
    const Text text = folder.native(), name = place.filename().native();
    if ((text == "/dev/fd" || (text.starts_with("/proc/") && text.ends_with("/fd"))) && !name.empty() &&
        name.size() < 10 && name.find_first_not_of("0123456789") == std::string::npos)
      return place;
    if (!fs::is_symlink(fs::symlink_status(place, error))) return {};
    place = folder / fs::read_symlink(place);
  }
#endif
  return {};
}

#ifndef _WIN32
// Opens the target of a path from descriptor_path. A descriptor of this process is duplicated: opening its file again
// would write from the start of the file, even if the shell opened it with >>, and a rename would replace the file.
int open_descriptor(const fs::path& path) {
  const Text& text = path.native();
  if (!text.starts_with("/dev/fd/") && !text.starts_with("/proc/" + std::to_string(getpid()) + "/"))
    return open_file(path, O_WRONLY | O_APPEND);
  std::fflush(stdout);  // so that earlier output comes first
  return fcntl(std::stoi(path.filename()), F_DUPFD_CLOEXEC, 0);
}

// Writes to a pipe, a device or an open file.
void write_through(int descriptor, const fs::path& path, std::string_view content) {
  const File file(descriptor, "cannot write ", path);
  write(file, path, content);
  flush_to_disk(file);  // fails for pipes and terminals, which is ignored
}
#endif

}  // namespace

std::string read_file(const fs::path& path) {
  const File file(open_file(path, O_RDONLY), "cannot read ", path);
  std::string content;
  std::size_t size = 0;
  for (;;) {
    content.resize(std::max(2 * size, std::size_t{1} << 16));
    const auto count = static_cast<unsigned>(std::min(content.size() - size, std::size_t{1} << 30));
    const auto read = uninterrupted([&] { return ::read(file, content.data() + size, count); });
    if (read < 0) fail("cannot read ", path);
    size += static_cast<std::size_t>(read);
    if (read == 0) break;
  }
  content.resize(size);
  return content;
}

bool is_descriptor(const fs::path& path) { return !descriptor_path(path).empty(); }

void write_file(const fs::path& path, std::string_view content) {
#ifndef _WIN32
  if (const fs::path place = descriptor_path(path); !place.empty())
    return write_through(open_descriptor(place), path, content);
#endif
  const fs::path target = resolve_links(path);
  const fs::file_status before = fs::status(target);
  if (fs::is_directory(before)) fail("cannot write ", target, EISDIR);
#ifdef _WIN32
  remove_temporary(target);
#else
  if (fs::exists(before) && !fs::is_regular_file(before))
    return write_through(uninterrupted([&] { return open_file(target, O_WRONLY); }), target, content);
  const Folder folder = open_folder(folder_of(target));
  if (folder) remove_temporary(folder.get(), target);
#endif
  if (!replace_by_unnamed(target, before, content))
    while (!replace_by_named(target, before, content)) {
    }
#ifndef _WIN32
  // Flush the folder, so that the new name of the file is on the disk too. Some systems cannot flush a folder. The file
  // is complete even then, so errors are ignored.
  if (folder) flush_to_disk(dirfd(folder.get()));
#endif
}

void remove_leftovers(const fs::path& path) {
  const fs::path target = resolve_links(path);
#ifdef _WIN32
  remove_temporary(target);
#else
  if (const Folder folder = open_folder(folder_of(target))) remove_temporary(folder.get(), target);
#endif
}

}  // namespace chainrule
