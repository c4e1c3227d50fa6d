// Products in bf16. The rounding of floats is checked exactly, for every kind of value. The products are compared with
// a naive implementation that rounds its operands in the same way and sums in double, for ragged shapes, several
// strides and several numbers of threads.
#include <bit>
#include <limits>

#include "core/gemm.h"
#include "core/gemm_bf16.h"
#include "support.h"

namespace chainrule::test {
namespace {

constexpr float untouched = 12345;

// The upper half of a float after rounding to nearest, ties to even. NaNs become quiet, denormal numbers become 0.
std::uint16_t rounded(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (std::isnan(x)) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  if (std::fpclassify(x) == FP_SUBNORMAL) return static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
double as_double(float x) { return std::bit_cast<float>(static_cast<std::uint32_t>(rounded(x)) << 16); }

void rounding() {
  using limits = std::numeric_limits<float>;
  std::vector<float> values = {0.0f,
                               -0.0f,
                               1.0f,
                               -1.0f,
                               0x1.01p0f,
                               0x1.03p0f,
                               -0x1.01p0f,
                               0x1.00fffep0f,
                               0x1.010002p0f,
                               limits::infinity(),
                               -limits::infinity(),
                               limits::max(),
                               limits::lowest(),
                               limits::min(),
                               -limits::min(),
                               limits::denorm_min(),
                               -limits::denorm_min(),
                               0x1.fep-127f,
                               0x1.fffffp-127f,
                               limits::quiet_NaN(),
                               -limits::quiet_NaN(),
                               std::bit_cast<float>(0x7f800001u),
                               std::bit_cast<float>(0xff80ffffu),
                               std::bit_cast<float>(0x7fffffffu),
                               0x1.fffffep-126f};
  std::uint32_t state = 1;
  while (values.size() < 4000) values.push_back(std::bit_cast<float>(state = state * 1664525u + 1013904223u));
  const auto count = static_cast<Index>(values.size());
  std::vector<Bf16Pair> row(values.size() / 2), column(values.size());
  // Packs the values as one row, where neighbors share a pair, and as the first of two columns, the second of which is
  // zeros.
  std::vector<float> both(values);
  both.resize(2 * values.size(), 0.0f);
  bf16_kernels<float>()->pack_panel(1, 1, count, values.data(), count, 1, row.data());
  bf16_kernels<float>()->pack_panel(count, count, 2, both.data(), 1, count, column.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto pair = static_cast<std::uint32_t>(row[i / 2]);
    CHECK((i % 2 == 0 ? pair & 0xffff : pair >> 16) == rounded(values[i]), values[i]);
    CHECK(static_cast<std::uint32_t>(column[i]) == rounded(values[i]), values[i]);
  }
}

// For each element of C, the bias plus the products of rounded operands, summed in double, and a bound for the
// difference from a float32 sum of k terms.
struct Expected {
  std::vector<double> sum, bound;
};
Expected naive(MatrixView<const float> a, MatrixView<const float> b, const float* bias) {
  Expected expected;
  for (Index i = 0; i < a.rows; ++i)
    for (Index j = 0; j < b.cols; ++j) {
      double sum = bias != nullptr ? static_cast<double>(bias[j]) : 0, magnitude = std::abs(sum);
      for (Index p = 0; p < a.cols; ++p) {
        const double term = as_double(a(i, p)) * as_double(b(p, j));
        sum += term;
        magnitude += std::abs(term);
      }
      expected.sum.push_back(sum);
      // Each of at most 2 k roundings is off by 2^-24 of a partial sum.
      expected.bound.push_back(magnitude * static_cast<double>(2 * a.cols + 1) * 0x1p-24);
    }
  return expected;
}

void check_close(const std::vector<float>& got, Index ldc, const Expected& expected, Index m, Index n,
                 double times = 1) {
  for (Index i = 0; i < m; ++i) {
    for (Index j = 0; j < n; ++j) {
      const float value = got[static_cast<std::size_t>(i * ldc + j)];
      const auto at = static_cast<std::size_t>(i * n + j);
      CHECK(std::abs(static_cast<double>(value) - times * expected.sum[at]) <= times * expected.bound[at], i, j, value);
    }
    for (Index j = n; j < ldc; ++j) CHECK(got[static_cast<std::size_t>(i * ldc + j)] == untouched);
  }
}

void products(Index m, Index n, Index k) {
  std::vector<float> a = random_values<float>(m * k, 1), b = random_values<float>(k * n, 2);
  std::vector<float> bias = random_values<float>(n, 3), at(a.size()), bt(b.size()), gaps(a.size() * 2);
  const MatrixView<const float> av = matrix(a, m, k), bv = matrix(b, k, n);
  for (Index i = 0; i < m; ++i)
    for (Index p = 0; p < k; ++p)
      at[static_cast<std::size_t>(p * m + i)] = gaps[static_cast<std::size_t>(2 * (i * k + p))] = av(i, p);
  for (Index p = 0; p < k; ++p)
    for (Index j = 0; j < n; ++j) bt[static_cast<std::size_t>(j * k + p)] = bv(p, j);
  const MatrixView<const float> a_columns = MatrixView<const float>(matrix(at, k, m)).transposed();
  const MatrixView<const float> b_columns = MatrixView<const float>(matrix(bt, n, k)).transposed();
  const MatrixView<const float> a_gaps{gaps.data(), m, k, 2 * k, 2};

  const Index ldc = n + 3;
  const auto fresh = [&] { return std::vector<float>(static_cast<std::size_t>(m * ldc), untouched); };
  const auto view = [&](std::vector<float>& c) { return MatrixView<float>{c.data(), m, n, ldc, 1}; };
  const Expected expected = naive(av, bv, nullptr), with_bias = naive(av, bv, bias.data());

  std::vector<float> once = fresh();
  gemm_bf16<float>(av, bv, view(once), 1);
  check_close(once, ldc, expected, m, n);
  // The bits depend neither on strides nor on the number of threads.
  for (const auto& x : {a_columns, a_gaps}) {
    std::vector<float> again = fresh();
    gemm_bf16<float>(x, b_columns, view(again), 3);
    CHECK(again == once, m, n, k);
  }

  // B is packed in parts, as threads pack it after an update. The epilogue visits each element once.
  PackedBf16<float> packed(k, n), parts(k, n);
  packed.pack(bv);
  for (Index p = 0; p < k; p += 6)
    for (Index panel = 0; panel < parts.panels(); ++panel)
      parts.pack(b_columns, panel, panel + 1, p, std::min(p + 6, k));
  const Buffer<Bf16Pair> scratch = bf16_scratch();
  const Index relu = static_cast<Index>(Activation::relu);
  std::vector<float> z = fresh(), z_parts = fresh(), activated = fresh(), back = fresh();
  gemm_bf16_packed<float>(av, packed, bias.data(), z.data(), ldc, scratch.data());
  gemm_bf16_packed<float>(av, parts, bias.data(), z_parts.data(), ldc, scratch.data(),
                          {kernels<float>().activate[relu], nullptr, activated.data(), ldc});
  check_close(z, ldc, with_bias, m, n);
  CHECK(z == z_parts, m, n, k);
  gemm_bf16_packed<float>(av, packed, nullptr, back.data(), ldc, scratch.data(),
                          {nullptr, kernels<float>().activate_backward[relu], activated.data(), ldc});
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) {
      const auto e = static_cast<std::size_t>(i * ldc + j);
      CHECK(activated[e] == std::max(z[e], 0.0f));
      CHECK(back[e] == (activated[e] > 0 ? once[e] : 0.0f));
    }

  if (k > sum_rows) return;
  for (const auto& right : {bv, b_columns}) {
    std::vector<float> dw = fresh();
    gemm_bf16_transposed<float>(matrix(at, k, m), right, {}, dw.data(), ldc, scratch.data());
    CHECK(dw == once, m, n, k);
    const std::vector<float> last = random_values<float>(m * ldc + 3, 9);  // from element 3 on
    std::vector<float> before(3), sum = fresh();
    before.insert(before.end(), dw.begin(), dw.end());
    const float* addends[] = {last.data(), before.data()};
    gemm_bf16_transposed<float>(matrix(at, k, m), right, {addends, 2, 3}, sum.data(), ldc, scratch.data());
    for (Index i = 0; i < m; ++i)
      for (Index j = 0; j < n; ++j) {
        const auto e = static_cast<std::size_t>(i * ldc + j);
        CHECK(sum[e] == dw[e] + (last[e + 3] + once[e]), m, n, k);
      }
  }
}

}  // namespace
}  // namespace chainrule::test

int main() {
  using namespace chainrule::test;
  using chainrule::bf16_kernels, chainrule::Index;
  for_each_isa([] {
    CHECK(bf16_kernels<double>() == nullptr);
    if (bf16_kernels<float>() == nullptr) return;
    rounding();
    const Index shapes[][3] = {{1, 1, 1},      {1, 1, 0},     {0, 5, 3},      {3, 0, 5},       {2, 3, 5},
                               {14, 32, 32},   {15, 33, 33},  {13, 31, 16},   {31, 81, 17},    {7, 16, 50},
                               {8, 10, 64},    {129, 33, 70}, {150, 40, 512}, {230, 520, 300}, {5, 67, 2050},
                               {60, 20, 2047}, {3, 600, 511}};
    for (const auto& [m, n, k] : shapes) products(m, n, k);
  });
  return check::finish("test_bf16");
}
