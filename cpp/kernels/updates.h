// Passes over flat vectors: the optimizers' updates (Robbins & Monro 1951, Polyak 1964, Nesterov 1983, Duchi et al.
// 2011, Tieleman & Hinton 2012, Graves 2013, Kingma & Ba 2015, Loshchilov & Hutter 2019, Chen et al. 2023, Defazio et
// al. 2024; with the semantics of PyTorch), and the sums from which norms and costs are computed.
#pragma once

#include "kernels.h"
#include "map.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

// Calls visit(place, g, read, write) for every vector of a region; g is the corresponding vector of the gradient. read
// and write access only the part of the vector that is inside the region.
template <class T, class Visit>
inline void for_vectors(Region r, const T* gradient, Visit visit) {
  constexpr Index L = lanes<T>;
  for (Index i = 0; i < r.m; ++i, gradient += r.gradient_stride) {
    const Index begin = i * r.stride;
    Index j = 0;
    for (; j + L <= r.n; j += L)
      visit(begin + j, load(gradient + j), [](const T* p) { return load(p); }, [](T* p, Vec<T> v) { store(p, v); });
    if (j == r.n) continue;
    const Tail<T> tail(r.n - j);
    visit(
        begin + j, load(gradient + j, tail), [tail](const T* p) { return load(p, tail); },
        [tail](T* p, Vec<T> v) { store(p, v, tail); });
  }
}

// Calls pass with a function that scales and clips a vector of the gradient.
template <class T, class Pass>
inline void with_clip(const Clip<T>& clip, Pass pass) {
  if (clip.scale == T(1) && clip.limit == Clip<T>{}.limit)
    pass([](Vec<T> g) { return g; });
  else
    pass([scale = splat(clip.scale), limit = splat(clip.limit)](Vec<T> g) {
      return min(limit, max(-limit, scale * g));  // NaN stays NaN
    });
}

// The factor by which decoupled weight decay shrinks a parameter.
template <class T>
T decay_factor(double rate, double weight_decay, double factor) {
  return static_cast<T>(1 - rate * weight_decay * factor);
}

struct CountsSteps {
  template <class Optimizer>
  static void advance(const Optimizer&, Progress& progress, double) {
    ++progress.steps;
  }
};

template <class T, class Optimizer>
struct Optimize;

// velocity = momentum velocity + rate_in g; p = p - rate (velocity, or rate_in g + momentum velocity if nesterov).
template <class T>
struct Optimize<T, Sgd> : CountsSteps {
  static Arrays arrays(const Sgd& o) { return {.m = o.momentum > 0}; }

  static Update<T> update(const Sgd& o, const Progress& progress, double learning_rate, double weight_decay) {
    const double rate = o.learning_rate * learning_rate;
    const bool inside = o.rate_in_velocity && o.momentum > 0;
    return {.rate = static_cast<T>(inside ? 1 : rate),
            .keep = decay_factor<T>(rate, o.weight_decay, weight_decay),
            .rate_in = static_cast<T>(inside ? rate : 1),
            .momentum = static_cast<T>(o.momentum),
            .nesterov = o.nesterov,
            .first = progress.steps == 1};
  }

  static void apply(Region region, const Update<T>& u, Clip<T> clip, const T* gradient, Moments<T> moments,
                    T* parameters) {
    T* velocity = moments.m;
    const Vec<T> in = splat(u.rate_in), out = splat(-u.rate), momentum = splat(u.momentum), keep = splat(u.keep);
    with_clip(clip, [&](auto clipped) {
      if (velocity == nullptr)
        return for_vectors(region, gradient, [=](Index j, Vec<T> g, auto read, auto write) {
          write(parameters + j, fma(out, clipped(g), keep * read(parameters + j)));
        });
      for_vectors(region, gradient,
                  [=, nesterov = u.nesterov, first = u.first](Index j, Vec<T> g, auto read, auto write) {
                    g = in * clipped(g);
                    const Vec<T> v = first ? g : fma(momentum, read(velocity + j), g);
                    write(velocity + j, v);
                    write(parameters + j, fma(out, nesterov ? fma(momentum, v, g) : v, keep * read(parameters + j)));
                  });
    });
  }
};

// m = m + (1 - beta1)(g - m); v = beta2 v + (1 - beta2) g²; p = p - rate m / (root_scale sqrt(v) + epsilon). Progress
// holds beta1^steps and beta2^steps, computed by repeated multiplication because std::pow differs between C libraries.
template <class T>
struct Optimize<T, Adam> {
  static Arrays arrays(const Adam&) { return {.m = true, .v = true}; }

