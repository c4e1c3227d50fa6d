// Passes over flat vectors: the optimizers' updates (Robbins & Monro 1951, Polyak 1964, Nesterov 1983, Kingma & Ba
// 2015; semantics of PyTorch's), and the sums that norms and costs are made of.
#pragma once

#include "kernels.h"
#include "map.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

// Calls visit(place, read, write) for all vectors of a region; read and write know how much of one is inside.
template <class T, class Visit>
inline void for_vectors(Region r, Visit visit) {
  constexpr Index L = lanes<T>;
  for (Index i = 0; i < r.m; ++i) {
    const Index begin = i * r.stride;
    Index j = 0;
    for (; j + L <= r.n; j += L)
      visit(begin + j, [](const T* p) { return load(p); }, [](T* p, Vec<T> v) { store(p, v); });
    if (j == r.n) continue;
    const Tail<T> tail(r.n - j);
    visit(begin + j, [tail](const T* p) { return load(p, tail); }, [tail](T* p, Vec<T> v) { store(p, v, tail); });
  }
}

// velocity = momentum velocity + g; p = p - learning_rate (velocity, or g + momentum velocity if nesterov).
template <class T>
void sgd(Region region, const SgdUpdate<T>& u, const T* gradient, T* velocity, T* parameters) {
  const Vec<T> rate = splat(-u.learning_rate), momentum = splat(u.momentum);
  if (velocity == nullptr)
    return for_vectors<T>(region, [=](Index j, auto read, auto write) {
      write(parameters + j, fma(rate, read(gradient + j), read(parameters + j)));
    });
  for_vectors<T>(region, [=](Index j, auto read, auto write) {
    const Vec<T> g = read(gradient + j), v = u.first ? g : fma(momentum, read(velocity + j), g);
    write(velocity + j, v);
    write(parameters + j, fma(rate, u.nesterov ? fma(momentum, v, g) : v, read(parameters + j)));
  });
}

// m = m + (1 - beta1)(g - m); v = beta2 v + (1 - beta2) g²; p = p - step_size m / (root_scale sqrt(v) + epsilon).
template <class T>
void adam(Region region, const AdamUpdate<T>& u, const T* gradient, T* m, T* v, T* parameters) {
  const Vec<T> first = splat(u.one_minus_beta1), beta2 = splat(u.beta2), epsilon = splat(u.epsilon),
               root_scale = splat(u.root_scale), step_size = splat(-u.step_size);
  for_vectors<T>(region, [=](Index j, auto read, auto write) {
    const Vec<T> g = read(gradient + j), old = read(m + j), mean = fma(first, g - old, old);
    const Vec<T> square = fma(beta2, read(v + j), u.one_minus_beta2 * g * g);
    write(m + j, mean);
    write(v + j, square);
    write(parameters + j, fma(step_size, mean / fma(root_scale, sqrt(square), epsilon), read(parameters + j)));
  });
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
