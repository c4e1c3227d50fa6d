// Chooses the kernels: the first instruction set of a list, ordered from best to worst, that the CPU supports.
#pragma once

#include "chainrule/runtime.h"
#include "kernels/kernels.h"

namespace chainrule {

template <class T>
const Kernels<T>& kernels();  // of the active instruction set

template <class T>
const Bf16Kernels<T>* bf16_kernels();  // those that supplement kernels(), or null

// While an object of this class exists, set_isa and set_caches throw, because memory that is packed for one table of
// kernels and one block size does not fit another. Every call that computes holds such an object. The constructor
// throws if CHAINRULE_ISA or CHAINRULE_CACHE is malformed.
class IsaInUse {
 public:
  IsaInUse();
  ~IsaInUse();
  IsaInUse(const IsaInUse&) = delete;
  IsaInUse& operator=(const IsaInUse&) = delete;
};

// While an object of this class exists, calls that compute wait. If a call is already computing, the constructor throws
// std::runtime_error, which says that `what` cannot change.
class NothingComputes {
 public:
  explicit NothingComputes(const char* what);
  ~NothingComputes();
  NothingComputes(const NothingComputes&) = delete;
  NothingComputes& operator=(const NothingComputes&) = delete;
};

}  // namespace chainrule
