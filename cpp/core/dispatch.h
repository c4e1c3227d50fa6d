// Chooses the kernels: a list of instruction sets, best first, each with what it needs of the CPU. The only file
// besides core/parallel that reads an environment variable.
#pragma once

#include "chainrule/runtime.h"
#include "kernels/kernels.h"

namespace chainrule {

template <class T>
const Kernels<T>& kernels();  // of the active instruction set

template <class T>
const Bf16Kernels<T>* bf16_kernels();  // beside them, or null

// While one of these lives, set_isa refuses to change it: what is packed and allocated for one table of kernels is of
// no use to another. Every call that computes holds one.
class IsaInUse {
 public:
  IsaInUse();
  ~IsaInUse();
  IsaInUse(const IsaInUse&) = delete;
  IsaInUse& operator=(const IsaInUse&) = delete;
};

}  // namespace chainrule
