// Compares every product with a naive implementation, for ragged shapes, orientations, strides, numbers of threads and
// cache sizes, on every ISA.
#include <cmath>
#include <iterator>

#include "core/gemm.h"
#include "support.h"

namespace chainrule::test {
namespace {

constexpr float untouched = 12345;

template <class T>
void check_equal(const std::vector<T>& got, Index ldc, const std::vector<T>& expected, Index m, Index n, Index k) {
  for (Index i = 0; i < m; ++i) {
    for (Index j = 0; j < n; ++j)
      CHECK(agree(got[static_cast<std::size_t>(i * ldc + j)], expected[static_cast<std::size_t>(i * n + j)],
                  2.0 * static_cast<double>(k)));
    for (Index j = n; j < ldc; ++j) CHECK(got[static_cast<std::size_t>(i * ldc + j)] == T(untouched));
  }
}

template <class T>
void gemm_naive(MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> c) {
  for (Index i = 0; i < a.rows; ++i)
    for (Index j = 0; j < b.cols; ++j) {
      T sum = 0;
      for (Index p = 0; p < a.cols; ++p) sum = std::fma(a(i, p), b(p, j), sum);
      c(i, j) = sum;
    }
}

template <class T>
void products(Index m, Index n, Index k) {
  std::vector<T> a = random_values<T>(m * k, 1), b = random_values<T>(k * n, 2), bias = random_values<T>(n, 3);
  const MatrixView<const T> av = matrix(a, m, k), bv = matrix(b, k, n);
  std::vector<T> expected(static_cast<std::size_t>(m * n)), c(expected.size());
  gemm_naive<T>(av, bv, matrix(expected, m, n));

  for (int threads : {1, 3}) {
    gemm<T>(av, bv, matrix(c, m, n), threads);
    check_equal(c, n, expected, m, n, k);
  }

  // The same numbers in transposed storage, and A with gaps and reversed rows.
  std::vector<T> at(a.size()), bt(b.size()), gaps(static_cast<std::size_t>(m * k * 2));
  for (Index i = 0; i < m; ++i)
    for (Index p = 0; p < k; ++p) {
      at[static_cast<std::size_t>(p * m + i)] = av(i, p);
      gaps[static_cast<std::size_t>((m - 1 - i) * 2 * k + 2 * p)] = av(i, p);
    }
  for (Index p = 0; p < k; ++p)
    for (Index j = 0; j < n; ++j) bt[static_cast<std::size_t>(j * k + p)] = bv(p, j);
  const MatrixView<const T> a_columns = MatrixView<const T>(matrix(at, k, m)).transposed();
  const MatrixView<const T> b_columns = MatrixView<const T>(matrix(bt, n, k)).transposed();
  const MatrixView<const T> a_gaps{gaps.data() + (m > 0 ? (m - 1) * 2 * k : 0), m, k, -2 * k, 2};
  for (const auto& x : {a_columns, a_gaps}) {
    gemm<T>(x, b_columns, matrix(c, m, n), 1);
    check_equal(c, n, expected, m, n, k);
  }

  const Buffer<T> scratch(gemm_scratch<T>(std::max(m, k), std::max({m, n, k})));
  const Index ldc = n + 3;
  const auto fresh = [&] { return std::vector<T>(static_cast<std::size_t>(m * ldc), T(untouched)); };

  // With a bias, the chain of additions begins with it.
  std::vector<T> with_bias(expected.size());
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) {
      T sum = bias[static_cast<std::size_t>(j)];
      for (Index p = 0; p < k; ++p) sum = std::fma(av(i, p), bv(p, j), sum);
      with_bias[static_cast<std::size_t>(i * n + j)] = sum;
    }
  Buffer<T> memory(PanelView<T>::size(k, n));
  const PanelView<T> packed{memory.data(), k, n};
  pack_panels(bv, packed, {0, packed.panels()});
  std::vector<T> r = fresh();
  gemm_packed<T>(a_gaps, packed, {0, n}, bias.data(), r.data(), ldc, scratch.data());
  check_equal(r, ldc, with_bias, m, n, k);

  // B is packed in parts, as threads pack it after an update.
  Buffer<T> parts_memory(PanelView<T>::size(k, n));
  const PanelView<T> parts{parts_memory.data(), k, n};
  for (Index p = 0; p < k; p += 5)
    for (Index panel = 0; panel < parts.panels(); ++panel)
      pack_panels(b_columns.rows_between(p, std::min(p + 5, k)), parts, {panel, panel + 1}, p);
  r = fresh();
  gemm_packed<T>(av, parts, {0, n}, bias.data(), r.data(), ldc, scratch.data());
  check_equal(r, ldc, with_bias, m, n, k);

