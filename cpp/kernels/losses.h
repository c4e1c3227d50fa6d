// The losses and output activations. A group of lanes<T> rows is transposed into scratch so that each lane is one row:
// sums over the outputs run in the order of the outputs in every lane, on every instruction set, and ten outputs waste
// no lanes. To add a loss, add a line to chainrule/names.h and a formula here.
#pragma once

#include "math.h"
#include "pack.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

// A single row is loaded and stored as a scalar: store forwarding fails from a scalar store to a masked load and from a
// masked store to a scalar load.
template <class T>
inline Vec<T> load_rows(const T* x, Index rows) {
  return rows == 1 ? splat(*x) : load(x, Tail<T>(rows));
}
template <class T>
inline void store_rows(T* x, Vec<T> v, Index rows) {
  if (rows == 1)
    *x = v[0];
  else
    store(x, v, Tail<T>(rows));
}

// pack_columns: columns[j * lanes + i] = x(i, j) for i < rows, j < n. unpack_columns copies back. A single dense column
// needs no packing.
template <class T>
inline void pack_columns(Index rows, Index n, const T* x, Index ldx, T* columns) {
  if (n == 1 && ldx == 1) return store(columns, load_rows(x, rows));
  pack_panel<T>(rows, lanes<T>, n, x, ldx, 1, columns);
}
template <class T>
inline void unpack_columns(Index rows, Index n, const T* columns, T* x, Index ldx) {
  constexpr int L = lanes<T>;
  if (n == 1 && ldx == 1) return store_rows(x, load(columns), rows);
  for (Index j = 0; j < n; j += L) {
    const Index depth = n - j < L ? n - j : L;
    const Tail<T> tail(depth);
    Vec<T> v[L];
#pragma GCC unroll 16
    for (int q = 0; q < L; ++q) v[q] = q < depth ? load(columns + (j + q) * L) : Vec<T>{};
    transpose<T>(v);
    for (Index i = 0; i < rows; ++i) store(x + i * ldx + j, v[i], tail);
  }
}

// Output activations: predict() overwrites the logits z of lanes<T> rows (n vectors) with the predictions.
template <Output>
struct OutputFormula;

template <>
struct OutputFormula<Output::identity> {
  template <class T>
  static void predict(Index, T*) {}
};

template <>
struct OutputFormula<Output::logistic> {
  template <class T>
  static void predict(Index n, T* z) {
    for (Index j = 0; j < n; ++j) store(z + j * lanes<T>, logistic<T>(load(z + j * lanes<T>)));
  }
};

template <>
struct OutputFormula<Output::exp> {
  template <class T>
  static void predict(Index n, T* z) {
    for (Index j = 0; j < n; ++j) store(z + j * lanes<T>, exp<T>(load(z + j * lanes<T>)));
  }
};

template <>
struct OutputFormula<Output::softmax> {
  template <class T>
  static Vec<T> maximum(Index n, const T* z) {
    Vec<T> largest = load(z);
    for (Index j = 1; j < n; ++j) largest = max(load(z + j * lanes<T>), largest);
    return largest;
  }
  // Overwrites z_j with exp(z_j - max) and returns their sum.
  template <class T>
  static Vec<T> exponentials(Index n, T* z, Vec<T> max) {
    Vec<T> sum{};
    for (Index j = 0; j < n; ++j) {
      const Vec<T> e = exp<T>(load(z + j * lanes<T>) - max);
      sum = sum + e;
      store(z + j * lanes<T>, e);
    }
    return sum;
  }
  template <class T>
  static void predict(Index n, T* z) {
    const Vec<T> sum = exponentials(n, z, maximum(n, z));
    for (Index j = 0; j < n; ++j) store(z + j * lanes<T>, load(z + j * lanes<T>) / sum);
  }
};

// group() takes the logits z and targets y of lanes<T> rows, n vectors each, and the parameters of the loss. It returns
// the loss of each row and overwrites z with dL/dz.
template <Loss>
struct LossFormula;

