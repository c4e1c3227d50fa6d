// The instruction sets that this CPU and its operating system support, read with cpuid, because __builtin_cpu_supports
// needs a library that not every compiler links.
#pragma once

#include "core/caches.h"

namespace chainrule {

struct Cpu {
  bool avx2, avx512, avx512_bf16;  // true if the CPU has every feature that these kernels need
};

Cpu this_cpu();

// The caches of the processor that executes this call. Levels that it does not report have 0 bytes.
Caches caches_by_cpuid();

}  // namespace chainrule
