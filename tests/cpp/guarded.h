// Memory between two protected pages, for arrays that end or begin at a page boundary. If a program touches a protected
// page, a message names the case under test.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <new>
#include <vector>

#include "chainrule/names.h"

namespace chainrule::test {

enum class Edge { begin, end };

// Provides arrays, each in its own block. Elements are not initialized: they hold the value of the last fill(), or
// whatever has been written since.
class Guarded {
 public:
  static constexpr std::size_t size = std::size_t{1} << 18;

  Edge edge = Edge::end;

  void restart() { taken_ = 0; }  // makes all blocks available again
  template <class T>
  void fill(T value) {
    for (const auto& block : blocks_)
      for (std::size_t i = 0; i < size / sizeof(T); ++i) reinterpret_cast<T*>(block.get())[i] = value;
  }
  template <class T>
  T* take(Index count) {
    if (taken_ == blocks_.size()) blocks_.emplace_back(map());
    char* block = blocks_[taken_++].get();
    const auto bytes = static_cast<std::size_t>(count) * sizeof(T);
    if (bytes > size) throw std::bad_alloc();
    return reinterpret_cast<T*>(edge == Edge::begin ? block : block + size - bytes);
  }
  template <class T>
  T* take(Index count, T value) {
    T* array = take<T>(count);
    for (Index i = 0; i < count; ++i) array[i] = value;
    return array;
  }

 private:
  static std::size_t guard() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }
  static char* map() {
    void* all = mmap(nullptr, size + 2 * guard(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) throw std::bad_alloc();
    char* block = static_cast<char*>(all) + guard();
    if (mprotect(block, size, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    return block;
  }
  struct Unmap {
    void operator()(char* block) const { munmap(block - guard(), size + 2 * guard()); }
  };
  std::vector<std::unique_ptr<char, Unmap>> blocks_;
  std::size_t taken_ = 0;
};

// The case under test, for the message after an access to a guard page.
struct Running {
  const char *isa, *kernel;
  Index m, n, k;
};
inline Running running{};

inline void report_faults() {
  const auto report = [](int) {
    char text[200];
    const int length = std::snprintf(text, sizeof text, "access outside of an array: %s %s, m %td, n %td, k %td\n",
                                     running.isa, running.kernel, running.m, running.n, running.k);
    _exit(write(STDOUT_FILENO, text, static_cast<std::size_t>(length)) == length ? 1 : 2);
  };
  std::signal(SIGSEGV, report);
  std::signal(SIGBUS, report);
}

}  // namespace chainrule::test
