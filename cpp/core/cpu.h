// What this CPU and its operating system can execute, by cpuid: __builtin_cpu_supports needs a library that not every
// compiler links.
#pragma once

#include "core/caches.h"

namespace chainrule {

struct Cpu {
  bool avx2, avx512, avx512_bf16;  // each with every feature that its kernels are compiled for
};

Cpu this_cpu();

// As the processor that asks has them; levels of which it says nothing have 0 bytes.
Caches caches_by_cpuid();

}  // namespace chainrule
