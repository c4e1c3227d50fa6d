#include "net/disk.h"

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
#include <fcntl.h>
#include <unistd.h>
#endif

namespace chainrule {
namespace {

namespace fs = std::filesystem;

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

// A new name is on the disk when its folder is. Some systems cannot say so of a folder; the file is whole anyway.
void flush_folder([[maybe_unused]] const fs::path& folder) {
#ifndef _WIN32
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY);
  if (descriptor < 0) return;
  fsync(descriptor);
  close(descriptor);
#endif
}

// Where the links lead to, whether there is a file or not.
fs::path followed(fs::path path) {
  for (int links = 0; fs::is_symlink(fs::symlink_status(path)); ++links) {
    if (links == 40) fail("too many links from ", path, ELOOP);
    path = path.parent_path() / fs::read_symlink(path);
  }
  return path;
}

// The name that the Python package gives them too, so that it finds those whose programs were killed.
fs::path temporary_name(const fs::path& target) {
  std::random_device random;
  const std::uint64_t number = std::uint64_t{random()} << 32 | random();
  char suffix[24];
  std::snprintf(suffix, sizeof suffix, ".%012llx.tmp", static_cast<unsigned long long>(number >> 16));
  const fs::path::string_type name = beginning(target.filename().native(), 100);
  return target.parent_path() / (fs::path(".") += fs::path(name) += suffix);
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
  const fs::path target = followed(path);
  const fs::file_status before = fs::status(target);
  if (fs::exists(before) && !fs::is_regular_file(before))  // a folder, or a device that a rename would replace
    fail("is not a file: ", target, EINVAL);
  const fs::path temporary = temporary_name(target);
  File file = open(temporary, true);
  try {
    if (fs::exists(before)) fs::permissions(temporary, before.permissions());  // before there is anything to read
    if (std::fwrite(content.data(), 1, content.size(), file.get()) != content.size() || std::fflush(file.get()) != 0)
      fail("cannot write ", temporary);
    if (!reached_disk(file.get())) fail("cannot write ", temporary);
    if (std::fclose(file.release()) != 0) fail("cannot write ", temporary);
    fs::rename(temporary, target);
  } catch (...) {
    file.reset();
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
  flush_folder(target.has_parent_path() ? target.parent_path() : fs::path("."));
}

}  // namespace chainrule
