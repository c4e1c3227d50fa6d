// Chooses the kernels from a list of instruction sets, best first, each with the CPU features that it requires.
#pragma once

#include "chainrule/runtime.h"
#include "kernels/kernels.h"

namespace chainrule {

template <class T>
const Kernels<T>& kernels();  // of the active instruction set

template <class T>
const Bf16Kernels<T>* bf16_kernels();  // beside them, or null

// While an object of this class lives, set_isa and set_caches fail: memory that is packed for one table of kernels and
// one block size does not fit another. Every call that computes holds one; the first one throws if CHAINRULE_ISA or
// CHAINRULE_CACHE is malformed.
class IsaInUse {
 public:
  IsaInUse();
  ~IsaInUse();
  IsaInUse(const IsaInUse&) = delete;
  IsaInUse& operator=(const IsaInUse&) = delete;
};

// While an object of this class lives, calls that compute wait. Its constructor throws std::runtime_error, naming what
// cannot change now, if a call computes already.
class NothingComputes {
 public:
  explicit NothingComputes(const char* what);
  ~NothingComputes();
  NothingComputes(const NothingComputes&) = delete;
  NothingComputes& operator=(const NothingComputes&) = delete;
};

}  // namespace chainrule