  static void advance(const Adam& o, Progress& progress, double) {
    ++progress.steps;
    progress.first *= o.beta1;
    progress.second *= o.beta2;
  }

  static Update<T> update(const Adam& o, const Progress& progress, double learning_rate, double weight_decay) {
    const double rate = o.learning_rate * learning_rate;
    const double corrected = 1 - progress.first, root = __builtin_sqrt(1 - progress.second);
    return {.rate = static_cast<T>(rate / corrected * (o.epsilon_hat ? root : 1)),
            .keep = decay_factor<T>(rate, o.weight_decay, weight_decay),
            .one_minus_beta1 = static_cast<T>(1 - o.beta1),
            .beta2 = static_cast<T>(o.beta2),
            .one_minus_beta2 = static_cast<T>(1 - o.beta2),
            .root_scale = static_cast<T>(o.epsilon_hat ? 1 : 1 / root),
            .epsilon = static_cast<T>(o.epsilon)};
  }

  static void apply(Region region, const Update<T>& u, Clip<T> clip, const T* gradient, Moments<T> moments,
                    T* parameters) {
    const Vec<T> first = splat(u.one_minus_beta1), beta2 = splat(u.beta2), epsilon = splat(u.epsilon),
                 root_scale = splat(u.root_scale), rate = splat(-u.rate), keep = splat(u.keep);
    with_clip(clip, [&](auto clipped) {
      for_vectors(region, gradient, [=, m = moments.m, v = moments.v, u = u](Index j, Vec<T> g, auto read, auto write) {
        g = clipped(g);
        const Vec<T> old = read(m + j), mean = fma(first, g - old, old);
        const Vec<T> square = fma(beta2, read(v + j), u.one_minus_beta2 * g * g);
        write(m + j, mean);
        write(v + j, square);
        // Where the mean is 0 the step is 0, even if epsilon is 0, so padding stays 0.
        const Vec<T> step = select<T>(mean == Vec<T>{}, mean, mean / fma(root_scale, sqrt(square), epsilon));
        write(parameters + j, fma(rate, step, keep * read(parameters + j)));
      });
    });
  }
};

// v = alpha v + (1 - alpha) g²; m = momentum m + g / (sqrt(v) + epsilon); p = p - rate m. The centered form keeps
// mean = mean + (1 - alpha)(g - mean) and uses v - mean² in place of v under the root.
template <class T>
struct Optimize<T, RmsProp> : CountsSteps {
  static Arrays arrays(const RmsProp& o) { return {.m = o.momentum > 0, .v = true, .mean = o.centered}; }

  static Update<T> update(const RmsProp& o, const Progress&, double learning_rate, double weight_decay) {
    const double rate = o.learning_rate * learning_rate;
    return {.rate = static_cast<T>(rate),
            .keep = decay_factor<T>(rate, o.weight_decay, weight_decay),
            .momentum = static_cast<T>(o.momentum),
            .beta2 = static_cast<T>(o.alpha),
            .one_minus_beta2 = static_cast<T>(1 - o.alpha),
            .epsilon = static_cast<T>(o.epsilon)};
  }

  static void apply(Region region, const Update<T>& u, Clip<T> clip, const T* gradient, Moments<T> moments,
                    T* parameters) {
    const Vec<T> alpha = splat(u.beta2), rest = splat(u.one_minus_beta2), epsilon = splat(u.epsilon),
                 momentum = splat(u.momentum), rate = splat(-u.rate), keep = splat(u.keep);
    with_clip(clip, [&](auto clipped) {
      for_vectors(region, gradient, [=](Index j, Vec<T> g, auto read, auto write) {
        g = clipped(g);
        const Vec<T> square = fma(alpha, read(moments.v + j), rest * g * g);
        write(moments.v + j, square);
        Vec<T> spread = square;
        if (moments.mean != nullptr) {
          const Vec<T> old = read(moments.mean + j), mean = fma(rest, g - old, old);
          write(moments.mean + j, mean);
          spread = max(Vec<T>{}, fma(-mean, mean, square));
        }
        Vec<T> step = g / (sqrt(spread) + epsilon);
        if (moments.m != nullptr) {
          step = fma(momentum, read(moments.m + j), step);
          write(moments.m + j, step);
        }
        write(parameters + j, fma(rate, step, keep * read(parameters + j)));
      });
    });
  }
};

