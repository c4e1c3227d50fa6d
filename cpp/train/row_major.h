// Copies of column-major inputs for fits that read single rows: each number of such a row is in another cache line, so
// the inputs are copied to row-major once, before the first epoch.
#pragma once

#include <list>
#include <utility>

#include "chainrule/training.h"
#include "core/buffer.h"

namespace chainrule {

template <class T>
class RowMajorCopies {
 public:
  // Replaces the inputs of training and of validation by copies where that is faster; one copy for all fits that share
  // them. The options have been checked. Copies live as long as this object.
  void use(Examples<T>& examples, FitOptions<T>& options);

 private:
  MatrixView<const T> copy_of(const MatrixView<const T>& matrix, int threads);

  std::list<std::pair<MatrixView<const T>, Buffer<T>>> copies_;  // by the original
};

}  // namespace chainrule
