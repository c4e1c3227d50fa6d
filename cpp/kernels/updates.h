// Passes over flat vectors: the optimizers' updates (Robbins & Monro 1951, Polyak 1964, Nesterov 1983, Kingma & Ba
// 2015; semantics of PyTorch's), and the sums that norms and costs are made of.
#pragma once

#include "kernels.h"
#include "map.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

// velocity = momentum velocity + g; p = p - learning_rate (velocity, or g + momentum velocity if nesterov).
template <class T>
void sgd(Index n, const SgdUpdate<T>& u, const T* gradient, T* velocity, T* parameters) {
  const Vec<T> rate = splat(-u.learning_rate), momentum = splat(u.momentum);
  if (velocity == nullptr) {
    map_vector(n, [=](Vec<T> g, Vec<T> p) { return fma(rate, g, p); }, parameters, gradient, parameters);
    return;
  }
  const auto step = [&](Vec<T> g, Vec<T> v, Vec<T> p, auto write) {
    v = u.first ? g : fma(momentum, v, g);
    write(v, fma(rate, u.nesterov ? fma(momentum, v, g) : v, p));
  };
  Index j = 0;
  for (; j + lanes<T> <= n; j += lanes<T>)
    step(load(gradient + j), load(velocity + j), load(parameters + j), [&](Vec<T> v, Vec<T> p) {
      store(velocity + j, v);
      store(parameters + j, p);
    });
  if (j < n) {
    const Tail<T> tail(n - j);
    step(load(gradient + j, tail), load(velocity + j, tail), load(parameters + j, tail), [&](Vec<T> v, Vec<T> p) {
      store(velocity + j, v, tail);
      store(parameters + j, p, tail);
    });
  }
}

// m = m + (1 - beta1)(g - m); v = beta2 v + (1 - beta2) g²; p = p - step_size m / (root_scale sqrt(v) + epsilon).
template <class T>
void adam(Index n, const AdamUpdate<T>& u, const T* gradient, T* m, T* v, T* parameters) {
  const Vec<T> first = splat(u.one_minus_beta1), beta2 = splat(u.beta2), epsilon = splat(u.epsilon),
               root_scale = splat(u.root_scale), step_size = splat(-u.step_size);
  const auto step = [=](Vec<T> g, Vec<T> mv, Vec<T> vv, Vec<T> p, auto write) {
    mv = fma(first, g - mv, mv);
    vv = fma(beta2, vv, u.one_minus_beta2 * g * g);
    write(mv, vv, fma(step_size, mv / fma(root_scale, sqrt(vv), epsilon), p));
  };
  Index j = 0;
  for (; j + lanes<T> <= n; j += lanes<T>)
    step(load(gradient + j), load(m + j), load(v + j), load(parameters + j), [&](Vec<T> mv, Vec<T> vv, Vec<T> p) {
      store(m + j, mv);
      store(v + j, vv);
      store(parameters + j, p);
    });
  if (j < n) {
    const Tail<T> tail(n - j);
    step(load(gradient + j, tail), load(m + j, tail), load(v + j, tail), load(parameters + j, tail),
         [&](Vec<T> mv, Vec<T> vv, Vec<T> p) {
           store(m + j, mv, tail);
           store(v + j, vv, tail);
           store(parameters + j, p, tail);
         });
  }
}

template <class T>
void axpy(Index n, T alpha, const T* x, T* y) {
  const Vec<T> factor = splat(alpha);
  map_vector(n, [=](Vec<T> xv, Vec<T> yv) { return fma(factor, xv, yv); }, y, x, y);
}

// The sum of f(x[j]) in double: element j belongs to chain j mod 16, and the chains are added as a tree, so the bits
// depend on n alone. No fma here: the square of a float is exact in double, and for double every ISA rounds the same.
template <class T, class F>
double chained_sum(Index n, const T* x, F f) {
  constexpr int chains = 16;
  double sum[chains] = {};
  Index j = 0;
  for (; j + chains <= n; j += chains)
    for (int c = 0; c < chains; ++c) sum[c] += f(static_cast<double>(x[j + c]));
  for (int c = 0; j + c < n; ++c) sum[c] += f(static_cast<double>(x[j + c]));
  for (int half = chains / 2; half > 0; half /= 2)
    for (int c = 0; c < half; ++c) sum[c] += sum[c + half];
  return sum[0];
}

template <class T>
double sum(Index n, const T* x) {
  return chained_sum(n, x, [](double v) { return v; });
}

template <class T>
double sum_of_squares(Index n, const T* x) {
  return chained_sum(n, x, [](double v) { return v * v; });
}

}  // namespace
}  // namespace chainrule::CHAINRULE_ISA
