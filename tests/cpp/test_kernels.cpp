// Compares losses, activations, reductions and updates of every ISA with naive implementations in double precision.
#include <array>

#include "core/buffer.h"
#include "support.h"

namespace chainrule::test {
namespace {

template <class T>
double tolerance() {
  return sizeof(T) == 4 ? 2e-6 : 1e-14;
}
template <class T>
void close(T got, double expected, double scale = 1) {
  CHECK(std::abs(static_cast<double>(got) - expected) <= tolerance<T>() * (scale + std::abs(expected)));
}

// The naive losses: value and gradient for one row of logits.
struct RowLoss {
  double value;
  std::vector<double> dz;
};

RowLoss naive_loss(Loss loss, const std::vector<double>& z, std::vector<double> y,
                   const std::vector<double>& parameters) {
  RowLoss r{0, std::vector<double>(z.size())};
  double max = z[0], sum = 0, total = 0;
  for (const double v : z) max = std::max(max, v);
  for (std::size_t j = 0; j < z.size(); ++j) {
    sum += std::exp(z[j] - max);
    if (loss == Loss::softmax_cross_entropy) y[j] += parameters[0] * (1 / static_cast<double>(z.size()) - y[j]);
    total += y[j];
  }
  for (std::size_t j = 0; j < z.size(); ++j) {
    const double d = z[j] - y[j];
    switch (loss) {
      case Loss::binary_cross_entropy:
        r.value += std::max(z[j], 0.0) - y[j] * z[j] + std::log1p(std::exp(-std::abs(z[j])));
        r.dz[j] = 1 / (1 + std::exp(-z[j])) - y[j];
        break;
      case Loss::softmax_cross_entropy:
        if (y[j] != 0) r.value += y[j] * (std::log(sum) + max - z[j]);
        r.dz[j] = total * std::exp(z[j] - max) / sum - y[j];
        break;
      case Loss::squared_error:
        r.value += d * d / 2;
        r.dz[j] = d;
        break;
      case Loss::absolute_error:
        r.value += std::abs(d);
        r.dz[j] = d > 0 ? 1 : -1;
        break;
      case Loss::huber:
        r.value += std::abs(d) <= parameters[0] ? d * d / 2 : parameters[0] * (std::abs(d) - parameters[0] / 2);
        r.dz[j] = std::clamp(d, -parameters[0], parameters[0]);
        break;
      case Loss::quantile:
        r.value += std::max((1 - parameters[j]) * d, -parameters[j] * d);
        r.dz[j] = d > 0 ? 1 - parameters[j] : -parameters[j];
        break;
      case Loss::poisson:
        r.value += std::exp(z[j]) - y[j] * z[j] + (y[j] > 0 ? y[j] * std::log(y[j]) : 0) - y[j];
        r.dz[j] = std::exp(z[j]) - y[j];
        break;
      case Loss::gamma:
        r.value += z[j] - std::log(y[j]) + y[j] * std::exp(-z[j]) - 1;
        r.dz[j] = 1 - y[j] * std::exp(-z[j]);
        break;
      case Loss::tweedie: {
        const double a = 2 - parameters[0], b = 1 - parameters[0];
        r.value += std::exp(a * z[j]) / a - y[j] * std::exp(b * z[j]) / b + std::pow(y[j], a) / (a * b);
        r.dz[j] = std::exp(a * z[j]) - y[j] * std::exp(b * z[j]);
      }
    }
  }
  return r;
}

template <class T>
void losses(Loss loss, Index m, Index n, double spread, bool labeled) {
  const Index ldz = n == 1 ? 1 : n + 2;
  std::vector<T> z = random_values<T>(m * ldz, 5), y = random_values<T>(m * n, 6), w = random_values<T>(m, 7);
  std::vector<std::int32_t> labels;
  for (T& v : z) v *= static_cast<T>(spread);
  for (T& v : y) v = std::abs(v);
  for (T& v : w) v = std::abs(v);
  if (labeled)
    for (Index i = 0; i < m; ++i) {
      labels.push_back(static_cast<std::int32_t>(i * 7 % n));
      for (Index j = 0; j < n; ++j) y[static_cast<std::size_t>(i * n + j)] = j == labels.back();
    }
  std::vector<T> value(static_cast<std::size_t>(m)), dz(z);
  Buffer<T> scratch(2 * n * kernels<T>().lanes);
  const T scale = T(0.25);
  LossRows<T> rows{.m = m, .n = n};
  rows.z = rows.dz = dz.data();
  rows.ldz = rows.lddz = ldz;
  rows.y = labeled ? nullptr : y.data();
  rows.ldy = n;
  rows.labels = labeled ? labels.data() : nullptr;
  rows.weight = w.data();
  rows.scale = scale;
  rows.value = value.data();
  rows.scratch = scratch.data();
  // The parameter of the loss: above 1 for tweedie, below 1 for the others, and one per output for quantile.
  std::vector<double> given(static_cast<std::size_t>(n), loss == Loss::tweedie ? 1.25 : 0.25);
  for (std::size_t j = 1; j < given.size(); ++j) given[j] = 0.9 / static_cast<double>(j);
  const std::vector<T> parameters(given.begin(), given.end());
  rows.parameters = parameters.data();
  kernels<T>().loss[static_cast<int>(loss)](rows);
  for (Index i = 0; i < m; ++i) {
    const auto at = static_cast<std::size_t>(i);
    std::vector<double> zi, yi;
    for (Index j = 0; j < n; ++j) {
      zi.push_back(static_cast<double>(z[static_cast<std::size_t>(i * ldz + j)]));
      yi.push_back(static_cast<double>(y[static_cast<std::size_t>(i * n + j)]));
    }
    const RowLoss expected = naive_loss(loss, zi, yi, given);
    const auto weight = static_cast<double>(w[at]);
    close(value[at], weight * expected.value, spread * static_cast<double>(n));
    for (Index j = 0; j < n; ++j)
      close(dz[static_cast<std::size_t>(i * ldz + j)], 0.25 * weight * expected.dz[static_cast<std::size_t>(j)],
            spread);
    for (Index j = n; j < ldz; ++j)
      CHECK(dz[static_cast<std::size_t>(i * ldz + j)] == z[static_cast<std::size_t>(i * ldz + j)]);
  }
}

constexpr double pi = 3.14159265358979323846;
constexpr double s = 1.0507009873554804934193349852946, alpha = 1.6732632423543772848170429916717;  // of selu
double normal(double v) { return std::erfc(-v / std::sqrt(2)) / 2; }
double gelu_t(double v) { return std::tanh(std::sqrt(2 / pi) * (v + 0.044715 * v * v * v)); }
double mish_t(double v) { return std::tanh(std::log1p(std::exp(v))); }

template <class T>
void activations() {
  const Index m = 3, n = 2 * kernels<T>().lanes + 3;
  std::vector<T> z = random_values<T>(m * n, 8), a(z), da = random_values<T>(m * n, 9), dz(z);
  for (T& v : z) v *= 6;
  struct Formula {
    Activation activation;
    double (*value)(double);
    double (*slope)(double z);
  };
  const Formula formulas[] = {
      {Activation::identity, [](double v) { return v; }, [](double) { return 1.0; }},
      {Activation::logistic, [](double v) { return 1 / (1 + std::exp(-v)); },
       [](double v) { return std::exp(-std::abs(v)) / std::pow(1 + std::exp(-std::abs(v)), 2); }},
      {Activation::tanh, [](double v) { return std::tanh(v); }, [](double v) { return std::pow(std::cosh(v), -2); }},
      {Activation::relu, [](double v) { return std::max(v, 0.0); }, [](double v) { return v > 0 ? 1.0 : 0.0; }},
      {Activation::leaky_relu, [](double v) { return v > 0 ? v : 0.01 * v; },
       [](double v) { return v > 0 ? 1 : 0.01; }},
      {Activation::elu, [](double v) { return v > 0 ? v : std::expm1(v); },
       [](double v) { return v > 0 ? 1 : std::exp(v); }},
      {Activation::selu, [](double v) { return s * (v > 0 ? v : alpha * std::expm1(v)); },
       [](double v) { return s * (v > 0 ? 1 : alpha * std::exp(v)); }},
      {Activation::gelu, [](double v) { return v * normal(v); },
       [](double v) { return normal(v) + v * std::exp(-v * v / 2) / std::sqrt(2 * pi); }},
      {Activation::gelu_tanh, [](double v) { return v * (1 + gelu_t(v)) / 2; },
       [](double v) {
         return (1 + gelu_t(v) + v * (1 - std::pow(gelu_t(v), 2)) * std::sqrt(2 / pi) * (1 + 3 * 0.044715 * v * v)) / 2;
       }},
      {Activation::silu, [](double v) { return v / (1 + std::exp(-v)); },
       [](double v) { return (1 + v / (1 + std::exp(v))) / (1 + std::exp(-v)); }},
      {Activation::softplus, [](double v) { return std::log1p(std::exp(v)); },
       [](double v) { return 1 / (1 + std::exp(-v)); }},
      {Activation::mish, [](double v) { return v * mish_t(v); },
       [](double v) { return mish_t(v) + v * (1 - std::pow(mish_t(v), 2)) / (1 + std::exp(-v)); }},
      {Activation::hard_tanh, [](double v) { return std::clamp(v, -1.0, 1.0); },
       [](double v) { return std::abs(v) < 1 ? 1.0 : 0.0; }},
      {Activation::sin, [](double v) { return std::sin(v); }, [](double v) { return std::cos(v); }},
      {Activation::softsign, [](double v) { return v / (1 + std::abs(v)); },
       [](double v) { return std::pow(1 + std::abs(v), -2); }},
  };
  static_assert(std::size(formulas) == activation_count);
  for (const Formula& f : formulas) {
    const int index = static_cast<int>(f.activation);
    kernels<T>().activate[index](m, n - 1, z.data(), n, a.data(), n);
    const T* saved = slope_reads_z(f.activation) ? z.data() : a.data();
    kernels<T>().activate_backward[index](m, n - 1, saved, n, da.data(), n, dz.data(), n);
    for (Index i = 0; i < m; ++i)
      for (Index j = 0; j < n - 1; ++j) {
        const auto at = static_cast<std::size_t>(i * n + j);
        const auto v = static_cast<double>(z[at]);
        close(a[at], f.value(v));
        close(dz[at], static_cast<double>(da[at]) * f.slope(v));
      }
    if (!slope_reads_z(f.activation)) continue;
    std::vector<T> slope = z, value(z.size());
    kernels<T>().activate_with_slope[index](m, n - 1, slope.data(), n, value.data(), n);
    for (Index i = 0; i < m; ++i)
      for (Index j = 0; j < n; ++j) {
        const auto at = static_cast<std::size_t>(i * n + j);
        CHECK(j == n - 1 ? slope[at] == z[at] && value[at] == 0 : value[at] == a[at] && da[at] * slope[at] == dz[at]);
      }
  }
}

template <class T>
void reductions(Index m, Index n) {
  std::vector<T> x = random_values<T>(m * (n + 1), 10), sums(static_cast<std::size_t>(n), T(1));
  const std::vector<T> last = random_values<T>(n + 1, 11);
  const T* addends[] = {last.data() + 1, sums.data()};
  kernels<T>().column_sums(m, n, x.data(), n + 1, sums.data(), {addends, 2, 0});
  for (Index j = 0; j < n; ++j) {
    T expected = 0;
    for (Index i = 0; i < m; ++i) expected += x[static_cast<std::size_t>(i * (n + 1) + j)];
    CHECK(sums[static_cast<std::size_t>(j)] == T(1) + (last[static_cast<std::size_t>(j + 1)] + expected));
  }
  double sum = 0, squares = 0;
  for (const T v : x) {
    sum += static_cast<double>(v);
    squares += static_cast<double>(v) * static_cast<double>(v);
  }
  const auto count = static_cast<Index>(x.size());
  CHECK(std::abs(kernels<T>().sum(count, x.data()) - sum) < 1e-12 * static_cast<double>(count));
  CHECK(std::abs(kernels<T>().sum_of_squares(count, x.data()) - squares) < 1e-12 * static_cast<double>(count));
}

template <class T, class Optimizer>
const OptimizerPass<T, Optimizer>& pass() {
  return kernels<T>().optimizers;
}

template <class T>
void updates(Index n) {
  const std::vector<T> g = random_values<T>(n, 11), start = random_values<T>(n, 12);
  for (const bool nesterov : {false, true}) {
    std::vector<T> p(start), velocity(start);
    std::vector<double> pd(start.begin(), start.end()), vd(pd);
    for (const bool first : {true, false}) {
      pass<T, Sgd>().apply({n}, {.rate = T(0.1), .momentum = T(0.9), .nesterov = nesterov, .first = first}, {},
                           g.data(), {velocity.data()}, p.data());
      for (std::size_t i = 0; i < g.size(); ++i) {
        const auto gi = static_cast<double>(g[i]);
        vd[i] = first ? gi : 0.9 * vd[i] + gi;
        pd[i] -= 0.1 * (nesterov ? gi + 0.9 * vd[i] : vd[i]);
        close(p[i], pd[i]);
      }
    }
  }
  std::vector<T> p(start), m(start.size()), v(start.size());
  std::vector<double> pd(start.begin(), start.end()), md(start.size()), vd(start.size());
  for (int t = 1; t <= 3; ++t) {
    const double correction1 = 1 - std::pow(0.9, t), correction2 = 1 - std::pow(0.99, t);
    pass<T, Adam>().apply({n},
                          {.rate = static_cast<T>(0.01 / correction1),
                           .one_minus_beta1 = T(0.1),
                           .beta2 = T(0.99),
                           .one_minus_beta2 = static_cast<T>(0.01),
                           .root_scale = static_cast<T>(1 / std::sqrt(correction2)),
                           .epsilon = T(1e-8)},
                          {}, g.data(), {m.data(), v.data()}, p.data());
    for (std::size_t i = 0; i < g.size(); ++i) {
      const auto gi = static_cast<double>(g[i]);
      md[i] = 0.9 * md[i] + 0.1 * gi;
      vd[i] = 0.99 * vd[i] + 0.01 * gi * gi;
      pd[i] -= 0.01 * md[i] / correction1 / (std::sqrt(vd[i] / correction2) + 1e-8);
      close(p[i], pd[i]);
    }
  }
}

// Scaling and clipping of gradients, decay of parameters, and the sums from which norms are computed.
template <class T>
void clipping_decay_and_norms(Index n) {
  const std::vector<T> g = random_values<T>(n, 13), start = random_values<T>(n, 14);
  std::vector<T> p(start), mean(start);
  pass<T, Sgd>().apply({n}, {.rate = T(0.5), .keep = T(0.75)}, {T(0.5), T(0.25)}, g.data(), {}, p.data());
  kernels<T>().average({n}, T(0.25), g.data(), mean.data());
  double dot = 0;
  std::vector<double> squares(static_cast<std::size_t>(n));
  kernels<T>().column_squares(1, n, g.data(), n, squares.data());
  for (std::size_t i = 0; i < g.size(); ++i) {
    const auto gi = static_cast<double>(g[i]), pi = static_cast<double>(start[i]);
    close(p[i], 0.75 * pi - 0.5 * std::clamp(0.5 * gi, -0.25, 0.25));
    close(mean[i], 0.75 * pi + 0.25 * gi);
    CHECK(squares[i] == gi * gi);
    dot += gi * pi;
  }
  CHECK(std::abs(kernels<T>().dot(n, g.data(), start.data()) - dot) < 1e-12 * static_cast<double>(n));
}

template <class T>
void all() {
  const Index lanes = kernels<T>().lanes;
  for (const Index m : {Index{1}, lanes - 1, lanes, 2 * lanes + 3})
    for (const Index n : {Index{1}, Index{2}, Index{10}, lanes, lanes + 1, 3 * lanes - 1})
      for (int loss = 0; loss < loss_count; ++loss)
        for (const double spread : {1.0, loss_traits[loss].output == Output::exp ? 2.0 : 40.0}) {
          losses<T>(static_cast<Loss>(loss), m, n, spread, false);
          if (static_cast<Loss>(loss) == Loss::softmax_cross_entropy)
            losses<T>(static_cast<Loss>(loss), m, n, spread, true);
        }
  activations<T>();
  for (const Index n : {Index{1}, lanes, 2 * lanes + 1}) {
    reductions<T>(37, n);
    updates<T>(n);
    clipping_decay_and_norms<T>(n);
  }
}

}  // namespace
}  // namespace chainrule::test

int main() {
  using namespace chainrule::test;
  for_each_isa([] {
    all<float>();
    all<double>();
  });
  return check::finish("test_kernels");
}
