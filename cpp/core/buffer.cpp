#include "core/buffer.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace chainrule::detail {
namespace {

// Buffers of fewer huge pages are not worth the time that the system takes to find and clear them.
constexpr std::size_t cache_line = 64, huge_page = std::size_t{1} << 21, large = 8 * huge_page;

std::align_val_t alignment_of(std::size_t bytes) { return std::align_val_t{bytes >= large ? huge_page : cache_line}; }

}  // namespace

void* allocate(std::size_t bytes) {
  void* memory = ::operator new(bytes, alignment_of(bytes));
#ifdef __linux__
  // Without them products of such matrices take a tenth longer. Whole pages only, so that no more memory is used; a
  // refusal changes nothing.
  if (bytes >= large) madvise(memory, bytes / huge_page * huge_page, MADV_HUGEPAGE);
#endif
  return memory;
}

void deallocate(void* memory, std::size_t bytes) { ::operator delete(memory, alignment_of(bytes)); }

}  // namespace chainrule::detail
