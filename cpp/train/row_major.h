// Row-major copies of column-major inputs. A fit that reads single rows of a column-major matrix would load a cache
// line for each number, so such inputs are copied once, before the first epoch.
#pragma once

#include <list>
#include <utility>

#include "chainrule/training.h"
#include "core/buffer.h"

namespace chainrule {

template <class T>
class RowMajorCopies {
 public:
  // Replaces the inputs of training and validation with copies if that is faster. Fits that share inputs share the
  // copy. The options must have been checked. The copies exist as long as this object.
  void use(Examples<T>& examples, FitOptions<T>& options);

 private:
  MatrixView<const T> copy_of(const MatrixView<const T>& matrix, int threads);

  std::list<std::pair<MatrixView<const T>, Buffer<T>>> copies_;  // the original and its copy
};

}  // namespace chainrule
