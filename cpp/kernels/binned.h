// Products with binned rows. W holds running sums over the features of a binned number, so a number reads two rows of
// W; a level or a plain value reads one. Plain values are multiplied for several data rows at a time, because all of
// them read the same rows of W.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

// Some columns of a layout, by kind: the positions of their codes and values in a row, and the indices of their first
// features.
struct BinnedPiece {
  static constexpr Index max_columns = 64;
  struct Value {
    Index value, feature;
  };
  struct Bins {
    Index code, value, feature, features;
  };
  struct Levels {
    Index code, feature, features;
  };
  Value values[max_columns];
  Bins bins[max_columns];
  Levels levels[max_columns];
  Index value_count = 0, bins_count = 0, levels_count = 0;
  bool first;  // true for the first piece of the layout
};

template <class T, class Visit>
inline void for_pieces(const BinnedRows<T>& x, Visit visit) {
  Index feature = 0, code = 0, value = 0;
  for (Index c = 0; c < x.columns;) {
    BinnedPiece piece;
    piece.first = c == 0;
    for (const Index end = c + BinnedPiece::max_columns; c < x.columns && c < end; ++c) {
      const BinnedColumn& column = x.layout[c];
      if (column.kind == ColumnKind::value)
        piece.values[piece.value_count++] = {value++, feature};
      else if (column.kind == ColumnKind::bins)
        piece.bins[piece.bins_count++] = {code++, value++, feature, column.features};
      else
        piece.levels[piece.levels_count++] = {code++, feature, column.features};
      feature += column.features;
    }
    visit(piece);
  }
}

// A data row: row i of a product.
template <class T>
struct BinnedRow {
  const T* values;
  const void* codes;
  int code_bytes;

  BinnedRow(const SparseRows<T>& x, Index i) : code_bytes(x.binned.code_bytes) {
    const BinnedRows<T>& b = x.binned;
    const Index row = x.rows != nullptr ? x.rows[i] : i;
    values = b.values + row * b.values_per_row;
    codes = static_cast<const std::uint8_t*>(b.codes) + row * b.codes_per_row * b.code_bytes;
  }
  Index code(Index k) const {
    if (code_bytes == 1) return static_cast<const std::uint8_t*>(codes)[k];
    if (code_bytes == 2) return static_cast<const std::uint16_t*>(codes)[k];
    return static_cast<const std::int32_t*>(codes)[k];
  }
};

// Prefetches row i, if it exists, because the rows of a batch are far apart in memory. Always inlined: GCC considers a
// function that only prefetches to have no effect, and drops the call.
template <class T>
[[gnu::always_inline]] inline void prefetch_row(const SparseRows<T>& x, Index i, Index m) {
  if (i >= m) return;
  const BinnedRow<T> row(x, i);
  const auto prefetch = [](const void* data, Index bytes) {
    const char* from = static_cast<const char*>(data);
    for (Index at = 0; at < bytes; at += 64) __builtin_prefetch(from + at);
    if (bytes > 0) __builtin_prefetch(from + bytes - 1);  // the line in which the row ends
  };
  prefetch(row.values, x.binned.values_per_row * static_cast<Index>(sizeof(T)));
  prefetch(row.codes, x.binned.codes_per_row * row.code_bytes);
}

// Calls of_bins(w of bin b - 1, its factor, w of bin b, its factor) for each binned number of a row, and of_level(w)
// for each level. For bin 0, which has no predecessor, it passes the w of bin 0 twice, first with the factor 0, without
// a branch, because the processor would often mispredict it.
template <class T, class W, class OfBins, class OfLevel>
inline void for_lookups(const BinnedPiece& piece, const BinnedRow<T>& row, W* w, Index ldw, OfBins of_bins,
                        OfLevel of_level) {
  for (Index k = 0; k < piece.bins_count; ++k) {
    const auto [code, value, feature, features] = piece.bins[k];
    const Index b = row.code(code), before = b > 0;
    const T fraction = row.values[value];
    W* own = w + (feature + b) * ldw;
    of_bins(own - before * ldw, static_cast<T>(before) * (T(1) - fraction), own, fraction);
  }
  for (Index k = 0; k < piece.levels_count; ++k) {
    const auto [code, feature, features] = piece.levels[k];
    const Index b = row.code(code);
    if (b < features) of_level(w + (feature + b) * ldw);
  }
}

// N vectors of a row of a matrix. If N is 1, the vector may be incomplete.
template <class T, int N>
struct Vectors {
  Vec<T> v[N];