// v = v + g²; p = p - rate g / (sqrt(v) + epsilon).
template <class T>
struct Optimize<T, Adagrad> : CountsSteps {
  static Arrays arrays(const Adagrad& o) { return {.v = true, .v_start = o.initial_accumulator}; }

  static Update<T> update(const Adagrad& o, const Progress& progress, double learning_rate, double weight_decay) {
    const double rate = o.learning_rate * learning_rate;
    return {.rate = static_cast<T>(rate / (1 + static_cast<double>(progress.steps - 1) * o.learning_rate_decay)),
            .keep = decay_factor<T>(rate, o.weight_decay, weight_decay),
            .epsilon = static_cast<T>(o.epsilon)};
  }

  static void apply(Region region, const Update<T>& u, Clip<T> clip, const T* gradient, Moments<T> moments,
                    T* parameters) {
    const Vec<T> rate = splat(-u.rate), epsilon = splat(u.epsilon), keep = splat(u.keep);
    with_clip(clip, [&](auto clipped) {
      for_vectors(region, gradient, [=, v = moments.v](Index j, Vec<T> g, auto read, auto write) {
        g = clipped(g);
        const Vec<T> sum = fma(g, g, read(v + j));
        write(v + j, sum);
        write(parameters + j, fma(rate, g / (sqrt(sum) + epsilon), keep * read(parameters + j)));
      });
    });
  }
};

// p = p - rate sign(beta1 m + (1 - beta1) g), with sign(0) = 0; m = m + (1 - beta2)(g - m).
template <class T>
struct Optimize<T, Lion> : CountsSteps {
  static Arrays arrays(const Lion&) { return {.m = true}; }

  static Update<T> update(const Lion& o, const Progress&, double learning_rate, double weight_decay) {
    const double rate = o.learning_rate * learning_rate;
    return {.rate = static_cast<T>(rate),
            .keep = decay_factor<T>(rate, o.weight_decay, weight_decay),
            .one_minus_beta1 = static_cast<T>(1 - o.beta1),
            .one_minus_beta2 = static_cast<T>(1 - o.beta2)};
  }

  static void apply(Region region, const Update<T>& u, Clip<T> clip, const T* gradient, Moments<T> moments,
                    T* parameters) {
    const Vec<T> first = splat(u.one_minus_beta1), second = splat(u.one_minus_beta2), rate = splat(u.rate),
                 keep = splat(u.keep);
    with_clip(clip, [&](auto clipped) {
      for_vectors(region, gradient, [=, m = moments.m](Index j, Vec<T> g, auto read, auto write) {
        g = clipped(g);
        const Vec<T> mean = read(m + j), direction = fma(first, g - mean, mean);
        write(m + j, fma(second, g - mean, mean));
        // NaN stays NaN.
        const Vec<T> step = select<T>(direction > Vec<T>{}, rate, select<T>(direction < Vec<T>{}, -rate, direction));
        write(parameters + j, keep * read(parameters + j) - step);
      });
    });
  }
};

// z = z - rate (g / (root_scale sqrt(v) + epsilon) + weight_decay p), with Adam's v; x = x + c (z - x); p = z + beta1
// (x - z). z and x start at the initial p. moments.m holds z and moments.mean holds x; rate_in is c = rate² / Σ rate².
// progress.first holds the sum, progress.second holds c.
template <class T>
struct Optimize<T, ScheduleFreeAdamW> {
  static Arrays arrays(const ScheduleFreeAdamW&) { return {.m = true, .v = true, .mean = true, .averages = true}; }

  static void advance(const ScheduleFreeAdamW&, Progress& progress, double learning_rate) {
    const double weight = learning_rate * learning_rate;
    progress.first = weight + (progress.steps++ > 0 ? progress.first : 0);
    progress.second = progress.first > 0 ? weight / progress.first : 1;
  }

  static Update<T> update(const ScheduleFreeAdamW& o, const Progress& progress, double learning_rate,
                          double weight_decay) {
    const double rate = o.learning_rate * learning_rate;
    double power = 1, square = o.beta2;  // beta2^steps
    for (Index bits = progress.steps; bits > 0; bits /= 2, square *= square)
      if (bits % 2 == 1) power *= square;
    return {.rate = static_cast<T>(rate),
            .keep = decay_factor<T>(rate, o.weight_decay, weight_decay),
            .rate_in = static_cast<T>(progress.second),
            .beta1 = static_cast<T>(o.beta1),
            .beta2 = static_cast<T>(o.beta2),
            .one_minus_beta2 = static_cast<T>(1 - o.beta2),
            .root_scale = static_cast<T>(1 / __builtin_sqrt(1 - power)),
            .epsilon = static_cast<T>(o.epsilon),
            .first = progress.steps == 1};
  }