// For losses that are sums over the outputs: term(j, z_j, y_j, sum) adds the loss of output j to sum and returns
// dL/dz_j.
template <class T, class Term>
inline Vec<T> sum_of_terms(Index n, T* z, const T* y, Term term) {
  constexpr int L = lanes<T>;
  Vec<T> sum{};
  for (Index j = 0; j < n; ++j) store(z + j * L, term(j, load(z + j * L), load(y + j * L), sum));
  return sum;
}

template <>
struct LossFormula<Loss::binary_cross_entropy> {  // L = sum_j log(1 + exp(z)) - y z, dL/dz = logistic(z) - y
  template <class T>
  static Vec<T> group(Index n, T* z, const T* y, const T*) {
    return sum_of_terms(n, z, y, [](Index, Vec<T> zj, Vec<T> yj, Vec<T>& sum) {
      const Vec<T> zero{};
      const Bits<T> positive = zj > zero;
      const Vec<T> e = exp<T>(select<T>(positive, -zj, zj));  // exp(-|z|)
      sum = sum + (fma(-yj, zj, max(zero, zj)) + log1p<T>(e));
      const Vec<T> p = select<T>(positive, splat(T(1)), e) / (T(1) + e);
      return p - yj;
    });
  }
};

// L = sum_j t_j (log sum_i exp(z_i) - z_j), dL/dz = softmax(z) sum_j t_j - t, with t = (1 - s) y + s / n, s =
// smoothing.
template <>
struct LossFormula<Loss::softmax_cross_entropy> {
  template <class T>
  static Vec<T> group(Index n, T* z, const T* y, const T* smoothing) {
    using Softmax = OutputFormula<Output::softmax>;
    constexpr int L = lanes<T>;
    const Vec<T> kept = splat(T(1) - *smoothing), added = splat(*smoothing / static_cast<T>(n));
    const auto target = [&](Index j) { return fma(load(y + j * L), kept, added); };
    const Vec<T> max = Softmax::maximum(n, z);
    Vec<T> total{}, linear{};
    for (Index j = 0; j < n; ++j) {
      const Vec<T> yj = target(j), shifted = load(z + j * L) - max;
      total = total + yj;
      // A target of 0 contributes nothing, even where the shifted logit overflowed to -infinity.
      linear = select<T>(yj == Vec<T>{}, linear, fma(yj, shifted, linear));
    }
    const Vec<T> sum = Softmax::exponentials(n, z, max);
    const Vec<T> scale = total / sum;
    for (Index j = 0; j < n; ++j) store(z + j * L, fma(load(z + j * L), scale, -target(j)));
    return fma(total, log<T>(sum), -linear);
  }
};

template <>
struct LossFormula<Loss::squared_error> {  // L = 1/2 sum_j (z_j - y_j)², dL/dz = z - y
  template <class T>
  static Vec<T> group(Index n, T* z, const T* y, const T*) {
    return T(0.5) * sum_of_terms(n, z, y, [](Index, Vec<T> zj, Vec<T> yj, Vec<T>& sum) {
             const Vec<T> d = zj - yj;
             sum = fma(d, d, sum);
             return d;
           });
  }
};

template <>
struct LossFormula<Loss::absolute_error> {  // L = sum_j |z_j - y_j|, dL/dz = 1, 0 or -1
  template <class T>
  static Vec<T> group(Index n, T* z, const T* y, const T*) {
    return sum_of_terms(n, z, y, [](Index, Vec<T> zj, Vec<T> yj, Vec<T>& sum) {
      const Vec<T> d = zj - yj, zero{};
      sum = sum + abs<T>(d);
      return select<T>(d == zero, zero, from_bits<T>(to_bits<T>(splat(T(1))) | sign_bits<T>(d)));
    });
  }
};

// d = z_j - y_j, c = min(|d|, delta): L = sum_j c (|d| - c / 2), dL/dz = c with the sign of d
template <>
struct LossFormula<Loss::huber> {
  template <class T>
  static Vec<T> group(Index n, T* z, const T* y, const T* delta) {
    return sum_of_terms(n, z, y, [delta](Index, Vec<T> zj, Vec<T> yj, Vec<T>& sum) {
      const Vec<T> d = zj - yj, c = min(splat(*delta), abs<T>(d));
      sum = fma(c, fma(c, splat(T(-0.5)), abs<T>(d)), sum);
      return from_bits<T>(to_bits<T>(c) | sign_bits<T>(d));
    });
  }
};

