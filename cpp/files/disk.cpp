#include "files/disk.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <random>
#include <system_error>

#include "core/text.h"

#ifdef _WIN32
#include <io.h>
#else
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace chainrule {
namespace {

namespace fs = std::filesystem;

constexpr int most_links = 40;  // the limit of the Linux kernel for the symbolic links in a path

[[noreturn]] void fail(const char* what, const fs::path& path, int error = errno) {
  throw std::system_error(error, std::generic_category(), std::string(what) + path.string());
}

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

File open(const fs::path& path, bool to_write) {
#ifdef _WIN32
  File file(_wfopen(path.c_str(), to_write ? L"wbx" : L"rb"));
#else
  File file(std::fopen(path.c_str(), to_write ? "wbx" : "rb"));  // x: the file must be new
#endif
  if (!file) fail(to_write ? "cannot write " : "cannot read ", path);
  return file;
}

bool reached_disk(std::FILE* file) {
#ifdef _WIN32
  return _commit(_fileno(file)) == 0;
#else
  return fsync(fileno(file)) == 0;
#endif
}

// Flushes the folder, so that the new name of a file is on the disk too. Some systems cannot flush a folder. The file
// is complete even then, so errors are ignored.
void flush_folder([[maybe_unused]] const fs::path& folder) {
#ifndef _WIN32
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY);
  if (descriptor < 0) return;
  fsync(descriptor);
  close(descriptor);
#endif
}

// Resolves symbolic links. The target need not exist.
fs::path followed(fs::path path) {
  for (int links = 0; fs::is_symlink(fs::symlink_status(path)); ++links) {
    if (links == most_links) fail("too many symbolic links from ", path, ELOOP);
    path = path.parent_path() / fs::read_symlink(path);
  }
  return path;
}

// The Python package names its temporary files in the same way, so each language removes what the other left behind
// when it was killed.
constexpr std::string_view temporary_end = ".tmp";
constexpr std::size_t random_digits = 12;

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

fs::path folder_of(const fs::path& target) { return target.has_parent_path() ? target.parent_path() : fs::path("."); }

#ifndef _WIN32
struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;
#endif

// Removes the temporary files of this target that nobody has locked: the programs that wrote them have ended.
void remove_leftovers([[maybe_unused]] const fs::path& target) {
#ifndef _WIN32
  const std::string begin = temporary_begin(target).native();
  // Null if the folder may be written to but not listed. This uses opendir because std::filesystem::directory_iterator
  // ends the program when memory runs out.
  const Folder folder(opendir(folder_of(target).c_str()));
  if (!folder) return;
  const int at = dirfd(folder.get());
  while (const dirent* entry = readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (name.size() != begin.size() + random_digits + temporary_end.size() || !name.starts_with(begin) ||
        !name.ends_with(temporary_end) ||
        name.find_first_not_of("0123456789abcdef", begin.size()) != begin.size() + random_digits)
      continue;
    const int descriptor = openat(at, entry->d_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0) continue;
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) unlinkat(at, entry->d_name, 0);
    close(descriptor);
  }
#endif
}

// Locks the file until it is closed, at the latest when the program ends. On systems without flock, remove_leftovers
// removes nothing.
void lock([[maybe_unused]] std::FILE* file) {
#ifndef _WIN32
  flock(fileno(file), LOCK_EX);
#endif
}

// Writes all of the content and flushes it to the disk.
void fill(std::FILE* file, const fs::path& name, std::string_view content) {
  if (std::fwrite(content.data(), 1, content.size(), file) != content.size() || std::fflush(file) != 0 ||
      !reached_disk(file))
    fail("cannot write ", name);
}