  void read(const T* from, Tail<T> tail) {
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) v[k] = N > 1 ? load(from + k * lanes<T>) : load(from, tail);
  }
  void write(T* to, Tail<T> tail) const {
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k)
      if (N > 1)
        store(to + k * lanes<T>, v[k]);
      else
        store(to, v[k], tail);
  }
  // this = this + factor * x
  void add(T factor, const Vectors& x) {
    const Vec<T> f = splat(factor);
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) v[k] = fma(f, x.v[k], v[k]);
  }
  void add(const Vectors& x) {
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) v[k] = v[k] + x.v[k];
  }
};

// The number of vectors of a row that are computed together: at most 8, and at most 64 floats.
inline constexpr int vectors_of_row = vector_bytes == 64 ? 4 : 8;

// Calls visit(vectors, j, tail) for parts of n outputs from j on, of at most Most vectors.
template <class T, int Most, class Visit>
inline void for_outputs(Index n, Visit visit, Index j = 0) {
  constexpr Index width = Most * lanes<T>;
  if constexpr (Most > 1) {
    for (; j + width <= n; j += width) visit(Constant<Most>(), j, Tail<T>(lanes<T>));
    for_outputs<T, Most / 2>(n, visit, j);
  } else {
    for (; j < n; j += width) visit(Constant<1>(), j, Tail<T>(n - j < width ? n - j : width));
  }
}

// Calls visit(count, i) for m rows (or columns), four at a time while at least four remain.
template <class Visit>
inline void by_fours(Index m, Visit visit) {
  Index i = 0;
  for (; i + 4 <= m; i += 4) visit(Constant<4>(), i);
  for (; i < m; ++i) visit(Constant<1>(), i);
}

// The number of vectors per sum if four sums are to fit in the registers.
inline constexpr int vectors_of_four = tile_rows * tile_vectors > 16 ? 4 : 2;

template <class T, int R, int N>
inline void forward_values(const SparseForward<T>& p, const BinnedPiece& piece, Index i, Index j, Tail<T> tail) {
  const T* values[R];
  Vectors<T, N> z[R], w;
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    values[r] = BinnedRow<T>(p.x, i + r).values;
    z[r].read(piece.first ? p.bias + j : p.z + (i + r) * p.ldz + j, tail);
  }
  for (Index k = 0; k < piece.value_count; ++k) {
    w.read(p.w + piece.values[k].feature * p.ldw + j, tail);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) z[r].add(values[r][piece.values[k].value], w);
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) z[r].write(p.z + (i + r) * p.ldz + j, tail);
}

template <class T, int N>
inline void forward_lookups(const SparseForward<T>& p, const BinnedPiece& piece, Index i, Index j, Tail<T> tail) {
  Vectors<T, N> z, w;
  z.read(p.z + i * p.ldz + j, tail);
  for_lookups(
      piece, BinnedRow<T>(p.x, i), p.w + j, p.ldw,
      [&](const T* before, T rest, const T* own, T fraction) {
        w.read(before, tail);
        z.add(rest, w);
        w.read(own, tail);
        z.add(fraction, w);
      },
      [&](const T* own) {
        w.read(own, tail);
        z.add(w);
      });
  z.write(p.z + i * p.ldz + j, tail);
}

template <class T>
void binned_forward(const SparseForward<T>& p) {
  constexpr Index ahead = 8;
  for (Index i = 0; i < ahead; ++i) prefetch_row(p.x, i, p.m);
  for_pieces(p.x.binned, [&p](const BinnedPiece& piece) {
    by_fours(p.m, [&](auto rows, Index i) {
      constexpr int R = decltype(rows)::value;
      for (Index next = i + ahead; piece.first && next < i + ahead + R; ++next) prefetch_row(p.x, next, p.m);
      for_outputs<T, vectors_of_four>(p.n, [&](auto vectors, Index j, Tail<T> tail) {
        forward_values<T, R, decltype(vectors)::value>(p, piece, i, j, tail);
      });
    });
    for (Index i = 0; i < p.m; ++i)
      for_outputs<T, vectors_of_row>(p.n, [&](auto vectors, Index j, Tail<T> tail) {
        forward_lookups<T, decltype(vectors)::value>(p, piece, i, j, tail);
      });
  });
}

// For each of some bins of a column, a linked list of the rows of a leaf that are in the bin, in their order.
template <class T>
struct RowsOfBins {
  static constexpr Index max_bins = 256;
  std::int16_t first[max_bins], next[sum_rows];  // -1: none
  T fraction[sum_rows];

  RowsOfBins(const SparseGradient<T>& p, const BinnedPiece::Bins& column, Index begin, Index bins) {
    for (Index b = 0; b < bins; ++b) first[b] = -1;
    for (Index i = p.m; i-- > 0;) {
      const BinnedRow<T> row(p.x, i);
      const Index b = row.code(column.code) - begin;
      if (b < 0 || b >= bins) continue;
      next[i] = first[b];
      first[b] = static_cast<std::int16_t>(i);
      fraction[i] = row.values[column.value];
    }
  }
};

