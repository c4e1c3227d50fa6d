// Runs every kernel of every instruction set on arrays that end, and then on arrays that begin, at a protected page,
// for every shape up to twice the tile plus one and every layout of the operands.
#include "guarded.h"
#include "support.h"

namespace chainrule::test {
namespace {

Guarded memory;

// Calls body once for each edge; before each call, all guarded memory is free again.
template <class Body>
void at_edges(const char* kernel, Index m, Index n, Index k, Body body) {
  running = {running.isa, kernel, m, n, k};
  for (const Edge edge : {Edge::end, Edge::begin}) {
    memory.edge = edge;
    memory.restart();
    body();
  }
  CHECK(true);
}

// Number of elements of m rows of n elements with stride ld, without a gap after the last row.
Index extent(Index m, Index n, Index ld) { return m > 0 && n > 0 ? (m - 1) * ld + n : 0; }

template <class T>
const Kernels<T>& table() {
  return kernels<T>();
}
template <class T>
Index padded(Index n) {
  return (n + table<T>().lanes - 1) / table<T>().lanes * table<T>().lanes;
}
template <class T>
T* matrix_of(Index m, Index n, Index ld) {
  return memory.take<T>(extent(m, n, ld));
}

template <class Visit, class... Optimizer>
void all_passes(OptimizerList<Optimizer...>, Visit visit) {
  (visit(Optimizer()), ...);
}

// The epilogues: none, relu and its slope (applied in registers), tanh and its slope (applied to a panel at a time).
template <class T>
Epilogue<T> epilogue(Index which, Index m, Index n, T* c, Index ldc) {
  if (which == 0) return {};
  const auto g = static_cast<std::size_t>(which <= 2 ? Activation::relu : Activation::tanh);
  if (which == 1) return {table<T>().activate[g], nullptr, c, ldc};
  T* a = matrix_of<T>(m, n, n + 1);
  if (which == 3) return {table<T>().activate[g], nullptr, a, n + 1};
  return {nullptr, table<T>().activate_backward[g], a, n + 1};
}

template <class T>
void products(Index m, Index n, Index k) {
  Index which = m + n + k;  // selects start, finish and epilogue in turn
  for (const Layout a : {Layout::packed, Layout::rows, Layout::columns})
    for (const Layout b : {Layout::packed, Layout::rows})
      for (const Layout c : {Layout::packed, Layout::rows}) {
        ++which;
        at_edges("gemm_block", m, n, k, [&] {
          GemmBlock<T> g{.m = m, .n = n, .k = k, .a_layout = a, .b_layout = b, .c_layout = c};
          g.lda = a == Layout::rows ? k + 1 : m + 1;
          g.a = a == Layout::packed ? memory.take<T>(m * k)
                : a == Layout::rows ? matrix_of<T>(m, k, g.lda)
                                    : matrix_of<T>(k, m, g.lda);
          g.ldb = g.ldc = n + 1;
          g.b_rows = k + 1, g.b_first = 1;
          g.b = b == Layout::packed ? memory.take<T>(g.b_rows * padded<T>(n)) : matrix_of<T>(k, n, g.ldb);
          g.c_rows = m + 1, g.c_first = 1;
          g.c = c == Layout::packed ? memory.take<T>(g.c_rows * padded<T>(n)) : matrix_of<T>(m, n, g.ldc);
          g.start = static_cast<Start>(which % 3);
          if (g.start == Start::bias) g.bias = memory.take<T>(n);
          const T* sums[] = {c == Layout::packed ? memory.take<T>(g.c_rows * padded<T>(n)) : matrix_of<T>(m, n, g.ldc),
                             g.c};
          g.addends = {sums, which % 3, 0};
          if (c == Layout::rows && g.addends.count == 0) g.epilogue = epilogue<T>(which % 5, m, n, g.c, g.ldc);
          if (which % 2 == 0) g.depth = 5, g.sums = memory.take<T>(m * table<T>().tile_columns);
          g.fetch_b = b == Layout::packed && which % 4 < 2;
          table<T>().gemm_block(g);
        });
      }
  if (m <= table<T>().few_rows)
    at_edges("gemm_few_rows", m, n, k, [&] {
      T* c = matrix_of<T>(m, n, n + 1);
      table<T>().gemm_few_rows({m, n, k, matrix_of<T>(m, k, k + 1), k + 1, matrix_of<T>(n, k, k + 1), k + 1, c, n + 1,
                                epilogue<T>(which % 5, m, n, c, n + 1)});
    });
}

template <class Pair, class Source, class Pack>
void pack(const char* name, Pack pack_panel, Index count, Index step, Index k, Index pairs) {
  for (const auto& [stride_i, stride_k] : {std::pair{Index{1}, count + 1}, {k + 1, Index{1}}, {2 * k + 1, Index{2}}})
    at_edges(name, count, step, k, [&] {
      const Index size = count > 0 && k > 0 ? (count - 1) * stride_i + (k - 1) * stride_k + 1 : 0;
      pack_panel(count, step, k, memory.take<Source>(size), stride_i, stride_k, memory.take<Pair>(pairs * step));
    });
}

// Passes over m x n matrices, with and without gaps between rows: activations, losses, reductions, dropout.
template <class T>
void passes(Index m, Index n) {
  const Kernels<T>& t = table<T>();
  const Index lds[] = {n, n + 3};
  for (const Index ld : lds) {
    const auto rows = [&] { return matrix_of<T>(m, n, ld); };
    for (std::size_t g = 0; g < activation_count; ++g)
      at_edges(activation_names[g], m, n, ld, [&] {
        t.activate[g](m, n, rows(), ld, rows(), ld);
        t.activate_backward[g](m, n, rows(), ld, rows(), ld, rows(), ld);
        if (t.activate_with_slope[g] != nullptr) t.activate_with_slope[g](m, n, rows(), ld, rows(), ld);
      });
    at_edges("passes", m, n, ld, [&] {
      const T* sums = memory.take<T>(n);
      t.multiply(m, n, rows(), ld, rows(), ld, rows(), ld);
      t.column_sums(m, n, rows(), ld, memory.take<T>(n), {&sums, n % 2, 0});
      t.column_squares(m, n, rows(), ld, memory.take<double>(n));
      t.drop({1, 2, 0, 40000}, m, n, n % 9, m, rows(), ld, rows(), ld);
      const Index step = ld - n + 1;
      t.dot_rows(m, n, rows(), ld, memory.take<T>(n), T(1), memory.take<T>(extent(m, 1, step)), step);
    });
    if (n == 0) continue;
    for (std::size_t loss = 0; loss < loss_count; ++loss)
      at_edges(loss_names[loss], m, n, ld, [&] {
        const auto scratch = [&] { return memory.take<T>(2 * n * t.lanes); };
        t.predict[loss](m, n, rows(), ld, rows(), ld, scratch());
        const bool labels = static_cast<Loss>(loss) == Loss::softmax_cross_entropy && ld > n;
        LossRows<T> r{.m = m, .n = n, .z = rows(), .ldz = ld, .ldy = ld};
        if (labels)
          r.labels = memory.take<std::int32_t>(m, static_cast<std::int32_t>(n - 1));
        else
          r.y = rows();
        r.weight = ld == n ? memory.take<T>(m) : nullptr;
        r.value = memory.take<T>(m);
        r.dz = rows(), r.lddz = ld;
        r.scratch = scratch();
        r.parameters = memory.take<T>(static_cast<Loss>(loss) == Loss::quantile ? n : 1, T(0.5));
        t.loss[loss](r);
      });
  }
}

template <class T>
void vectors(Index n) {
  const Kernels<T>& t = table<T>();
  const auto x = [n] { return memory.take<T>(n); };
  at_edges("sums", 1, n, 0, [&] {
    t.sum(n, x());
    t.sum_of_squares(n, x());
    t.dot(n, x(), x());
    t.axpy(n, T(0.5), x(), x());
    t.exp(n, x(), x());
    t.log(n, x(), x());
    t.cos(n, x(), x());
    t.peak(2, memory.take<T>(t.lanes));
  });
  const Index m = 3;
  for (const Index stride : {n, n + 2})
    at_edges("updates", m, n, stride, [&] {
      const Region region{n, m, stride, n};
      const auto a = [&] { return matrix_of<T>(m, n, stride); };
      const auto g = [&] { return matrix_of<T>(m, n, n); };
      const Update<T> update{.rate = T(0.1), .momentum = T(0.9), .nesterov = true};
      all_passes(PassOptimizers(), [&]<class Optimizer>(Optimizer optimizer) {
        const OptimizerPass<T, Optimizer>& pass = t.optimizers;
        const Arrays arrays = pass.arrays(optimizer);
        const auto array = [&](bool wanted) { return wanted ? a() : nullptr; };
        pass.apply(region, update, {}, g(), {array(arrays.m), array(arrays.v), array(arrays.mean)}, a());
        pass.apply(region, update, {T(0.5), T(0.1)}, g(), {a(), a(), a()}, a());
      });
      t.average(region, T(0.1), g(), a());
    });
}

// A layer of one output: rows are padded to multiples of slice_width.
template <class T>
void one_output(Index m, Index n) {
  const Index width = (n + slice_width - 1) / slice_width * slice_width;
  for (std::size_t g = 0; g < activation_count; ++g)
    if (const auto backward = table<T>().one_output_backward[g])
      at_edges("one_output_backward", m, n, width, [&] {
        backward(m, n, memory.take<T>(m), memory.take<T>(width), memory.take<T>(m * width), width, memory.take<T>(n),
                 memory.take<T>(1), memory.take<T>(width));
      });
}

// Every row has an entry in the first and the last column. If row numbers are given, they go from the last to the
// first.
template <class T>
void sparse(Index m, Index n, Index inputs) {
  const Dropout settings{1, 2, 0, 40000};
  for (const bool drops : {false, true})
    at_edges("sparse", m, n, inputs, [&] {
      const Index count = inputs > 1 ? 2 : 1;
      SparseRows<T> x;
      Index* indptr = memory.take<Index>(m + 1);
      for (Index i = 0; i <= m; ++i) indptr[i] = count * i;
      auto* columns = memory.take<std::int32_t>(count * m);
      for (Index i = 0; i < count * m; ++i) columns[i] = static_cast<std::int32_t>(i % count * (inputs - 1));
      Index* rows = memory.take<Index>(m);
      for (Index i = 0; i < m; ++i) rows[i] = m - 1 - i;
      x = {indptr, columns, memory.take<T>(count * m), drops ? rows : nullptr};
      const InputDropout dropout{drops ? &settings : nullptr, 3};
      const Index ld = n + 1;
      T *w = matrix_of<T>(inputs, n, ld), *z = matrix_of<T>(m, n, ld);
      table<T>().sparse_forward({m, n, x, dropout, w, ld, memory.take<T>(n), z, ld});
      table<T>().sparse_gradient({m, n, x, dropout, z, ld, w, ld});
      table<T>().sparse_dot({m, 1, x, dropout, memory.take<T>(inputs), 1, memory.take<T>(1), memory.take<T>(m), 1});
    });
}

// One column each of values, bins and levels; the last row has the largest codes.
template <class T, class Code>
void binned(Index m, Index n, Index features) {
  at_edges("binned", m, n, features, [&] {
    BinnedColumn* layout = memory.take<BinnedColumn>(3);
    layout[0] = {ColumnKind::value, 1}, layout[1] = {ColumnKind::bins, features};
    layout[2] = {ColumnKind::levels, features};
    Code* codes = memory.take<Code>(2 * m);
    for (Index i = 0; i < 2 * m; ++i) codes[i] = static_cast<Code>(i + 2 < 2 * m ? 0 : features - 1);
    SparseRows<T> x;
    x.binned = {layout, 3, codes, sizeof(Code), 2, memory.take<T>(2 * m), 2};
    const Index ld = n + 1, inputs = 1 + 2 * features;
    T *w = matrix_of<T>(inputs, n, ld), *z = matrix_of<T>(m, n, ld);
    table<T>().binned_forward({m, n, x, {}, w, ld, memory.take<T>(n), z, ld});
    table<T>().binned_gradient({m, n, x, {}, z, ld, w, ld});
    table<T>().running_sums(inputs, n, w, ld, matrix_of<T>(inputs, n, ld), ld);
  });
}

// Two training steps of a network with one hidden layer on m examples; every array is allocated separately.
template <class T>
void slices(Index m, Index inputs, Index hidden, Index outputs, Activation activation, bool indexed) {
  at_edges("slice_steps", m, outputs, hidden, [&] {
    const Kernels<T>& t = table<T>();
    const auto wide = [](Index n) { return (n + slice_width - 1) / slice_width * slice_width; };
    const Index steps = 2, last = (m - 1) % sum_rows + 1, last_rows = std::min<Index>(last, 32);
    const Index slice_count = (m - last) / whole_slice + (last + last_rows - 1) / last_rows;
    const Index rows = m > sum_rows ? whole_slice : last_rows;
    const auto g = static_cast<std::size_t>(activation);
    SliceLayer<T> layers[2]{};
    layers[0].n_in = inputs, layers[0].n_out = layers[1].n_in = hidden, layers[1].n_out = outputs;
    layers[0].width = wide(hidden);
    layers[0].weight_count = inputs * layers[0].width;
    layers[0].activate = t.activate[g];
    layers[0].activate_backward = t.activate_backward[g];
    layers[0].one_output_backward = t.one_output_backward[g];
    layers[1].offset = layers[0].weight_count + layers[0].width;
    layers[1].width = outputs == 1 ? 1 : wide(outputs);
    layers[1].weight_count = outputs == 1 ? wide(hidden) : hidden * layers[1].width;
    if (outputs > 1) layers[1].weights = memory.take<T>(outputs * wide(hidden));
    for (SliceLayer<T>& layer : layers) layer.a = memory.take<T>(rows * layer.width);

    SliceSteps<T> s{};
    s.size = 1, s.layers = layers, s.layer_count = 2;
    s.loss = t.loss[static_cast<std::size_t>(Loss::squared_error)];
    Index* order = memory.take<Index>(m);
    for (Index i = 0; i < m; ++i) order[i] = m - 1 - i;
    SliceExamples<T>& e = s.examples;
    e.x = memory.take<T>(m * inputs), e.y = memory.take<T>(m * outputs);
    e.x_row = indexed ? inputs : 1, e.x_col = indexed ? 1 : m, e.y_row = outputs, e.y_col = 1;
    if (indexed) e.weights = memory.take<T>(m), e.rows = order, e.rows_end = m;
    s.m = m, s.last_slice_rows = last_rows, s.loss_rows = whole_slice, s.steps = steps;
    s.parameter_count = layers[1].offset + layers[1].weight_count + wide(outputs);
    const auto flat = [&](Index count) { return memory.take<T>(count * s.parameter_count, T(0.01)); };
    s.parameters = flat(1), s.partials = flat(slice_count);
    s.l2 = indexed ? 0.1 : 0;
    const Update<T> update{.rate = T(0.1)}, updates[] = {update, update};
    s.updates = updates, s.is_sgd = !indexed;
    if (indexed) s.moments = {flat(1), flat(1)};
    s.cost = memory.take<BatchCost>(steps);
    s.x = memory.take<T>(rows * wide(inputs));
    s.y = memory.take<T>(rows * (outputs > 1 ? wide(outputs) : 1));
    s.weight = memory.take<T>(rows), s.value = memory.take<T>(m);
    s.da = memory.take<T>(2 * t.tile_rows * wide(hidden));
    s.loss_scratch = memory.take<T>(2 * outputs * t.lanes);
    s.label = memory.take<std::int32_t>(rows);
    t.slice_steps(s);
  });
}

void bf16(Index m, Index n, Index k) {
  const Bf16Kernels<float>& t = *bf16_kernels<float>();
  const Index which = m + n + k, steps = (k + 1) / 2;
  at_edges("bf16 gemm_block", m, n, k, [&] {
    Bf16Block<float> g{.m = m, .n = n, .k = steps};
    g.a = memory.take<Bf16Pair>(m * steps, 0x3f003f00);
    g.b = memory.take<Bf16Pair>(steps * padded<float>(n), 0x3f003f00);
    g.ldc = n + 1;
    g.c = matrix_of<float>(m, n, g.ldc);
    g.start = static_cast<Start>(which % 3);
    if (g.start == Start::bias) g.bias = memory.take<float>(n);
    const float* sums[] = {matrix_of<float>(m, n, g.ldc), g.c};
    g.addends = {sums, which % 3, 0};
    if (g.addends.count == 0) g.epilogue = epilogue<float>(which % 5, m, n, g.c, g.ldc);
    t.gemm_block(g);
  });
}

template <class T>
void all() {
  const Kernels<T>& t = table<T>();
  memory.fill(T(0.5));
  const Index lanes = t.lanes, depth = 2 * std::max<Index>(lanes, fetch_steps) + 1;
  for (Index m = 0; m <= 2 * t.tile_rows + 1; ++m)
    for (Index n = 0; n <= 2 * t.tile_columns + 1; ++n) {
      for (Index k = 0; k <= depth; ++k) products<T>(m, n, k);
      memory.fill(T(0.5));  // repeated sums may have overflowed to infinity
    }
  for (Index count = 0; count <= 2 * t.tile_columns + 1; ++count)
    for (Index k = 0; k <= depth; ++k)
      for (const Index step : {count, padded<T>(count)}) pack<T, T>("pack_panel", t.pack_panel, count, step, k, k);
  for (Index m = 0; m <= 2 * lanes + 1; ++m)
    for (Index n = 0; n <= 2 * 4 * lanes + 1; n += n < 2 * lanes + 1 ? 1 : 3) passes<T>(m, n);
  for (Index n = 0; n <= 2 * 4 * lanes + 1; ++n) vectors<T>(n);
  memory.fill(T(0.5));
  for (const Index m : {0, 1, 2, 9})
    for (Index n = 1; n <= 2 * 4 * lanes + 1; ++n) one_output<T>(m, n);
  for (const Index m : {0, 1, 9})
    for (Index n = 1; n <= 2 * 8 * lanes + 1; ++n)
      for (const Index inputs : {1, 17}) {
        sparse<T>(m, n, inputs);
        binned<T, std::uint8_t>(m, n, inputs);
        binned<T, std::uint16_t>(m, n, inputs);
        binned<T, std::int32_t>(m, n, inputs);
      }
  for (const Index m : {1, 2, 31, 33, 65})
    for (const Index inputs : {Index{1}, Index{2}, lanes, lanes + 1, Index{17}})
      for (const Index hidden : {1, 3, 16, 17, 33, 65})
        for (const Index outputs : {1, 2, 16, 17})
          for (const bool indexed : {false, true})
            for (const auto activation : {Activation::relu, Activation::tanh})
              slices<T>(m, inputs, hidden, outputs, activation, indexed);
  for (const bool indexed : {false, true}) slices<T>(sum_rows + 8, 5, 17, 2, Activation::relu, indexed);
}

void all_bf16() {
  const Kernels<float>& t = table<float>();
  memory.fill(0.5f);
  for (Index m = 0; m <= 2 * t.tile_rows + 1; ++m)
    for (Index n = 0; n <= 2 * t.tile_columns + 1; ++n)
      for (Index k = 0; k <= 9; ++k) bf16(m, n, k);
  for (Index count = 0; count <= 2 * t.tile_columns + 1; ++count)
    for (Index k = 0; k <= 4 * t.lanes + 1; ++k)
      for (const Index step : {count, padded<float>(count)})
        pack<Bf16Pair, float>("bf16 pack_panel", bf16_kernels<float>()->pack_panel, count, step, k, (k + 1) / 2);
}

}  // namespace
}  // namespace chainrule::test

int main() {
  using namespace chainrule::test;
  report_faults();
  for_each_isa([] {
    const std::string isa = chainrule::active_isa();
    running.isa = isa.c_str();
    all<float>();
    all<double>();
    if (chainrule::bf16_kernels<float>() != nullptr) all_bf16();
  });
  return check::finish("test_guard_pages");
}
