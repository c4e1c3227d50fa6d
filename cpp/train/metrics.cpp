#include "train/metrics.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "core/check.h"
#include "net/sums.h"

namespace chainrule {
namespace {

constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

// Predictions with their targets and weights.
template <class T>
struct Table {
  MatrixView<const T> predictions;
  const Examples<T>& examples;
  const Index* rows;

  Index row(Index i) const { return rows != nullptr ? rows[i] : i; }
  double weight(Index i) const {
    return examples.weights != nullptr ? static_cast<double>(examples.weights[row(i)]) : 1.0;
  }
  double prediction(Index i, Index j) const { return static_cast<double>(predictions(i, j)); }
  double target(Index i, Index j) const {
    const Targets<T>& targets = examples.targets;
    if (targets.labels != nullptr) return targets.labels[row(i)] == j ? 1 : 0;
    return static_cast<double>(targets.values(row(i), j));
  }
  Index outputs() const { return predictions.cols; }
  // False for a missing target; see Targets.
  bool is_present(Index i, Index j) const { return !examples.targets.missing || !std::isnan(target(i, j)); }
  // The number of targets in a row.
  Index count(Index i) const {
    if (!examples.targets.missing) return outputs();
    Index present = 0;
    for (Index j = 0; j < outputs(); ++j) present += is_present(i, j);
    return present;
  }
  // (Σ_i w_i f(i)) / Σ_i w_i over the rows with at least one target
  template <class Function>
  double mean(Function f) const {
    return mean_where([&](Index i) { return count(i) > 0; }, f);
  }
  // The same over the rows with target j.
  template <class Function>
  double mean(Index j, Function f) const {
    return mean_where([&](Index i) { return is_present(i, j); }, f);
  }
  template <class Function>
  double mean_where(auto chosen, Function f) const {
    double sum = 0, total = 0;
    for (Index i = 0; i < predictions.rows; ++i) {
      if (!chosen(i)) continue;
      sum += weight(i) * f(i);
      total += weight(i);
    }
    return sum / total;
  }
  template <class Function>
  double mean_of_outputs(Function f) const {
    double sum = 0;
    for (Index j = 0; j < outputs(); ++j) sum += f(j);
    return sum / static_cast<double>(outputs());
  }
};

// The class of a row: the output with the largest value or, if there is a single output, 1 if its value is above 0.5
// and 0 otherwise.
template <class Value>
Index class_of(Index outputs, Value value) {
  if (outputs == 1) return value(0) > 0.5;
  Index best = 0;
  for (Index j = 1; j < outputs; ++j)
    if (value(j) > value(best)) best = j;
  return best;
}

template <class T>
Index predicted_class(const Table<T>& t, Index i) {
  return class_of(t.outputs(), [&](Index j) { return t.prediction(i, j); });
}
template <class T>
Index true_class(const Table<T>& t, Index i) {
  return class_of(t.outputs(), [&](Index j) { return t.target(i, j); });
}

double square(double x) { return x * x; }

bool has_labels(Loss loss, Index outputs) { return traits_of(loss).output == Output::logistic && outputs > 1; }

// Each score is a function with the name of the score.

template <class T>
double accuracy(const Table<T>& t, Loss loss) {
  return t.mean([&](Index i) {
    if (!has_labels(loss, t.outputs())) return predicted_class(t, i) == true_class(t, i);
    for (Index j = 0; j < t.outputs(); ++j)
      if (t.is_present(i, j) && (t.prediction(i, j) > 0.5) != (t.target(i, j) > 0.5)) return false;
    return true;
  });
}

// The mean recall of the classes. If there are several labels, each label counts as two classes.
template <class T>
double balanced_accuracy(const Table<T>& t, Loss loss) {
  const bool labels = has_labels(loss, t.outputs());
  const Index classes = t.outputs() == 1 ? 2 : t.outputs();
  const auto size = static_cast<std::size_t>(labels ? 2 * t.outputs() : classes);
  std::vector<double> found(size), all(size);
  const auto count = [&](Index true_place, Index predicted_place, double weight) {
    all[static_cast<std::size_t>(true_place)] += weight;
    if (true_place == predicted_place) found[static_cast<std::size_t>(true_place)] += weight;
  };
  for (Index i = 0; i < t.predictions.rows; ++i) {
    if (!labels) count(true_class(t, i), predicted_class(t, i), t.weight(i));
    for (Index j = 0; labels && j < t.outputs(); ++j)
      if (t.is_present(i, j)) count(2 * j + (t.target(i, j) > 0.5), 2 * j + (t.prediction(i, j) > 0.5), t.weight(i));
  }
  double sum = 0, present = 0;
  for (std::size_t c = 0; c < size; ++c)
    if (all[c] > 0) sum += found[c] / all[c], ++present;
  return sum / present;
}

template <class T>
double log_loss(const Table<T>& t, Loss loss) {
  const bool of_labels = traits_of(loss).output == Output::logistic;
  // Uses the kernels' log, because C libraries differ and this score may determine the best epoch.
  const auto minus_log = [](double p) {
    double x = std::max(p, static_cast<double>(std::numeric_limits<T>::epsilon())), y;
    kernels<double>().log(1, &x, &y);
    return -y;
  };
  double total = 0, weight = 0;
  for (Index i = 0; i < t.predictions.rows; ++i) {
    double sum = 0;
    for (Index j = 0; j < t.outputs(); ++j) {
      if (!t.is_present(i, j)) continue;
      const double p = t.prediction(i, j), y = t.target(i, j);
      if (y > 0) sum += y * minus_log(p);
      if (of_labels && y < 1) sum += (1 - y) * minus_log(1 - p);
    }
    const double outputs = static_cast<double>(t.outputs());
    total += t.weight(i) * (of_labels ? sum / outputs : sum);
    weight += t.weight(i) * (static_cast<double>(t.count(i)) / outputs);
  }
  return total / weight;
}

// Calls visit(in, out) for each distinct prediction in order. in: the weight of its rows of class j. out: the weight of
// its other rows.
template <class T, class Order, class Visit>
void for_ties(const Table<T>& t, Index j, Order before, Visit visit) {
  std::vector<Index> order;
  for (Index i = 0; i < t.predictions.rows; ++i)
    if (t.is_present(i, j)) order.push_back(i);
  std::ranges::sort(order, before, [&](Index i) { return t.prediction(i, j); });
  for (auto tie = order.begin(); tie != order.end();) {
    double in = 0, out = 0;
    const double value = t.prediction(*tie, j);
    for (; tie != order.end() && !before(value, t.prediction(*tie, j)); ++tie)
      (t.target(*tie, j) > 0.5 ? in : out) += t.weight(*tie);
    visit(in, out);
  }
}

// The probability that a row of the class has a higher prediction than a row of another class; ties count as one half.
template <class T>
double auc(const Table<T>& t, Loss) {
  return t.mean_of_outputs([&](Index j) {
    double pairs = 0, below = 0, positives = 0;
    for_ties(t, j, std::less(), [&](double in, double out) {
      pairs += in * (below + out / 2);
      below += out;
      positives += in;
    });
    return positives > 0 && below > 0 ? pairs / (positives * below) : undefined;
  });
}

// The mean, over the rows of the class, of the precision among all rows whose prediction is at least as high.
template <class T>
double average_precision(const Table<T>& t, Loss) {
  return t.mean_of_outputs([&](Index j) {
    double sum = 0, positives = 0, above = 0;
    for_ties(t, j, std::greater(), [&](double in, double out) {
      positives += in;
      above += in + out;
      if (in > 0) sum += in * (positives / above);
    });
    return positives > 0 ? sum / positives : undefined;
  });
}

// Undefined if all targets with a weight above 0 are equal, because there is no variance to explain.
template <class T>
double r2(const Table<T>& t, Loss) {
  return t.mean_of_outputs([&](Index j) {
    double lowest = std::numeric_limits<double>::infinity(), highest = -lowest;
    for (Index i = 0; i < t.predictions.rows; ++i) {
      if (t.weight(i) == 0 || !t.is_present(i, j)) continue;
      lowest = std::min(lowest, t.target(i, j));
      highest = std::max(highest, t.target(i, j));
    }
    if (lowest == highest) return undefined;
    const double center = t.mean(j, [&](Index i) { return t.target(i, j); });
    const double error = t.mean(j, [&](Index i) { return square(t.target(i, j) - t.prediction(i, j)); });
    const double spread = t.mean(j, [&](Index i) { return square(t.target(i, j) - center); });
    return 1 - error / spread;
  });
}

template <class T>
double mae(const Table<T>& t, Loss) {
  return t.mean_of_outputs(
      [&](Index j) { return t.mean(j, [&](Index i) { return std::abs(t.target(i, j) - t.prediction(i, j)); }); });
}

template <class T>
double rmse(const Table<T>& t, Loss) {
  return t.mean_of_outputs([&](Index j) {
    return std::sqrt(t.mean(j, [&](Index i) { return square(t.target(i, j) - t.prediction(i, j)); }));
  });
}

// For targets near 0, the denominator is scikit-learn's minimum.
template <class T>
double mape(const Table<T>& t, Loss) {
  return t.mean_of_outputs([&](Index j) {
    return t.mean(j, [&](Index i) {
      const double y = t.target(i, j);
      return std::abs(y - t.prediction(i, j)) / std::max(std::abs(y), std::numeric_limits<double>::epsilon());
    });
  });
}

}  // namespace

template <class T>
double score(Score score, Loss loss, MatrixView<const T> predictions, const Examples<T>& examples, const Index* rows) {
#define CHAINRULE_ENTRY(name, ...) name<T>,
  static constexpr double (*functions[])(const Table<T>&, Loss) = {CHAINRULE_SCORES(CHAINRULE_ENTRY)};
#undef CHAINRULE_ENTRY
  return functions[static_cast<int>(score)]({predictions, examples, rows}, loss);
}

void check_score(Score score, Loss loss) {
  require(traits_of(loss).of_classes() || !traits_of(score).of_classes, "the metric ",
          score_names[static_cast<int>(score)], " is for classes, the loss ", loss_names[static_cast<int>(loss)],
          " is not");
}

template double score(Score, Loss, MatrixView<const float>, const Examples<float>&, const Index*);
template double score(Score, Loss, MatrixView<const double>, const Examples<double>&, const Index*);

}  // namespace chainrule