  static void apply(Region region, const Update<T>& u, Clip<T> clip, const T* gradient, Moments<T> moments,
                    T* parameters) {
    const Vec<T> beta1 = splat(u.beta1), beta2 = splat(u.beta2), epsilon = splat(u.epsilon),
                 root_scale = splat(u.root_scale), rate = splat(-u.rate), decay = splat(u.keep - 1),
                 share = splat(u.rate_in);
    with_clip(clip, [&](auto clipped) {
      for_vectors(region, gradient, [=, u = u](Index j, Vec<T> g, auto read, auto write) {
        g = clipped(g);
        const Vec<T> y = read(parameters + j), square = fma(beta2, read(moments.v + j), u.one_minus_beta2 * g * g);
        write(moments.v + j, square);
        // Where the gradient is 0 the step is 0, even if epsilon is 0, so padding stays 0.
        const Vec<T> step = select<T>(g == Vec<T>{}, g, g / fma(root_scale, sqrt(square), epsilon));
        const Vec<T> z = fma(decay, y, fma(rate, step, u.first ? y : read(moments.m + j)));
        Vec<T> x = u.first ? y : read(moments.mean + j);
        x = fma(share, z - x, x);
        write(moments.m + j, z);
        write(moments.mean + j, x);
        write(parameters + j, fma(beta1, x - z, z));
      });
    });
  }
};

template <class T, class Optimizer>
Update<T> begin_step(const Optimizer& o, Progress& progress, double learning_rate, double weight_decay) {
  Optimize<T, Optimizer>::advance(o, progress, learning_rate);
  return Optimize<T, Optimizer>::update(o, progress, learning_rate, weight_decay);
}

template <class T, class... Optimizer>
constexpr OptimizerPasses<T, OptimizerList<Optimizer...>> passes_of(OptimizerList<Optimizer...>) {
  return {{Optimize<T, Optimizer>::arrays, begin_step<T, Optimizer>, Optimize<T, Optimizer>::update,
           Optimize<T, Optimizer>::apply}...};
}

template <class T>
void average(Region region, T rate, const T* x, T* mean) {
  for_vectors(region, x, [=, rate = splat(rate)](Index j, Vec<T> now, auto read, auto write) {
    const Vec<T> old = read(mean + j);
    write(mean + j, fma(rate, now - old, old));
  });
}

template <class T>
void axpy(Index n, T alpha, const T* x, T* y) {
  const Vec<T> factor = splat(alpha);
  map_vector(n, [=](Vec<T> xv, Vec<T> yv) { return fma(factor, xv, yv); }, y, x, y);
}

// The sum of f(j) in double: element j belongs to chain j mod 16, and the chains are added as a tree, so the bits
// depend on n alone. It needs no fma: the product of two floats is exact in double, and every ISA rounds a product of
// doubles in the same way.
template <class F>
double chained_sum(Index n, F f) {
  constexpr int chains = 16;
  double sum[chains] = {};
  Index j = 0;
  for (; j + chains <= n; j += chains)
#pragma GCC unroll 16
    for (int c = 0; c < chains; ++c) sum[c] += f(j + c);
  for (int c = 0; j + c < n; ++c) sum[c] += f(j + c);
#pragma GCC unroll 16
  for (int half = chains / 2; half > 0; half /= 2)
#pragma GCC unroll 16
    for (int c = 0; c < half; ++c) sum[c] += sum[c + half];
  return sum[0];
}

template <class T>
double sum(Index n, const T* x) {
  return chained_sum(n, [x](Index j) { return static_cast<double>(x[j]); });
}

template <class T>
double dot(Index n, const T* x, const T* y) {
  return chained_sum(n, [x, y](Index j) { return static_cast<double>(x[j]) * static_cast<double>(y[j]); });
}

template <class T>
double sum_of_squares(Index n, const T* x) {
  return dot(n, x, x);
}

template <class T>
void column_squares(Index m, Index n, const T* x, Index ldx, double* sums) {
  for (Index j = 0; j < n; ++j) sums[j] = 0;
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) {
      const double value = static_cast<double>(x[i * ldx + j]);
      sums[j] += value * value;
    }
}

}  // namespace
}  // namespace chainrule::CHAINRULE_ISA
