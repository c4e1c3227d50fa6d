// Tests the replacement of a file when system calls fail, are interrupted or write only a part, and when the program is
// killed before any of them. The functions below take the place of the C library's. tests/test_disk.py tests real
// files, pipes and devices.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "check.h"
#include "core/poll.h"
#include "files/disk.h"
#include "folder.h"

namespace {

// Called before each of the system calls, with its name and its file or -1. It returns 0, or the number of the error
// with which the call fails.
std::function<int(std::string_view, int)> before_call;
bool has_unnamed = true;  // false: as on a file system without O_TMPFILE
std::size_t max_written = SIZE_MAX;

template <class... Argument>
long call(const char* name, int file, long number, Argument... arguments) {
  const int error = before_call ? before_call(name, file) : 0;
  if (error == 0) return syscall(number, arguments...);
  errno = error;
  return -1;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {
int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  const bool is_unnamed = (flags & O_TMPFILE) == O_TMPFILE;
  if (is_unnamed && !has_unnamed) {
    errno = EOPNOTSUPP;
    return -1;
  }
  const char* name = is_unnamed ? "open unnamed" : (flags & O_DIRECTORY) != 0 ? "open folder" : "open";
  return static_cast<int>(call(name, -1, SYS_openat, AT_FDCWD, path, flags, mode));
}
ssize_t write(int file, const void* bytes, size_t size) {
  return call("write", file, SYS_write, file, bytes, std::min(size, max_written));
}
int fsync(int file) { return static_cast<int>(call("fsync", file, SYS_fsync, file)); }
int flock(int file, int operation) noexcept {
  return static_cast<int>(call((operation & LOCK_NB) != 0 ? "try lock" : "lock", file, SYS_flock, file, operation));
}
int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) noexcept {
  return static_cast<int>(call("linkat", -1, SYS_linkat, from_folder, from, to_folder, to, flags));
}
int rename(const char* from, const char* to) noexcept {
  return static_cast<int>(call("rename", -1, SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
}
#pragma GCC visibility pop

namespace chainrule::test {
namespace {

namespace fs = std::filesystem;

const std::string old_content = "old", new_content(1000, 'n');

std::size_t files_in(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
}

// The error with which write_file fails; 0: it succeeds.
int error_of_writing(const fs::path& path) {
  try {
    write_file(path, new_content);
  } catch (const std::system_error& error) {
    return error.code().value();
  }
  return 0;
}

mode_t mode_of(const fs::path& path) {
  struct stat found{};
  return stat(path.c_str(), &found) == 0 ? found.st_mode & 07777 : 0;
}

void test_failure_leaves_only_the_old_file() {
  const Folder folder;
  const fs::path path = folder.path / "file";
  for (const bool is_new : {false, true})
    for (const std::string_view failing : {"open", "write", "fsync", "rename"}) {
      if (!is_new) write_file(path, old_content);
      before_call = [&](std::string_view name, int) {
        return name == failing || (failing == "open" && name == "open unnamed") ? ENOSPC : 0;
      };
      const bool renames = !is_new || !has_unnamed;
      CHECK(error_of_writing(path) == (failing != "rename" || renames ? ENOSPC : 0), is_new, failing.size());
      before_call = nullptr;
      if (is_new && failing != "rename") CHECK(files_in(folder.path) == 0, failing.size());
      if (!is_new) CHECK(files_in(folder.path) == 1 && read_file(path) == old_content, failing.size());
      fs::remove(path);
    }
}

// The permissions of a file are set before it has content that others could read.
void test_permissions_are_kept_and_never_wider() {
  const Folder folder;
  const fs::path path = folder.path / "file";
  const mode_t umask_before = umask(027);
  write_file(path, old_content);
  CHECK(mode_of(path) == 0640, mode_of(path));
  umask(umask_before);
  for (const mode_t mode : {0600u, 0604u}) {
    chmod(path.c_str(), mode);
    long writes = 0;
    before_call = [&](std::string_view name, int file) {
      struct stat found{};
      if (name == "write") CHECK(++writes > 0 && fstat(file, &found) == 0 && (found.st_mode & 07777) == mode, mode);
      return 0;
    };
    write_file(path, new_content);
    before_call = nullptr;
    CHECK(writes > 0 && mode_of(path) == mode, mode);
  }
}

void test_files_are_written_without_links_locks_or_access_to_the_folder() {
  for (const std::string_view failing : {"open folder", "linkat", "lock", "try lock", "fsync of the folder"}) {
    const Folder folder;
    const fs::path path = folder.path / "file";
    before_call = [&](std::string_view name, int file) {
      struct stat found{};
      const bool of_folder = name == "fsync" && fstat(file, &found) == 0 && S_ISDIR(found.st_mode);
      if (name != failing && !(of_folder && failing == "fsync of the folder")) return 0;
      return fs::exists(path) ? EEXIST : EINVAL;
    };
    for (int repeat = 0; repeat < 2; ++repeat) CHECK(error_of_writing(path) == 0, failing.size());
    before_call = nullptr;
    CHECK(read_file(path) == new_content && files_in(folder.path) == 1, failing.size());
  }
}

void test_leftovers_are_removed_unless_locked() {
  const Folder folder;
  const fs::path path = folder.path / "model", other = folder.path / ".models.0123456789ab.tmp";
  const fs::path longer = folder.path / ".model.0123456789abc.tmp", not_hex = folder.path / ".model.0123456789aB.tmp";
  write_file(path, old_content);
  for (const char* name : {".model.000000000000.tmp", ".model.aaaaaaaaaaaa.tmp"})
    write_file(folder.path / name, "half");
  for (const fs::path& kept : {other, longer, not_hex}) write_file(kept, "half");
  long saves = 0;
  before_call = [&](std::string_view name, int) {
    if (name == "rename" && saves++ == 0) {
      const std::size_t files = files_in(folder.path);
      write_file(path, "of another program");  // removes leftovers, but not the file that is about to be renamed
      CHECK(files == 5 && files_in(folder.path) == files, files);
    }
    return 0;
  };
  write_file(path, new_content);
  before_call = nullptr;
  CHECK(saves == 2 && read_file(path) == new_content, saves);
  CHECK(files_in(folder.path) == 4 && fs::exists(other) && fs::exists(longer) && fs::exists(not_hex));
  write_file(folder.path / ".model.000000000000.tmp", "half");
  remove_leftovers(path);
  CHECK(files_in(folder.path) == 4);
}

void test_file_removed_before_it_is_locked_is_rewritten() {
  const Folder folder;
  bool removed = false;
  before_call = [&](std::string_view name, int) {
    if (name == "lock" && !std::exchange(removed, true))
      for (const fs::directory_entry& entry : fs::directory_iterator(folder.path)) fs::remove(entry);
    return 0;
  };
  write_file(folder.path / "file", new_content);
  before_call = nullptr;
  CHECK(removed && files_in(folder.path) == 1 && read_file(folder.path / "file") == new_content);
}

void test_interrupted_and_partial_calls_are_continued() {
  const Folder folder;
  const fs::path path = folder.path / "file";
  int polls = 0;
  const Polling polling([&] { ++polls; }, 1e9);
  std::string last;
  max_written = 7;
  before_call = [&](std::string_view name, int) {
    if ((name != "write" && name != "fsync" && name != "lock") || last == name) return last.clear(), 0;
    last = name;
    return EINTR;
  };
  write_file(path, new_content);
  before_call = nullptr;
  max_written = SIZE_MAX;
  CHECK(read_file(path) == new_content && polls >= 1000 / 7 + 3, polls);
}

void test_exception_of_a_signal_handler_ends_the_writing() {
  const Folder folder;
  for (const std::string_view interrupted : {"write", "fsync", "lock"}) {
    write_file(folder.path / "file", old_content);
    before_call = [&](std::string_view name, int) { return name == interrupted ? EINTR : 0; };
    bool thrown = false;
    try {
      const Polling polling([] { throw 1; }, 1e9);
      write_file(folder.path / "file", new_content);
    } catch (int) {
      thrown = true;
    }
    before_call = nullptr;
    CHECK(thrown && read_file(folder.path / "file") == old_content, interrupted.size());
    remove_leftovers(folder.path / "file");
    CHECK(files_in(folder.path) == 1, files_in(folder.path));
  }
}

// Kills a program before its n-th system call, for every n.
void test_killed_program_leaves_whole_files_and_a_removable_leftover() {
  for (const bool is_new : {false, true}) {
    bool killed = true;
    for (int n = 0; killed && CHECK(n < 100); ++n) {
      const Folder folder;
      const fs::path path = folder.path / "file";
      if (!is_new) write_file(path, old_content);
      const pid_t child = fork();
      if (child == 0) {
        before_call = [calls = n](std::string_view, int) mutable { return calls-- == 0 ? raise(SIGKILL) : 0; };
        max_written = 400;
        write_file(path, new_content);
        _exit(0);
      }
      int status = 0;
      CHECK(waitpid(child, &status, 0) == child);
      killed = WIFSIGNALED(status);
      const bool exists = fs::exists(path);
      CHECK(exists || is_new, n);
      const std::string found = exists ? read_file(path) : old_content;
      CHECK(found == new_content || (killed && found == old_content), n, is_new);
      const std::size_t leftovers = files_in(folder.path) - (exists ? 1 : 0);
      CHECK(leftovers <= (has_unnamed && is_new ? 0u : 1u), n, leftovers);
      for (const fs::directory_entry& entry : fs::directory_iterator(folder.path))
        if (has_unnamed && entry.path() != path) CHECK(read_file(entry.path()) == new_content, n);
      write_file(path, new_content);
      CHECK(files_in(folder.path) == 1 && read_file(path) == new_content, n);
    }
  }
}

}  // namespace
}  // namespace chainrule::test

int main() {
  using namespace chainrule::test;
  const chainrule::Folder folder;
  const int unnamed = open(folder.path.c_str(), O_WRONLY | O_TMPFILE, 0600);
  for (const bool uses_unnamed : {true, false}) {
    has_unnamed = uses_unnamed;
    if (has_unnamed && unnamed < 0) continue;
    test_failure_leaves_only_the_old_file();
    test_permissions_are_kept_and_never_wider();
    test_files_are_written_without_links_locks_or_access_to_the_folder();
    test_leftovers_are_removed_unless_locked();
    test_file_removed_before_it_is_locked_is_rewritten();
    test_interrupted_and_partial_calls_are_continued();
    test_exception_of_a_signal_handler_ends_the_writing();
    test_killed_program_leaves_whole_files_and_a_removable_leftover();
  }
  return check::finish("disk");
}
