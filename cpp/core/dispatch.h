// Chooses the kernels: the first instruction set of a list, ordered from best to worst, that the CPU supports.
#pragma once

#include "chainrule/runtime.h"
#include "kernels/kernels.h"

namespace chainrule {

template <class T>
const Kernels<T>& kernels();  // of the active instruction set

template <class T>
const Bf16Kernels<T>* bf16_kernels();  // the kernels that supplement kernels(), or null

// While an object of this class exists, set_isa and set_caches throw, because data packed for one set of kernels and
// block sizes cannot be used with another. Every computation holds such an object. The constructor throws if
// CHAINRULE_ISA or CHAINRULE_CACHE is malformed.
class IsaInUse {
 public:
  IsaInUse();
  ~IsaInUse();
  IsaInUse(const IsaInUse&) = delete;
  IsaInUse& operator=(const IsaInUse&) = delete;
};

// A change of the instruction set or of the caches. While an object of this class exists, computations that begin wait.
// If one is already running, the constructor throws std::runtime_error: "cannot change `what` while a computation is
// running".
class RuntimeChange {
 public:
  explicit RuntimeChange(const char* what);
  ~RuntimeChange();
  RuntimeChange(const RuntimeChange&) = delete;
  RuntimeChange& operator=(const RuntimeChange&) = delete;
};

}  // namespace chainrule
