#include "train/evaluation.h"

#include <cmath>

#include "core/dispatch.h"
#include "train/metrics.h"
#include "train/trainer.h"

namespace chainrule {

template <class T>
Evaluation<T>::Evaluation(const Model<T>& model, const FitOptions<T>& options)
    : options_(options),
      loss_(model.loss),
      backprop_(model, row_count(*options.validation, options.validation_rows), false, options.threads),
      count_(row_count(*options.validation, options.validation_rows)),
      predictions_(options.metrics.empty() ? 0 : checked_product(count_, model.outputs())),
      scratch_(model, 0),
      metrics_(options.metrics.size()) {
  if (predictions_.size() > 0)
    backprop_.store_logits(MatrixView<T>::contiguous(predictions_.data(), count_, model.outputs()));
}

template <class T>
void Evaluation<T>::run() {
  backprop_.repack();
  cost_ = backprop_.run(*options_.validation, rows(), count_, 0).mean;
  if (options_.validation->x.reader != nullptr) options_.validation->x.reader->release();
  if (!std::isfinite(cost_) || metrics_.empty()) return;
  const Index outputs = predictions_.size() / count_;
  T* p = predictions_.data();
  kernels<T>().predict[static_cast<int>(loss_)](count_, outputs, p, outputs, p, outputs, scratch_.loss.data());
  const auto predictions = MatrixView<const T>{p, count_, outputs, outputs, 1};
  for (std::size_t i = 0; i < metrics_.size(); ++i) {
    const Metric<T>& metric = options_.metrics[i];
    metrics_[i] = metric.function ? metric.function(predictions)
                                  : score(metric.score, loss_, predictions, *options_.validation, rows());
  }
}

template class Evaluation<float>;
template class Evaluation<double>;

}  // namespace chainrule