// Writes to a file that has no name until it is complete, so that a killed program leaves nothing behind. Returns false
// if the system or the file system does not support such files.
bool replace_by_unnamed([[maybe_unused]] const fs::path& target, [[maybe_unused]] const fs::file_status& before,
                        [[maybe_unused]] std::string_view content) {
#ifdef O_TMPFILE
  const int descriptor = ::open(folder_of(target).c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
  if (descriptor < 0) return false;
  const File file(fdopen(descriptor, "wb"));
  if (!file) {
    close(descriptor);
    return false;
  }
  lock(file.get());
  const std::string own_name = "/proc/self/fd/" + std::to_string(descriptor);
  // Set the permissions before there is any content to read.
  if (fs::exists(before) && fchmod(descriptor, static_cast<mode_t>(before.permissions())) != 0)
    fail("cannot write ", target);
  fill(file.get(), target, content);
  const auto named = [&](const fs::path& name) {
    return linkat(AT_FDCWD, own_name.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
  };
  if (named(target)) return true;
  if (errno != EEXIST) return false;
  const fs::path temporary = temporary_name(target);  // linkat does not replace an existing file, rename does
  if (!named(temporary)) return false;
  std::error_code error, ignored;
  fs::rename(temporary, target, error);
  if (!error) return true;
  fs::remove(temporary, ignored);
  fail("cannot write ", target, error.value());
#else
  return false;
#endif
}

// Writes to a hidden temporary file, which is locked so that no other program removes it as a leftover. Returns false
// if another program removed it before it was locked.
bool replace_by_named(const fs::path& target, const fs::file_status& before, std::string_view content) {
  const fs::path temporary = temporary_name(target);
  File file = open(temporary, true);
  lock(file.get());
#ifndef _WIN32
  struct stat found;
  if (fstat(fileno(file.get()), &found) == 0 && found.st_nlink == 0) return false;
#endif
  try {
    if (fs::exists(before)) fs::permissions(temporary, before.permissions());  // before there is any content to read
    fill(file.get(), temporary, content);
#ifdef _WIN32
    file.reset();  // Windows cannot rename an open file
#endif
    fs::rename(temporary, target);
  } catch (...) {
    file.reset();
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
  return true;
}

// Opens a path that refers to a descriptor, such as /dev/stdout; returns -1 for any other path. Opening the file behind
// the descriptor would write from its start, even if the shell opened it with >>, and a rename would replace it.
int open_descriptor([[maybe_unused]] const fs::path& path) {
#ifndef _WIN32
  std::error_code error;
  fs::path place = fs::absolute(path, error);
  for (int links = 0; links < most_links; ++links) {
    const fs::path folder = fs::canonical(place.parent_path(), error);
    if (error) return -1;
    place = folder / place.filename();
    const std::string text = folder.native(), name = place.filename().native();
    const std::string own = "/proc/" + std::to_string(getpid()) + "/";
    const bool is_process = text.starts_with("/proc/") && text.ends_with("/fd");
    if ((text == "/dev/fd" || is_process) && !name.empty() && name.size() < 10 &&
        name.find_first_not_of("0123456789") == std::string::npos) {
      std::fflush(stdout);  // so that earlier output comes first
      const bool is_own = text == "/dev/fd" || text.starts_with(own);
      const int descriptor = is_own ? dup(std::stoi(name)) : ::open(place.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
      if (descriptor < 0) fail("cannot write ", path);
      return descriptor;
    }
    if (!fs::is_symlink(fs::symlink_status(place, error))) return -1;
    place = folder / fs::read_symlink(place);
  }
#endif
  return -1;
}

// Writes to the descriptor of a pipe, a device or an open file, and closes it.
void write_through([[maybe_unused]] int descriptor, [[maybe_unused]] const fs::path& path,
                   [[maybe_unused]] std::string_view content) {
#ifndef _WIN32
  const File file(fdopen(descriptor, "wb"));
  if (!file) {
    close(descriptor);
    fail("cannot write ", path);
  }
  if (std::fwrite(content.data(), 1, content.size(), file.get()) != content.size() || std::fflush(file.get()) != 0)
    fail("cannot write ", path);
  fsync(descriptor);  // fails for pipes and terminals, which is ignored
#endif
}

}  // namespace

std::string read_file(const fs::path& path) {
  const File file = open(path, false);
  std::string content;
  std::size_t step = 0, got = 0;
  do {
    const std::size_t before = content.size();
    step = std::max(before, std::size_t{1} << 16);
    content.resize(before + step);
    got = std::fread(content.data() + before, 1, step, file.get());
    content.resize(before + got);
    if (std::ferror(file.get()) != 0) fail("cannot read ", path);
  } while (got == step);
  return content;
}

void write_file(const fs::path& path, std::string_view content) {
  const int descriptor = open_descriptor(path);
  if (descriptor >= 0) return write_through(descriptor, path, content);
  const fs::path target = followed(path);
  const fs::file_status before = fs::status(target);
  if (fs::is_directory(before)) fail("is not a file: ", target, EISDIR);
#ifndef _WIN32
  if (fs::exists(before) && !fs::is_regular_file(before)) {
    const int device = ::open(target.c_str(), O_WRONLY | O_CLOEXEC);
    if (device < 0) fail("cannot write ", target);
    return write_through(device, target, content);
  }
#endif
  remove_leftovers(target);
  if (!replace_by_unnamed(target, before, content))
    while (!replace_by_named(target, before, content)) {
    }
  flush_folder(folder_of(target));
}

}  // namespace chainrule
