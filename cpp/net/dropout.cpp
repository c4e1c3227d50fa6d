#include "net/dropout.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/dispatch.h"

namespace chainrule {

StepDropout::StepDropout(double input_rate, const std::vector<double>& rates, Index hidden_layers)
    : rates_{input_rate} {
  if (rates.size() == 1)
    rates_.insert(rates_.end(), static_cast<std::size_t>(hidden_layers), rates.front());
  else
    rates_.insert(rates_.end(), rates.begin(), rates.end());
  settings_.resize(rates_.size());
}

void StepDropout::begin_step(std::uint64_t seed, Index step, double factor) {
  for (std::size_t place = 0; place < rates_.size(); ++place) {
    const double rate = factor * rates_[place];
    require(rate < 1, "the schedule gives a dropout rate of ", rate, ", expected less than 1");
    const double kept = std::round((1 - rate) * 65536);
    settings_[place] = {seed, static_cast<std::uint64_t>(step), static_cast<std::uint32_t>(place),
                        static_cast<std::uint32_t>(std::max(kept, 1.0))};
  }
}

bool StepDropout::drops() const {
  return std::any_of(rates_.begin(), rates_.end(), [](double rate) { return rate > 0; });
}

namespace {

// Calls visit(matrix of factors, its first row, its first column) for parts of m x n units that fit the first-level
// cache.
template <class T, class Visit>
void for_factors(const Dropout& dropout, Index m, Index n, Index row, Index column, Visit visit) {
  constexpr Index rows = 8, columns = 256;  // eight rows share the words of a counter
  T factors[rows * columns];
  for (Index i = 0, end; i < m; i = end) {
    end = std::min(m, i + rows - (row + i) % rows);
    for (Index j = 0; j < n; j += columns) {
      const MatrixView<T> part = MatrixView<T>::contiguous(factors, end - i, std::min(columns, n - j));
      kernels<T>().dropout_factors(dropout, part.rows, part.cols, row + i, column + j, part.data, part.row_stride);
      visit(part, i, j);
    }
  }
}

}  // namespace

template <class T>
void drop_inputs(const Dropout& dropout, Index row, Index column, MatrixView<T> x) {
  for_factors<T>(dropout, x.rows, x.cols, row, column, [&](MatrixView<T> f, Index i, Index j) {
    T* to = x.row(i) + j;
    kernels<T>().multiply(f.rows, f.cols, f.data, f.row_stride, to, x.row_stride, to, x.row_stride);
  });
}

template <class T>
void drop_units(const Dropout& dropout, Index row, Index column, Activation activation, MatrixView<T> a,
                MatrixView<T> saved) {
  const Kernels<T>& kernel = kernels<T>();
  const auto index = static_cast<std::size_t>(activation);
  const MatrixView<T> read = slope_reads_z(activation) ? saved : a;
  for_factors<T>(dropout, a.rows, a.cols, row, column, [&](MatrixView<T> f, Index i, Index j) {
    T* to = a.row(i) + j;
    kernel.activate_backward[index](f.rows, f.cols, read.row(i) + j, read.row_stride, f.data, f.row_stride,
                                    saved.row(i) + j, saved.row_stride);
    kernel.multiply(f.rows, f.cols, f.data, f.row_stride, to, a.row_stride, to, a.row_stride);
  });
}

#define CHAINRULE_INSTANTIATE(T)                                          \
  template void drop_inputs(const Dropout&, Index, Index, MatrixView<T>); \
  template void drop_units(const Dropout&, Index, Index, Activation, MatrixView<T>, MatrixView<T>);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
