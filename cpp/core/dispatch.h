// Chooses the kernels: a list of instruction sets, best first, each with what it needs of the CPU.
#pragma once

#include "chainrule/runtime.h"
#include "kernels/kernels.h"

namespace chainrule {

template <class T>
const Kernels<T>& kernels();  // of the active instruction set

template <class T>
const Bf16Kernels<T>* bf16_kernels();  // beside them, or null

// While one of these lives, neither set_isa nor set_caches changes anything: what is packed and allocated for one table
// of kernels and one size of blocks is of no use to another. Every call that computes holds one; the first one throws
// what is wrong with CHAINRULE_ISA and CHAINRULE_CACHE.
class IsaInUse {
 public:
  IsaInUse();
  ~IsaInUse();
  IsaInUse(const IsaInUse&) = delete;
  IsaInUse& operator=(const IsaInUse&) = delete;
};

// While one of these lives, calls that compute wait for it. Throws std::runtime_error, with what cannot change now, if
// one computes already.
class NothingComputes {
 public:
  explicit NothingComputes(const char* what);
  ~NothingComputes();
  NothingComputes(const NothingComputes&) = delete;
  NothingComputes& operator=(const NothingComputes&) = delete;
};

}  // namespace chainrule