// d = z_j - y_j: L = sum_j (1 - level_j) d where d > 0, else -level_j d; dL/dz = 1 - level, 0 or -level (Koenker &
// Bassett 1978).
template <>
struct LossFormula<Loss::quantile> {
  template <class T>
  static Vec<T> group(Index n, T* z, const T* y, const T* levels) {
    return sum_of_terms(n, z, y, [levels](Index j, Vec<T> zj, Vec<T> yj, Vec<T>& sum) {
      const Vec<T> d = zj - yj, zero{};
      const Vec<T> slope = select<T>(d > zero, splat(T(1) - levels[j]), splat(-levels[j]));
      sum = fma(slope, d, sum);
      return select<T>(d == zero, zero, slope);
    });
  }
};

template <>
struct LossFormula<Loss::poisson> {  // L = sum_j exp(z) - y z + y log(y) - y, half the deviance; dL/dz = exp(z) - y
  template <class T>
  static Vec<T> group(Index n, T* z, const T* y, const T*) {
    return sum_of_terms(n, z, y, [](Index, Vec<T> zj, Vec<T> yj, Vec<T>& sum) {
      const Vec<T> rate = exp<T>(zj), zero{};
      const Vec<T> log_y = select<T>(yj == zero, zero, log<T>(yj));
      sum = sum + (rate + fma(yj, log_y - zj, -yj));
      return rate - yj;
    });
  }
};

// With u = z - log(y): L = sum_j u + exp(-u) - 1, half the deviance; dL/dz = 1 - exp(-u)
template <>
struct LossFormula<Loss::gamma> {
  template <class T>
  static Vec<T> group(Index n, T* z, const T* y, const T*) {
    return sum_of_terms(n, z, y, [](Index, Vec<T> zj, Vec<T> yj, Vec<T>& sum) {
      const Vec<T> u = zj - log<T>(yj), e = expm1<T>(-u);
      sum = sum + (u + e);
      return -e;
    });
  }
};

// With a = 2 - power, b = 1 - power, u = z - log(y): L = sum_j y^a ((exp(a u) - 1) / a - (exp(b u) - 1) / b), half the
// deviance, or exp(a z) / a where y = 0; dL/dz = exp(a z) - y exp(b z) (Jørgensen 1987). The usual form of the deviance
// loses digits where power is near 1 or 2; this form does not.
template <>
struct LossFormula<Loss::tweedie> {
  template <class T>
  static Vec<T> group(Index n, T* z, const T* y, const T* power) {
    const Vec<T> a = splat(T(2) - *power), b = splat(T(1) - *power);
    return sum_of_terms(n, z, y, [a, b](Index, Vec<T> zj, Vec<T> yj, Vec<T>& sum) {
      const Vec<T> zero{}, scaled = exp<T>(a * zj);
      const Bits<T> none = yj == zero;
      const Vec<T> log_y = select<T>(none, zero, log<T>(yj)), u = zj - log_y;
      const Vec<T> deviance = exp<T>(a * log_y) * (expm1<T>(a * u) / a - expm1<T>(b * u) / b);
      sum = sum + select<T>(none, scaled / a, deviance);
      return select<T>(none, scaled, fma(-yj, exp<T>(b * zj), scaled));
    });
  }
};

// A logit and a target whose loss and derivative are exactly 0. They replace those of a missing target.
struct NoLoss {
  double z, y;
};
template <class Formula>
constexpr NoLoss no_loss{0, 0};
template <>
constexpr NoLoss no_loss<LossFormula<Loss::binary_cross_entropy>>{-1e4, 0};  // exp(z) is 0
template <>
constexpr NoLoss no_loss<LossFormula<Loss::poisson>>{0, 1};
template <>
constexpr NoLoss no_loss<LossFormula<Loss::gamma>>{0, 1};
template <>
constexpr NoLoss no_loss<LossFormula<Loss::tweedie>>{0, 1};

