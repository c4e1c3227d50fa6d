#include "train/line_search.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace chainrule {
namespace {

constexpr double decrease = 1e-4, curvature = 0.9;  // the constants c1 and c2 of the two Wolfe conditions

// The minimum within [low, high] of the cubic through two points and their slopes.
template <class T>
double cubic_minimum(const SearchPoint<T>& p, const SearchPoint<T>& q, double low, double high) {
  const SearchPoint<T>&a = p.length <= q.length ? p : q, &b = p.length <= q.length ? q : p;
  const double d1 = a.slope + b.slope - 3 * (a.cost - b.cost) / (a.length - b.length);
  const double square = d1 * d1 - a.slope * b.slope;
  if (!(square >= 0)) return (low + high) / 2;
  const double d2 = std::sqrt(square);
  const double minimum = b.length - (b.length - a.length) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2));
  return std::min(std::max(minimum, low), high);
}

}  // namespace

template <class T>
SearchPoint<T> search_line(const SearchPoint<T>& start, double length, const SearchLimits& limits,
                           const Evaluate<T>& evaluate) {
  int evaluations = 0;
  const auto try_length = [&](double at) {
    SearchPoint<T> point{at, 0, 0, {}};
    evaluate(point);
    return point;
  };
  const auto too_high = [&](const SearchPoint<T>& p) {  // true for NaN
    return !(p.cost <= start.cost + decrease * p.length * start.slope);
  };
  const auto is_lower = [](const SearchPoint<T>& p, const SearchPoint<T>& q) {
    return p.cost < q.cost || std::isnan(q.cost);
  };
  const auto flat = [&](const SearchPoint<T>& p) { return std::abs(p.slope) <= -curvature * start.slope; };

  // Move outward until the last two points bracket a minimum.
  SearchPoint<T> before = start, point = try_length(length);
  for (; evaluations < limits.evaluations; ++evaluations) {
    if (too_high(point) || (evaluations > 1 && point.cost >= before.cost)) break;
    if (flat(point)) return point;
    if (point.slope >= 0) break;
    const double next =
        cubic_minimum(before, point, point.length + 0.01 * (point.length - before.length), 10 * point.length);
    before = std::exchange(point, SearchPoint<T>{});
    point = try_length(next);
  }
  if (evaluations == limits.evaluations) before = start;

  // Move inward. `low`, the end of the bracket with the lower cost, is the best point so far.
  SearchPoint<T> low = std::move(before), high = std::move(point);
  if (is_lower(high, low)) std::swap(low, high);
  bool slow = false;  // true if the last trial was close to an end of the bracket
  for (; evaluations < limits.evaluations; ++evaluations) {
    const double left = std::min(low.length, high.length), right = std::max(low.length, high.length);
    if ((right - left) * limits.largest < limits.tolerance) break;
    double at = cubic_minimum(low, high, left, right);
    const double margin = 0.1 * (right - left);
    const bool close = std::min(right - at, at - left) < margin;
    if (close && (slow || at >= right || at <= left)) {
      at = std::abs(at - right) < std::abs(at - left) ? right - margin : left + margin;
      slow = false;
    } else {
      slow = close;
    }
    SearchPoint<T> trial = try_length(at);
    if (too_high(trial) || trial.cost >= low.cost) {
      high = std::move(trial);
      if (is_lower(high, low)) std::swap(low, high);
      continue;
    }
    const bool done = flat(trial), beyond = trial.slope * (high.length - low.length) >= 0;
    if (!done && beyond) high = std::move(low);
    low = std::move(trial);
    if (done) break;
  }
  return low;
}

template SearchPoint<float> search_line(const SearchPoint<float>&, double, const SearchLimits&, const Evaluate<float>&);
template SearchPoint<double> search_line(const SearchPoint<double>&, double, const SearchLimits&,
                                         const Evaluate<double>&);

}  // namespace chainrule
