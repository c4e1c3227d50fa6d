// Makes the n-th allocation of a program fail. Exactly one file of the program must include this.
#pragma once

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "check.h"
#include "sanitized.h"

#if defined(__linux__) && !CHAINRULE_SANITIZED
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {

std::atomic<long> allowed{-1};  // allocations before the one that fails; negative: none fails
std::atomic<long> failures_so_far{0};
std::atomic<bool> all_later_fail{false};

bool must_fail() {
  if (allowed < 0) return false;
  const long before = allowed--;
  if (before > 0) return false;
  if (all_later_fail) allowed = 0;
  ++failures_so_far;
  return true;
}

}  // namespace

// If these were inlined, GCC 12 would warn about mismatched new and delete.
[[gnu::noinline]] void* operator new(std::size_t size) {
  void* memory = must_fail() ? nullptr : std::malloc(size > 0 ? size : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto step = static_cast<std::size_t>(alignment);
  void* memory = must_fail() ? nullptr : std::aligned_alloc(step, (size + step) / step * step);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return must_fail() ? nullptr : std::malloc(size > 0 ? size : 1);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

#if defined(__linux__) && !CHAINRULE_SANITIZED  // on Linux, large buffers are mapped
#pragma GCC visibility push(default)
extern "C" void* mmap(void* at, std::size_t size, int protection, int flags, int file, off_t offset) noexcept {
  if (must_fail()) return MAP_FAILED;
  return reinterpret_cast<void*>(syscall(SYS_mmap, at, size, protection, flags, file, offset));
}
#pragma GCC visibility pop
#endif

namespace chainrule::test {
namespace {

// Repeats call(), with the first, the second, ... allocation failing, until no allocation fails. After each call,
// after(failed) checks the result.
template <class Before, class Call, class After>
void fail_allocations(const char* name, Before before, Call call, After after) {
  for (const bool all : {false, true}) {
    bool any = true;
    for (long n = 0; any && CHECK(n < 20'000); ++n) {
      before();
      bool failed = false, other = false;
      failures_so_far = 0;
      all_later_fail = all;
      allowed = n;
      try {
        call();
      } catch (const std::bad_alloc&) {
        failed = true;
      } catch (...) {
        other = true;
      }
      allowed = -1;
      any = failures_so_far > 0;
      if (!CHECK(!other, n, all) || !CHECK(any || !failed, n, all)) std::printf("  in %s\n", name);
      const long failures = check::failures;
      after(failed);
      if (check::failures != failures) std::printf("  in %s, allocation %ld%s\n", name, n, all ? " and all after" : "");
    }
  }
}

}  // namespace
}  // namespace chainrule::test
