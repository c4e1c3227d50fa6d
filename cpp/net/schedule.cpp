#include "net/schedule.h"

#include <algorithm>

#include "net/pass.h"
#include "net/sliced.h"
#include "net/two_phase.h"

namespace chainrule {

template <class T>
std::unique_ptr<Schedule<T>> make_schedule(const Model<T>& model, T* parameters, Index batch_rows,
                                           const OptimizerOptions& optimizer, double l2, int threads) {
  const bool keeps_z = std::any_of(model.layers.begin(), model.layers.end(), slope_reads_z<T>);
  if (is_small(model) && model.precision == Precision::float32 && !model.sparse_inputs && !keeps_z)
    return std::make_unique<Sliced<T>>(model, parameters, batch_rows, optimizer, l2, threads);
  return std::make_unique<TwoPhase<T>>(model, parameters, batch_rows, optimizer, l2, threads);
}

template std::unique_ptr<Schedule<float>> make_schedule(const Model<float>&, float*, Index, const OptimizerOptions&,
                                                        double, int);
template std::unique_ptr<Schedule<double>> make_schedule(const Model<double>&, double*, Index, const OptimizerOptions&,
                                                         double, int);

}  // namespace chainrule