  // The epilogue visits each element of C once, when it is complete; relu is applied in the tile. A large C is tested
  // only with relu and one other activation, to save time.
  for (int g = 0; fused() && g < activation_count; ++g) {
    const auto activation = static_cast<Activation>(g);
    if (m * n > 100'000 && activation != Activation::relu && activation != Activation::tanh) continue;
    const Activate<T> activate = kernels<T>().activate[g];
    const ActivateBackward<T> backward = kernels<T>().activate_backward[g];
    std::vector<T> activated(with_bias), slope(expected);
    activate(m, n, activated.data(), n, activated.data(), n);
    backward(m, n, activated.data(), n, slope.data(), n, slope.data(), n);
    std::vector<T> a_out = fresh();
    r = fresh();
    gemm_packed<T>(av, packed, {0, n}, bias.data(), r.data(), ldc, scratch.data(),
                   {activate, nullptr, a_out.data(), ldc});
    check_equal(r, ldc, with_bias, m, n, k);
    check_equal(a_out, ldc, activated, m, n, k);
    r = fresh();  // overwrites z
    gemm_packed<T>(av, packed, {0, n}, bias.data(), r.data(), ldc, scratch.data(), {activate, nullptr, r.data(), ldc});
    check_equal(r, ldc, activated, m, n, k);
    r = fresh();
    gemm_packed<T>(av, packed, {0, n}, nullptr, r.data(), ldc, scratch.data(), {nullptr, backward, a_out.data(), ldc});
    check_equal(r, ldc, slope, m, n, k);
  }

  r = fresh();
  gemm_unpacked<T>(av, bv, nullptr, r.data(), ldc, scratch.data());
  check_equal(r, ldc, expected, m, n, k);
  r = fresh();
  gemm_unpacked<T>(a_gaps, bv, bias.data(), r.data(), ldc, scratch.data());
  check_equal(r, ldc, with_bias, m, n, k);

  if (m <= kernels<T>().few_rows) {
    r = fresh();
    gemm_few_rows<T>(av, matrix(bt, n, k), r.data(), ldc);
    check_equal(r, ldc, expected, m, n, k);
  }

  if (k <= sum_rows) {
    for (const auto& left : {MatrixView<const T>(matrix(at, k, m)), a_gaps.transposed()})
      for (const auto& right : {bv, b_columns}) {
        r = fresh();
        // Then c = c + (last + product), which overwrites the first of the two sums; both start at element 2.
        const std::vector<T> last = random_values<T>(m * ldc + 2, 8);
        std::vector<T> sum(expected), memory(2);
        for (Index i = 0; i < m; ++i)
          for (Index j = 0; j < n; ++j) {
            T& value = sum[static_cast<std::size_t>(i * n + j)];
            value += last[static_cast<std::size_t>(i * ldc + j + 2)] + value;
          }
        gemm_transposed<T>(left, right, {}, {r.data(), ldc}, scratch.data());
        check_equal(r, ldc, expected, m, n, k);
        memory.insert(memory.end(), r.begin(), r.end());
        const T* addends[] = {last.data(), memory.data()};
        gemm_transposed<T>(left, right, {addends, 2, 2}, {memory.data() + 2, ldc}, scratch.data());
        check_equal({memory.begin() + 2, memory.end()}, ldc, sum, m, n, k);
        // The same with panels: c = c + product.
        std::vector<T> twice(expected);
        for (T& value : twice) value += value;
        Buffer<T> c_memory(PanelView<T>::size(m, n));
        const PanelView<T> panels{c_memory.data(), m, n};
        const T* before = c_memory.data();
        for (const auto& [count, result] : {std::pair{0, expected}, std::pair{1, twice}}) {
          gemm_transposed<T>(left, right, {&before, count, 0}, {c_memory.data(), 0, m}, scratch.data());
          for (Index panel = 0; panel < panels.panels(); ++panel) {
            const MatrixView<T> part = panels.panel(panel);
            for (Index j = 0; j < part.cols; ++j)
              for (Index i = 0; i < m; ++i)
                CHECK(agree(part(i, j), result[static_cast<std::size_t>(i * n + panel * kernels<T>().tile_columns + j)],
                            2.0 * static_cast<double>(k)));
          }
        }
      }
  }
}

template <class T>
void all_shapes() {
  const Index tile = kernels<T>().tile_rows, width = kernels<T>().tile_columns, lanes = kernels<T>().lanes;
  const Index shapes[][3] = {{1, 1, 1},
                             {1, 1, 0},
                             {0, 5, 3},
                             {3, 0, 5},
                             {2, 3, 5},
                             {tile, width, 16},
                             {tile + 1, width + 1, 17},
                             {tile - 1, width - 1, lanes},
                             {2 * tile + 3, 2 * width + lanes + 1, lanes + 1},
                             {7, lanes, 3 * lanes + 2},
                             {8, 10, 64},
                             {129, 33, 70},
                             {150, 40, 513},
                             {5, 67, 1030},
                             {260, 2 * width, 300},
                             {30, 1100, 300},   // A packed, B fetched ahead
                             {1, 1100, 1030},   // one row of A, packed
                             {15, 70, 1024},    // rows that share a set of the cache
                             {1024, 70, 40},    // the same for A of a dW
                             {40, 1024, 100},   // the same for B
                             {520, 1060, 20}};  // both packed, in blocks of columns
  std::size_t turn = 0;
  for (const auto& [m, n, k] : shapes)
    for (const char* caches : {some_caches[turn++ % std::size(some_caches)], *std::rbegin(some_caches)}) {
      set_caches(caches);
      products<T>(m, n, k);
    }
  set_caches("");
}

}  // namespace
}  // namespace chainrule::test

int main() {
  using namespace chainrule::test;
  for_each_isa([] {
    all_shapes<float>();
    all_shapes<double>();
  });
  return check::finish("test_gemm");
}
