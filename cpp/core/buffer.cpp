#include "core/buffer.h"

#include <cstdint>
#include <cstring>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace chainrule::detail {
namespace {

constexpr std::size_t cache_line = 64;
#ifdef __linux__
// Smaller buffers do not use huge pages: finding and clearing them would take longer than they save.
constexpr std::size_t huge_page = std::size_t{1} << 21, large = 8 * huge_page;

std::size_t whole_pages(std::size_t bytes) { return (bytes + huge_page - 1) / huge_page * huge_page; }

// Maps pages for the buffer, huge ones if the system has them, because products of such matrices take a tenth longer
// without them. The system clears a page when it is first touched, so a large buffer is cleared by the threads that use
// it.
void* map_pages(std::size_t bytes) {
  const std::size_t length = whole_pages(bytes);
  void* memory = mmap(nullptr, length + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  char* begin = static_cast<char*>(memory);
  const std::size_t before = (huge_page - reinterpret_cast<std::uintptr_t>(begin) % huge_page) % huge_page;
  if (before > 0) munmap(begin, before);
  munmap(begin + before + length, huge_page - before);
  madvise(begin + before, bytes / huge_page * huge_page, MADV_HUGEPAGE);  // failure is harmless
  return begin + before;
}
#endif

}  // namespace

void* allocate(std::size_t bytes, bool zero) {
#ifdef __linux__
  if (bytes >= large) return map_pages(bytes);
#endif
  void* memory = ::operator new(bytes, std::align_val_t{cache_line});
  if (zero) std::memset(memory, 0, bytes);
  return memory;
}

void deallocate(void* memory, std::size_t bytes) {
#ifdef __linux__
  if (bytes >= large) {
    munmap(memory, whole_pages(bytes));
    return;
  }
#endif
  static_cast<void>(bytes);
  ::operator delete(memory, std::align_val_t{cache_line});
}

}  // namespace chainrule::detail
