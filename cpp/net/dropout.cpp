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

template <class T>
void drop_inputs(const Dropout& dropout, Index row, Index column, MatrixView<T> x) {
  kernels<T>().drop(dropout, x.rows, x.cols, row, column, x.data, x.row_stride, nullptr, 0);
}

template <class T>
void drop_units(const Dropout& dropout, Index row, Index column, Activation activation, MatrixView<T> a,
                MatrixView<T> slope) {
  const Kernels<T>& kernel = kernels<T>();
  constexpr Index rows = 8;  // eight rows share the words of a counter, and stay in the first-level cache
  for (Index i = 0, end; i < a.rows; i = end) {
    end = std::min(a.rows, i + rows - (row + i) % rows);
    const MatrixView<T> of_a = a.rows_between(i, end), of_slope = slope.rows_between(i, end);
    if (!slope_reads_z(activation)) {
      for (Index r = 0; r < of_slope.rows; ++r) std::fill_n(of_slope.row(r), of_slope.cols, T(1));
      kernel.activate_backward[static_cast<std::size_t>(activation)](of_a.rows, of_a.cols, of_a.data, of_a.row_stride,
                                                                     of_slope.data, of_slope.row_stride, of_slope.data,
                                                                     of_slope.row_stride);
    }
    kernel.drop(dropout, of_a.rows, of_a.cols, row + i, column, of_a.data, of_a.row_stride, of_slope.data,
                of_slope.row_stride);
  }
}

#define CHAINRULE_INSTANTIATE(T)                                          \
  template void drop_inputs(const Dropout&, Index, Index, MatrixView<T>); \
  template void drop_units(const Dropout&, Index, Index, Activation, MatrixView<T>, MatrixView<T>);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
