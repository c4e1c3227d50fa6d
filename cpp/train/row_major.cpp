#include "train/row_major.h"

#include <algorithm>

#include "core/dispatch.h"
#include "core/parallel.h"
#include "core/poll.h"
#include "train/trainer.h"

namespace chainrule {
namespace {

constexpr Index rows_at_once = 1 << 14, rows_of_a_piece = 256;  // between two polls, and per work item

template <class T>
bool same(const MatrixView<const T>& a, const MatrixView<const T>& b) {
  return a.data == b.data && a.rows == b.rows && a.cols == b.cols && a.row_stride == b.row_stride &&
         a.col_stride == b.col_stride;
}

// A copy pays off if the fit reads at least as many rows out of order as the matrix has.
template <class T>
bool pays_off(const Inputs<T>& x, Index reads) {
  return !x.is_sparse() && x.matrix.cols > 1 && x.matrix.col_stride != 1 && reads >= x.rows;
}

}  // namespace

template <class T>
void RowMajorCopies<T>::use(Examples<T>& examples, FitOptions<T>& options) {
  if (!options.copy_columns) return;
  const Index rows = row_count(examples, options.rows), epochs = options.epochs;
  const bool shuffled = is_shuffled(options.shuffle) && options.batch_size.value_or(rows) < rows;
  const auto replace = [&](Inputs<T>& x, bool gathered, Index count) {
    if (gathered && pays_off(x, count * epochs)) x = copy_of(x.matrix, options.threads);
  };
  replace(examples.x, shuffled || !options.rows.empty(), rows);
  if (options.validation)
    replace(options.validation->x, !options.validation_rows.empty(),
            row_count(*options.validation, options.validation_rows));
}

template <class T>
MatrixView<const T> RowMajorCopies<T>::copy_of(const MatrixView<const T>& matrix, int threads) {
  const Index cols = matrix.cols;
  const auto view = [&](const Buffer<T>& copy) { return MatrixView<const T>(copy.data(), matrix.rows, cols); };
  for (const auto& [original, copy] : copies_)
    if (same(original, matrix)) return view(copy);
  const Buffer<T>& copy =
      copies_.emplace_back(matrix, Buffer<T>(checked_product(matrix.rows, cols), typename Buffer<T>::Uninitialized{}))
          .second;
  for (Index first = 0; first < matrix.rows; first += rows_at_once) {
    const Index count = std::min(rows_at_once, matrix.rows - first);
    parallel(threads_for(static_cast<double>(count * cols), threads), [&](Team team) {
      team.each((count + rows_of_a_piece - 1) / rows_of_a_piece, [&](Index piece) {
        const Index i = first + piece * rows_of_a_piece, rows = std::min(rows_of_a_piece, first + count - i);
        kernels<T>().pack_panel(cols, cols, rows, matrix.row(i), matrix.col_stride, matrix.row_stride,
                                copy.data() + i * cols);
      });
    });
    poll();
  }
  return view(copy);
}

template class RowMajorCopies<float>;
template class RowMajorCopies<double>;

}  // namespace chainrule
