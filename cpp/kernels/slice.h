// The sliced schedule: one kernel executes whole training steps of a small network. A slice of rows passes forward and
// backward through all layers while its activations stay in the first-level cache. Functions are called through a table
// once per layer, not once per tile. So a step of a network of a few neurons on one row takes 100 ns.
#pragma once

#include "dot.h"
#include "gemm.h"
#include "losses.h"
#include "pack.h"
#include "updates.h"

namespace chainrule::CHAINRULE_ISA {
namespace {

// The inputs, targets and weights of a slice: the caller's arrays, or copies of scattered rows.
template <class T>
struct Slice {
  Index rows;
  const T* x;
  Index ldx;
  const T* y;
  Index ldy;
  const std::int32_t* labels;
  const T* weights;
};

// to(i, j) = from(row(i), j) for rows x n elements. In `to`, rows of more than one element are padded to whole vectors.
template <class T, class Row>
inline void gather(Index rows, Index n, const T* from, Index row_stride, Index col_stride, Row row, T* to, Index ld) {
  if (n == 1 || col_stride != 1) {
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < n; ++j) to[i * ld + j] = from[row(i) * row_stride + j * col_stride];
    return;
  }
  const Index whole = n / lanes<T> * lanes<T>;
  const Tail<T> tail(n - whole);
  for (Index i = 0; i < rows; ++i) {
    const T* x = from + row(i) * row_stride;
    for (Index j = 0; j < whole; j += lanes<T>) store(to + i * ld + j, load(x + j));
    if (whole < n) store(to + i * ld + whole, load(x + whole, tail));
  }
}

// Returns examples [first, first + rows). Copies them unless the elements of a row are contiguous and the rows are
// consecutive. If x is larger than the second-level cache, prefetches the same rows of the next batch.
template <class T>
inline Slice<T> take_slice(const SliceSteps<T>& s, Index first, Index rows) {
  const SliceExamples<T>& e = s.examples;
  const Index n_in = s.layers[0].n_in, n_out = s.layers[s.layer_count - 1].n_out;
  Slice<T> slice{rows, e.x, e.x_row, e.y, e.y_row, e.labels, e.weights};
  const bool scattered = e.rows != nullptr && rows > 1;
  const auto take = [&](auto row) {
    if (scattered || e.x_col != 1) {
      slice.x = s.x, slice.ldx = padded_width(n_in);
      gather(rows, n_in, e.x, e.x_row, e.x_col, row, s.x, slice.ldx);
    } else {
      slice.x += row(0) * e.x_row;
    }
    if (e.y == nullptr) return;
    if (scattered || e.y_col != 1) {
      slice.y = s.y, slice.ldy = n_out > 1 ? padded_width(n_out) : 1;
      gather(rows, n_out, e.y, e.y_row, e.y_col, row, s.y, slice.ldy);
    } else {
      slice.y += row(0) * e.y_row;
    }
  };
  if (e.rows == nullptr) {
    take([first](Index i) { return first + i; });
    if (e.labels != nullptr) slice.labels += first;
    if (e.weights != nullptr) slice.weights += first;
    return slice;
  }
  const Index* indices = e.rows + first;
  // In a column-major x, each element is in a cache line of its own.
  const Index step = e.x_col > line<T> ? e.x_col : line<T>;
  for (Index i = s.m; e.far && i < s.m + rows && first + i < e.rows_end; ++i)
    for (Index j = 0; j < n_in * e.x_col; j += step) __builtin_prefetch(e.x + indices[i] * e.x_row + j);
  take([indices](Index i) { return indices[i]; });
  if (e.labels != nullptr) {
    slice.labels = s.label;
    for (Index i = 0; i < rows; ++i) s.label[i] = e.labels[indices[i]];
  }
  if (e.weights != nullptr) {
    slice.weights = s.weight;
    for (Index i = 0; i < rows; ++i) s.weight[i] = e.weights[indices[i]];
  }
  return slice;
}

// C (m x n) = g(bias + A B); a null bias is 0. A and B are not packed. The tiles apply relu; any other g is applied to
// all of C at the end.
template <class T>
void slice_product(Index m, Index n, Index k, const T* a, Index lda, Layout a_layout, const T* b, Index ldb,
                   const T* bias, T* c, Index ldc, Activate<T> g = nullptr) {
  const bool relu = g == activate<T, Relu>;
  const Epilogue<T> epilogue{relu ? g : nullptr, nullptr, c, ldc};
  gemm_block<T>({.m = m,
                 .n = n,
                 .k = k,
                 .a = a,
                 .lda = lda,
                 .a_layout = a_layout,
                 .b = b,
                 .ldb = ldb,
                 .b_layout = Layout::rows,
                 .c = c,
                 .ldc = ldc,
                 .bias = bias,
                 .start = bias != nullptr ? Start::bias : Start::zero,
                 .epilogue = epilogue});
  if (g != nullptr && !relu) g(m, n, c, ldc, c, ldc);
}

// An update by plain gradient descent on one row: W = W - rate (dz xᵀ) and b = b - rate dz, with dz in layer.a. No
// gradient is stored. The first layer defers its update to the next product, which reads W anyway.
template <class T>
struct Descent {
  T rate = 0;
  const T* x = nullptr;  // null: no update is deferred
};

// For one row: if Descend, applies the update `deferred`; then, if Product, computes z = b + x Wᵀ in layer.a.
template <class T, bool Descend, bool Product>
inline void row_pass(const SliceLayer<T>& layer, const Descent<T>& deferred, const T* x, T* w) {
  for_groups<T>(layer.width, [&, x, last_x = deferred.x, k = layer.n_in, width = layer.width](auto count, Index j) {
    constexpr int N = decltype(count)::value, L = lanes<T>;
    const auto descended = [rate = splat(-deferred.rate)](T* at, Vec<T> gradient) {
      if (!Descend) return load(at);
      const Vec<T> value = fma(rate, gradient, load(at));
      store(at, value);
      return value;
    };
    T *z = layer.a + j, *at = w + j;
    Vec<T> dz[N], acc[N];
#pragma GCC unroll 16
    for (int v = 0; v < N; ++v) {
      dz[v] = Descend ? load(z + v * L) : Vec<T>{};
      acc[v] = descended(at + k * width + v * L, dz[v]);
    }
#pragma GCC unroll 2
    for (Index p = 0; p < k; ++p, at += width)
#pragma GCC unroll 16
      for (int v = 0; v < N; ++v) {
        const Vec<T> wv = descended(at + v * L, Descend ? splat(last_x[p]) * dz[v] : Vec<T>{});
        if (Product) acc[v] = fma(splat(x[p]), wv, acc[v]);
      }
#pragma GCC unroll 16
    for (int v = 0; Product && v < N; ++v) store(z + v * L, acc[v]);
  });
}

// Computes dL/dz of the preceding layer from dL/dz of this layer, which is in layer.a. Overwrites the activations of
// the preceding layer with it, in blocks of rows, so that dL/da stays in the cache.
template <class T>
void slice_backward(const SliceSteps<T>& s, const SliceLayer<T>& before, const SliceLayer<T>& layer, Index rows) {
  constexpr Index block = 2 * tile_rows;
  for (Index i = 0; i < rows; i += block) {
    const Index m = rows - i < block ? rows - i : block;
    slice_product<T>(m, before.width, layer.n_out, layer.a + i * layer.width, layer.width, Layout::rows, layer.weights,
                     before.width, nullptr, s.da, before.width);
    T* a = before.a + i * before.width;
    before.activate_backward(m, before.width, a, before.width, s.da, before.width, a, before.width);
  }
}

// Computes the weighted losses of a slice's rows and their gradients, multiplied by scale. If descent is not null, the
// slice is one row: the parameters are updated with the learning rate *descent and no gradient is stored.
template <class T>
void slice_gradients(const SliceSteps<T>& s, Index first, Index rows, T scale, T* value, T* gradients, const T* descent,
                     Descent<T>& deferred) {
  const Slice<T> slice = take_slice(s, first, rows);
  const T* from = slice.x;
  Index ld = slice.ldx;
  for (Index l = 0; l < s.layer_count; ++l) {
    const SliceLayer<T>& layer = s.layers[l];
    T* w = s.parameters + layer.offset;
    const T* b = w + layer.weight_count;
    if (layer.width == 1) {
      dot_rows<T>(rows, layer.n_in, from, ld, w, *b, layer.a, 1);
    } else if (rows == 1) {
      deferred.x != nullptr ? row_pass<T, true, true>(layer, deferred, from, w)
                            : row_pass<T, false, true>(layer, deferred, from, w);
      if (layer.activate != nullptr) layer.activate(1, layer.width, layer.a, layer.width, layer.a, layer.width);
    } else {
      slice_product<T>(rows, layer.width, layer.n_in, from, ld, Layout::rows, w, layer.width, b, layer.a, layer.width,
                       layer.activate);
    }
    deferred.x = nullptr;
    from = layer.a;
    ld = layer.width;
  }
  const SliceLayer<T>& last = s.layers[s.layer_count - 1];
  s.loss({rows, last.n_out, last.a, last.width, slice.y, slice.ldy, slice.labels, slice.weights, scale, value, last.a,
          last.width, s.loss_scratch, s.loss_parameters});
  for (Index l = s.layer_count; l-- > 0;) {
    const SliceLayer<T>& layer = s.layers[l];
    from = l > 0 ? s.layers[l - 1].a : slice.x;
    ld = l > 0 ? s.layers[l - 1].width : slice.ldx;
    T* dw = gradients + layer.offset;
    T* db = dw + layer.weight_count;
    if (layer.width == 1) {
      if (l > 0) {
        const SliceLayer<T>& before = s.layers[l - 1];
        before.one_output_backward(rows, layer.n_in, layer.a, s.parameters + layer.offset, before.a, ld, dw, db,
                                   gradients + before.offset + before.weight_count);
      } else {
        one_output_gradients(rows, layer.n_in, layer.a, from, ld, dw, db);
      }
      if (descent != nullptr) {
        T* w = s.parameters + layer.offset;
        axpy(layer.weight_count, -*descent, dw, w);
        w[layer.weight_count] = fma(splat(-*descent), splat(*db), splat(w[layer.weight_count]))[0];
      }
    } else {
      if (descent != nullptr) {
        const Descent<T> now{*descent, from};
        if (l > 0 || slice.x == s.x)  // not deferred: the next row will overwrite s.x
          row_pass<T, true, false>(layer, now, nullptr, s.parameters + layer.offset);
        else
          deferred = now;
      } else {
        slice_product<T>(layer.n_in, layer.width, rows, from, ld, Layout::columns, layer.a, layer.width, nullptr, dw,
                         layer.width);
        if (l + 1 == s.layer_count || s.layers[l + 1].width > 1)  // otherwise one_output_backward did it
          column_sums(rows, layer.width, layer.a, layer.width, db, {});
      }
      if (l > 0) slice_backward(s, s.layers[l - 1], layer, rows);
    }
  }
}

// Adds `count` slices to the sums of their leaves, from leaf number `leaf` on, for parameters [begin, end). In
// s.partials the slices follow the runs. A sum overwrites only runs and slices that have already been added.
template <class T>
void add_slices(const SliceSteps<T>& s, Index begin, Index end, Index leaf, Index count, bool last) {
  const Index runs = place_of_leaf(leaf, false).runs;
  const auto partial = [&s](Index place, Index j) { return s.partials + place * s.parameter_count + j; };
  for (Index j = begin; j < end; j += lanes<T>)
    for (Index i = 0; i < count; i += slices_of_leaf) {
      const Index slices = count - i < slices_of_leaf ? count - i : slices_of_leaf;
      const LeafPlace at = place_of_leaf(leaf + i / slices_of_leaf, last && i + slices == count);
      Vec<T> total = load(partial(runs + i, j));
      for (Index k = 1; k < slices; ++k) total = total + load(partial(runs + i + k, j));
      for (Index k = 1; k <= at.joined; ++k) total = load(partial(at.runs - k, j)) + total;
      store(partial(at.place(), j), total);
    }
}

// Returns total plus the losses of the rows of one round, which begins at row `first` of the batch.
template <class T>
double add_losses(const SliceSteps<T>& s, Index first, double total) {
  if (s.m == 1) return total + static_cast<double>(s.value[0]);
  const Index left = s.m - first, max_rows = slices_at_once * whole_slice, rows = left < max_rows ? left : max_rows;
  for (Index i = 0; i < rows; i += s.loss_rows)
    total += sum(rows - i < s.loss_rows ? rows - i : s.loss_rows, s.value + i);
  return total;
}

// Adds the gradient of the penalty and applies the update, for parameters [begin, end).
template <class T>
void slice_update(const SliceSteps<T>& s, Index step, double l2, Index begin, Index end) {
  if (l2 != 0)
    for (Index l = 0; l < s.layer_count; ++l) {
      const SliceLayer<T>& layer = s.layers[l];
      const Index from = begin > layer.offset ? begin : layer.offset, stop = layer.offset + layer.weight_count;
      const Index to = end < stop ? end : stop;
      if (from < to) axpy(to - from, static_cast<T>(l2), s.parameters + from, s.partials + from);
    }
  const auto from = [begin](T* moment) { return moment != nullptr ? moment + begin : nullptr; };
  const Moments<T> moments{from(s.moments.m), from(s.moments.v)};
  const auto apply = s.is_sgd ? Optimize<T, Sgd>::apply : Optimize<T, Adam>::apply;
  apply({end - begin}, s.updates[step], {}, s.partials + begin, moments, s.parameters + begin);
}

// Σ weights of the batch, or its number of rows if there are no weights.
template <class T>
double slice_weight(const SliceSteps<T>& s, Index first) {
  const SliceExamples<T>& e = s.examples;
  if (e.weights == nullptr) return static_cast<double>(s.m);
  double total = 0;
  for (Index i = first; i < first + s.m; ++i)
    total += static_cast<double>(e.weights[e.rows != nullptr ? e.rows[i] : i]);
  return total;
}

// Copies each W into the layout that the member's backward products of this step read.
template <class T>
void pack_weights(const SliceSteps<T>& s) {
  for (Index l = 0; l < s.layer_count; ++l) {
    const SliceLayer<T>& layer = s.layers[l];
    if (layer.weights != nullptr)
      pack_panel<T>(layer.n_in, padded_width(layer.n_in), layer.n_out, s.parameters + layer.offset, layer.width, 1,
                    layer.weights);
  }
}

template <class T>
double weight_squares(const SliceSteps<T>& s) {
  double squares = 0;
  for (Index l = 0; l < s.layer_count; ++l)
    squares += sum_of_squares(s.layers[l].weight_count, s.parameters + s.layers[l].offset);
  return squares;
}

// Calls work(item) for the items that this member takes. Memory that the team shares is accessed only within work().
template <class T, class Work>
inline void each_item(const SliceSteps<T>& s, Index count, Work work) {
  if (s.size == 1) {
    for (Index item = 0; item < count; ++item) work(item);
    return;
  }
  for (Index item; (item = s.next(s.team, count)) >= 0;) work(item);
}

// A step consists of rounds of at most slices_at_once slices. A round has two phases: the first computes the slices,
// the second adds them and, in the last round, updates the parameters.
template <class T>
void slice_steps(const SliceSteps<T>& s) {
  const Index vectors = s.parameter_count / slice_width;
  const Index before_last = (s.m - 1) / sum_rows, last_rows = s.m - before_last * sum_rows;
  const Index slices = before_last * slices_of_leaf + (last_rows + s.last_slice_rows - 1) / s.last_slice_rows;
  constexpr Index min_vectors = 128;  // of a part, whose update takes a few microseconds
  const Index max_parts = s.size == 1 ? 1 : 4 * s.size, wanted = vectors / min_vectors;
  const Index parts = wanted < s.size ? s.size : wanted < max_parts ? wanted : max_parts;
  Descent<T> deferred;
  for (Index step = 0; step < s.steps; ++step) {
    const Index first = s.first + step * s.advance;
    const double weight = slice_weight(s, first), inverse = weight > 0 ? 1 / weight : 0;
    const double l2 = s.l2_per_row ? s.l2 * inverse : s.l2;
    // The last step of a call stores its gradient, which the caller reads.
    const bool plain = s.is_sgd && s.moments.m == nullptr && s.l2 == 0 && step + 1 < s.steps;
    const T* descent = plain && s.m == 1 && s.updates[step].keep == T(1) ? &s.updates[step].rate : nullptr;
    // Until the step ends, mean holds the sum of the losses so far and weight the sum of the squared weights.
    BatchCost& cost = s.cost[step];
    bool packed = false;
    for (Index done = 0; done < slices;) {  // a round covers whole leaves
      const Index leaf = done / slices_of_leaf, runs = place_of_leaf(leaf, false).runs;
      const Index count = slices - done < slices_at_once ? slices - done : slices_at_once;
      each_item(s, count + (s.l2 != 0 && done == 0), [&](Index i) {
        if (i == count) {
          cost.weight = weight_squares(s);
          return;
        }
        if (!packed) pack_weights(s);
        packed = true;
        const Index own_leaf = leaf + i / slices_of_leaf;
        const Index max_rows = own_leaf < before_last ? whole_slice : s.last_slice_rows;
        const Index from = own_leaf * sum_rows + i % slices_of_leaf * max_rows;
        const Index rows = s.m - from < max_rows ? s.m - from : max_rows;
        slice_gradients(s, first + from, rows, static_cast<T>(inverse), s.value + (from - leaf * sum_rows),
                        s.partials + (runs + i) * s.parameter_count, descent, deferred);
      });
      const bool begun = done > 0;
      done += count;
      each_item(s, parts, [&](Index i) {
        const Index begin = vectors * i / parts * slice_width, end = vectors * (i + 1) / parts * slice_width;
        if (slices > 1) add_slices(s, begin, end, leaf, count, done == slices);
        if (i == 0) {
          cost.mean = add_losses(s, leaf * sum_rows, begun ? cost.mean : 0);
          if (done == slices) cost = {cost.mean * inverse + (s.l2 != 0 ? l2 / 2 * cost.weight : 0), weight};
        }
        if (done == slices && descent == nullptr) slice_update(s, step, l2, begin, end);
      });
      if (done < slices && s.poll != nullptr && !s.poll(s.team)) return;
    }
  }
}

}  // namespace
}  // namespace chainrule::CHAINRULE_ISA
