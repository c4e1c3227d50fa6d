#include "core/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace chainrule {

#if defined(__x86_64__)

namespace {

bool has(unsigned word, unsigned bits) { return (word & bits) == bits; }
constexpr unsigned bit(int n) { return 1u << n; }

// XCR0: the registers that the system saves in a context switch. It can only be read if OSXSAVE is set.
unsigned saved_registers() {
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

// The bit numbers are from Intel's manual, volume 2, CPUID.
Cpu detect() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned osxsave = bit(27), avx = bit(28), fma = bit(12);
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || !has(c, osxsave | avx | fma)) return {};
  constexpr unsigned sse_and_avx = bit(1) | bit(2);
  const unsigned saved = saved_registers();
  if (!has(saved, sse_and_avx)) return {};
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return {};
  constexpr unsigned avx2 = bit(5), avx512_f_dq_bw_vl = bit(16) | bit(17) | bit(30) | bit(31);
#ifdef __APPLE__
  const bool saves_avx512 = true;  // macOS turns it on when a program first uses AVX-512
#else
  const bool saves_avx512 =
      has(saved, bit(5) | bit(6) | bit(7));  // mask registers, upper halves of registers 0 to 15, registers 16 to 31
#endif
  Cpu cpu{.avx2 = has(b, avx2), .avx512 = saves_avx512 && has(b, avx512_f_dq_bw_vl), .avx512_bf16 = false};
  constexpr unsigned bf16 = bit(5);
  if (cpu.avx512 && a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) cpu.avx512_bf16 = has(a, bf16);
  return cpu;
}

// The caches that a cpuid leaf lists. Intel and AMD each have such a leaf, in the same format.
Caches caches_of_leaf(unsigned leaf) {
  Caches caches{.l1 = {}, .l2 = {}, .l3 = {}, .source = "cpuid"};
  unsigned a = 0, b = 0, c = 0, d = 0;
  const auto field = [](unsigned word, int first, int last) {
    return static_cast<int>(word >> first & (bit(last - first + 1) - 1));
  };
  constexpr int none = 0, instructions = 2;
  for (unsigned i = 0; i < 8 && __get_cpuid_count(leaf, i, &a, &b, &c, &d) != 0; ++i) {
    const int type = field(a, 0, 4), line = field(b, 0, 11) + 1, ways = field(b, 22, 31) + 1;
    if (type == none) break;
    if (type == instructions) continue;
    const Index bytes = (Index{c} + 1) * ways * (field(b, 12, 21) + 1) * line;
    add_level(caches, field(a, 5, 7), {bytes, ways, line, field(a, 14, 25) + 1});
  }
  return caches;
}

}  // namespace

Caches caches_by_cpuid() {
  if (Caches intel = caches_of_leaf(4); intel.l1.bytes > 0) return intel;
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned topology_extensions = bit(22);
  if (__get_cpuid(0x80000001, &a, &b, &c, &d) == 0 || !has(c, topology_extensions)) return {};
  return caches_of_leaf(0x8000001D);
}

// Detects only once, because a cpuid instruction takes tens of microseconds in a virtual machine.
Cpu this_cpu() {
  static const Cpu cpu = detect();
  return cpu;
}

#else

Cpu this_cpu() { return {}; }
Caches caches_by_cpuid() { return {}; }

#endif

}  // namespace chainrule
