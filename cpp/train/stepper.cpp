#include "train/stepper.h"

#include <algorithm>

#include "net/sums.h"
#include "train/lbfgs.h"
#include "train/sliced.h"
#include "train/two_phase.h"

namespace chainrule {

namespace {

// The largest batch from a RowReader for which Sliced is used, because it needs all rows of a batch in memory.
constexpr Index max_rows_read = 8192;

// True if the sliced schedule supports the model and the options.
template <class T>
bool is_plain(const Model<T>& model, const FitOptions<T>& options) {
  const bool keeps_z = std::ranges::any_of(model.layers, slope_reads_z, &Layer<T>::activation);
  const bool drops = dropout_for(model, options).drops();
  const bool simple = std::holds_alternative<Sgd>(options.optimizer) || std::holds_alternative<Adam>(options.optimizer);
  return simple && !options.source && has_plain_updates(options) && !drops && model.precision == Precision::float32 &&
         !model.sparse_inputs && model.custom_loss == nullptr && !model.missing_targets && !keeps_z;
}

}  // namespace

template <class T>
std::unique_ptr<Stepper<T>> make_stepper(const Model<T>& model, T* parameters, Index batch_rows,
                                         const FitOptions<T>& options) {
  if (std::holds_alternative<Lbfgs>(options.optimizer))
    return std::make_unique<LbfgsSteps<T>>(model, parameters, batch_rows, options);
  if (is_small(model) && is_plain(model, options) && !(model.reads_inputs && batch_rows > max_rows_read))
    return std::make_unique<Sliced<T>>(model, parameters, batch_rows, options);
  return std::make_unique<TwoPhase<T>>(model, parameters, batch_rows, options);
}

template std::unique_ptr<Stepper<float>> make_stepper(const Model<float>&, float*, Index, const FitOptions<float>&);
template std::unique_ptr<Stepper<double>> make_stepper(const Model<double>&, double*, Index, const FitOptions<double>&);

}  // namespace chainrule
