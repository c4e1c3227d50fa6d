// Chooses the kernels: a list of instruction sets, best first, each with what it needs of the CPU. The only file
// besides parallel.cpp that reads an environment variable.
#pragma once

#include "chainrule/runtime.h"
#include "kernels/kernels.h"

namespace chainrule {

template <class T>
const Kernels<T>& kernels();  // of the active instruction set

}  // namespace chainrule