template <class T>
[[gnu::noinline]] void replace_missing(Index n, T* z, T* y, const NoLoss& by) {
  for (Index k = 0; k < n * lanes<T>; k += lanes<T>) {
    const Vec<T> yk = load(y + k);
    const Bits<T> there = yk == yk;
    store(z + k, select<T>(there, load(z + k), splat(static_cast<T>(by.z))));
    store(y + k, select<T>(there, yk, splat(static_cast<T>(by.y))));
  }
}

// Column: a single dense output, for which a group of rows stays in registers if `group` is inlined.
template <class T, bool Column, class Group>
inline void loss_groups(const LossRows<T>& r, const NoLoss& none, Group group) {
  constexpr int L = lanes<T>;
  const Index n = Column ? 1 : r.n, ldz = Column ? 1 : r.ldz, ldy = Column ? 1 : r.ldy, lddz = Column ? 1 : r.lddz;
  alignas(vector_bytes) T z_column[L], y_column[L];
  T* z = Column ? z_column : r.scratch;
  T* y = Column ? y_column : r.scratch + n * L;
  for (Index i = 0; i < r.m; i += L) {
    const Index rows = r.m - i < L ? r.m - i : L;
    pack_columns(rows, n, r.z + i * ldz, ldz, z);
    if (Column || r.y != nullptr) {
      pack_columns(rows, n, r.y + i * ldy, ldy, y);
      if (!Column && r.missing) replace_missing<T>(n, z, y, none);
    } else {
      for (Index j = 0; j < n; ++j) store(y + j * L, Vec<T>{});
      for (Index row = 0; row < rows; ++row) y[r.labels[i + row] * L + row] = T(1);
    }
    const Vec<T> weight = r.weight != nullptr ? load_rows(r.weight + i, rows) : splat(T(1));
    const Vec<T> value = group(n, z, y, r.parameters);
    store_rows(r.value + i, weight * value, rows);
    if (r.dz == nullptr) continue;
    const Vec<T> scale = weight * r.scale;
    for (Index j = 0; j < n; ++j) store(z + j * L, load(z + j * L) * scale);
    unpack_columns<T>(rows, n, z, r.dz + i * lddz, lddz);
  }
}

// Shared by all losses, which keeps the code small.
template <class T>
[[gnu::noinline]] void loss_of_several(const LossRows<T>& r, const NoLoss& none,
                                       Vec<T> (*group)(Index, T*, const T*, const T*)) {
  loss_groups<T, false>(r, none, group);
}

template <class T, class Formula>
void loss_rows(const LossRows<T>& r) {
  const bool column = r.n == 1 && r.ldz == 1 && r.y != nullptr && r.ldy == 1 && (r.dz == nullptr || r.lddz == 1);
  if (column)
    loss_groups<T, true>(r, no_loss<Formula>,
                         [](auto... arguments) { return Formula::template group<T>(arguments...); });
  else
    loss_of_several<T>(r, no_loss<Formula>, Formula::template group<T>);
}

// Shared by all output activations.
template <class T>
[[gnu::noinline]] void predict_groups(Index m, Index n, const T* z, Index ldz, T* a, Index lda, T* scratch,
                                      void (*predict)(Index, T*)) {
  for (Index i = 0; i < m; i += lanes<T>) {
    const Index rows = m - i < lanes<T> ? m - i : lanes<T>;
    pack_columns(rows, n, z + i * ldz, ldz, scratch);
    predict(n, scratch);
    unpack_columns<T>(rows, n, scratch, a + i * lda, lda);
  }
}

template <class T, class Formula>
void predict_rows(Index m, Index n, const T* z, Index ldz, T* a, Index lda, T* scratch) {
  predict_groups(m, n, z, ldz, a, lda, scratch, Formula::template predict<T>);
}

}  // namespace
}  // namespace chainrule::CHAINRULE_ISA