// Computes dW of each bin, from the highest to the first: the sum of dz over the rows in higher bins, plus fraction
// times dz over its own rows. Both sums stay in registers. Between calls, the sum over higher bins is kept in dW of the
// next lower bin.
template <class T, int N>
inline void gradient_of_bins(const SparseGradient<T>& p, const RowsOfBins<T>& rows, Index begin, Index bins, bool last,
                             bool first, Index j, Tail<T> tail) {
  Vectors<T, N> above{}, own, dz;
  T* to = p.dw + (begin + bins - 1) * p.lddw + j;
  if (!last) above.read(to, tail);
  for (Index b = bins; b-- > 0; to -= p.lddw) {
    own = above;
    for (Index i = rows.first[b]; i >= 0; i = rows.next[i]) {
      dz.read(p.dz + i * p.lddz + j, tail);
      own.add(rows.fraction[i], dz);
      above.add(dz);
    }
    own.write(to, tail);
  }
  if (!first) above.write(to, tail);
}

template <class T, int C, int N>
inline void gradient_of_values(const SparseGradient<T>& p, const BinnedPiece::Value* columns, Index j, Tail<T> tail) {
  Vectors<T, N> dw[C]{}, dz;
  for (Index i = 0; i < p.m; ++i) {
    const T* values = BinnedRow<T>(p.x, i).values;
    dz.read(p.dz + i * p.lddz + j, tail);
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) dw[c].add(values[columns[c].value], dz);
  }
#pragma GCC unroll 4
  for (int c = 0; c < C; ++c) dw[c].write(p.dw + columns[c].feature * p.lddw + j, tail);
}

template <class T, int N>
inline void gradient_of_levels(const SparseGradient<T>& p, const BinnedPiece& piece, Index i, Index j, Tail<T> tail) {
  Vectors<T, N> dz, dw;
  const BinnedRow<T> row(p.x, i);
  dz.read(p.dz + i * p.lddz + j, tail);
  for (Index k = 0; k < piece.levels_count; ++k) {
    const auto [code, feature, features] = piece.levels[k];
    const Index level = row.code(code);
    if (level >= features) continue;
    T* at = p.dw + (feature + level) * p.lddw + j;
    dw.read(at, tail);
    dw.add(dz);
    dw.write(at, tail);
  }
}

template <class T>
void binned_gradient(const SparseGradient<T>& p) {
  for_pieces(p.x.binned, [&p](const BinnedPiece& piece) {
    by_fours(piece.value_count, [&](auto columns, Index c) {
      for_outputs<T, vectors_of_four>(p.n, [&](auto vectors, Index j, Tail<T> tail) {
        gradient_of_values<T, decltype(columns)::value, decltype(vectors)::value>(p, piece.values + c, j, tail);
      });
    });
    for (Index k = 0; k < piece.bins_count; ++k) {
      const BinnedPiece::Bins& column = piece.bins[k];
      for (Index end = column.features, begin; end > 0; end = begin) {
        begin = end > RowsOfBins<T>::max_bins ? end - RowsOfBins<T>::max_bins : 0;
        const RowsOfBins<T> rows(p, column, begin, end - begin);
        for_outputs<T, 4>(p.n, [&](auto vectors, Index j, Tail<T> tail) {
          gradient_of_bins<T, decltype(vectors)::value>(p, rows, column.feature + begin, end - begin,
                                                        end == column.features, begin == 0, j, tail);
        });
      }
    }
    for (Index k = 0; k < piece.levels_count; ++k)
      for (Index level = 0; level < piece.levels[k].features; ++level)
        for_outputs<T, 1>(p.n, [&](auto, Index j, Tail<T> tail) {
          store(p.dw + (piece.levels[k].feature + level) * p.lddw + j, Vec<T>{}, tail);
        });
    for (Index i = 0; piece.levels_count > 0 && i < p.m; ++i)
      for_outputs<T, vectors_of_row>(p.n, [&](auto vectors, Index j, Tail<T> tail) {
        gradient_of_levels<T, decltype(vectors)::value>(p, piece, i, j, tail);
      });
  });
}

template <class T>
void running_sums(Index m, Index n, const T* x, Index ldx, T* y, Index ldy) {
  for_outputs<T, 4>(n, [=](auto vectors, Index j, Tail<T> tail) {
    Vectors<T, decltype(vectors)::value> sum, row;
    for (Index i = 0; i < m; ++i) {
      row.read(x + i * ldx + j, tail);
      if (i == 0)
        sum = row;
      else
        sum.add(row);
      sum.write(y + i * ldy + j, tail);
    }
  });
}

}  // namespace
}  // namespace chainrule::CHAINRULE_ISA
