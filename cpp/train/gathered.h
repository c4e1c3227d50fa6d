// Copies of the examples of some batches, for steppers that can read inputs only from memory.
#pragma once

#include "core/buffer.h"
#include "train/stepper.h"

namespace chainrule {

template <class T>
class GatheredExamples {
 public:
  // Reads the examples of the batches, in the order of the batches. Valid until the next call.
  const Examples<T>& take(const Batches<T>& batches, int threads);

 private:
  Buffer<T> x_, y_, weight_;
  Buffer<std::int32_t> label_;
  Examples<T> examples_;
};

}  // namespace chainrule
