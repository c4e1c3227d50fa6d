// Compares the kernels for sparse and binned rows with loops over the dense matrix.
#include "support.h"

namespace chainrule::test {
namespace {

// A matrix with empty rows, in dense and sparse form, and the rows of a batch.
template <class T>
struct Matrix {
  Index rows, cols;
  std::vector<T> dense, values;
  std::vector<Index> indptr{0}, order;
  std::vector<std::int32_t> indices;

  Matrix(Index m, Index n) : rows(m), cols(n), dense(random_values<T>(m * n, 3)) {
    for (Index i = 0; i < m; ++i) {
      for (Index j = 0; j < n; ++j) {
        T& x = dense[static_cast<std::size_t>(i * n + j)];
        if (i % 5 == 3 || (i * 7 + j * 11) % 4 != 0) {
          x = 0;
          continue;
        }
        indices.push_back(static_cast<std::int32_t>(j));
        values.push_back(x);
      }
      indptr.push_back(static_cast<Index>(indices.size()));
      order.push_back((i * 3 + 1) % m);
    }
  }
  SparseRows<T> view(bool indexed) const {
    return {indptr.data(), indices.data(), values.data(), indexed ? order.data() : nullptr};
  }
  T at(bool indexed, Index i, Index j) const {
    return dense[static_cast<std::size_t>((indexed ? order[static_cast<std::size_t>(i)] : i) * cols + j)];
  }
};

template <class T>
void products(Index m, Index inputs, Index outputs, bool indexed, bool drops) {
  const Matrix<T> x(m, inputs);
  const Index row = 5;  // position in the batch
  const Dropout settings{77, 5, 0, 40000};
  const InputDropout dropout{drops ? &settings : nullptr, row};
  std::vector<T> factors(static_cast<std::size_t>(m * inputs), T(1));
  if (drops) kernels<T>().drop(settings, m, inputs, row, 0, factors.data(), inputs, nullptr, 0);
  const auto input = [&](Index i, Index j) {
    return x.at(indexed, i, j) * factors[static_cast<std::size_t>(i * inputs + j)];
  };

  const Index ld = outputs + 3;
  std::vector<T> w = random_values<T>(inputs * ld, 1), b = random_values<T>(outputs, 2);
  std::vector<T> z(static_cast<std::size_t>(m * ld), T(-9)), dw(w), dz = random_values<T>(m * ld, 4);
  kernels<T>().sparse_forward({m, outputs, x.view(indexed), dropout, w.data(), ld, b.data(), z.data(), ld});
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < ld; ++j) {
      T sum = j < outputs ? b[static_cast<std::size_t>(j)] : T(-9);
      for (Index p = 0; j < outputs && p < inputs; ++p)
        sum = std::fma(input(i, p), w[static_cast<std::size_t>(p * ld + j)], sum);
      CHECK(agree(z[static_cast<std::size_t>(i * ld + j)], sum, static_cast<double>(inputs)), m, inputs, outputs, i, j);
    }

  kernels<T>().sparse_gradient({m, outputs, x.view(indexed), dropout, dz.data(), ld, dw.data(), ld});
  for (Index p = 0; p < inputs; ++p)
    for (Index j = 0; j < ld; ++j) {
      T sum = w[static_cast<std::size_t>(p * ld + j)];
      for (Index i = 0; j < outputs && i < m; ++i)
        sum = std::fma(input(i, p), dz[static_cast<std::size_t>(i * ld + j)], sum);
      CHECK(agree(dw[static_cast<std::size_t>(p * ld + j)], sum, static_cast<double>(m)), m, inputs, outputs, p, j);
    }

  std::vector<T> rows(static_cast<std::size_t>(m * inputs)), want(static_cast<std::size_t>(m)), got(want);
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < inputs; ++j) rows[static_cast<std::size_t>(i * inputs + j)] = input(i, j);
  kernels<T>().dot_rows(m, inputs, rows.data(), inputs, w.data(), b[0], want.data(), 1);
  kernels<T>().sparse_dot({m, 1, x.view(indexed), dropout, w.data(), 1, b.data(), got.data(), 1});
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(agree(got[i], want[i], static_cast<double>(inputs)));
}

// Compares the forward product of binned rows with that of the CSR matrix of their entries. The orders of the sums
// differ, because the kernels sum 64 columns at a time, kind by kind. Also compares the gradient with that of the
// features. max_features: the largest number of features of a column.
template <class T, class Code>
void binned_products(Index m, Index columns, Index outputs, bool indexed, Index max_features = 7) {
  std::vector<BinnedColumn> layout;
  for (Index c = 0; c < columns; ++c)
    layout.push_back({static_cast<ColumnKind>(c % 3), c % 3 == 0 ? 1 : 1 + (c * 5) % max_features});
  const BinnedView<T> shape(layout, static_cast<const Code*>(nullptr), static_cast<const T*>(nullptr), m);
  std::vector<Code> codes;
  std::vector<T> values, entries;
  std::vector<Index> indptr{0}, order;
  std::vector<std::int32_t> indices;
  const std::vector<T> fractions = random_values<T>(m * columns, 5);
  std::vector<double> x_features(static_cast<std::size_t>(m * shape.cols));  // the features of X
  for (Index i = 0; i < m; ++i) {
    std::int32_t first = 0;
    for (Index c = 0; c < columns; ++c) {
      const auto [kind, features] = layout[static_cast<std::size_t>(c)];
      const T value = std::abs(fractions[static_cast<std::size_t>(i * columns + c)]);
      const Index b = (i * 3 + c) % (features + (kind == ColumnKind::levels));  // the largest code means no level
      double* of_column = x_features.data() + i * shape.cols + first;
      for (Index j = 0; kind == ColumnKind::bins && j < b; ++j) of_column[j] = 1;
      if (b < features) of_column[b] = kind == ColumnKind::levels ? 1 : static_cast<double>(value);
      const auto add = [&](Index feature, T entry) {
        indices.push_back(first + static_cast<std::int32_t>(feature));
        entries.push_back(entry);
      };
      if (kind != ColumnKind::value) codes.push_back(static_cast<Code>(b));
      if (kind != ColumnKind::levels) values.push_back(value);
      if (kind == ColumnKind::value) add(0, value);
      if (kind == ColumnKind::bins && b > 0) add(b - 1, 1 - value);
      if (kind == ColumnKind::bins) add(b, value);
      if (kind == ColumnKind::levels && b < features) add(b, 1);
      first += static_cast<std::int32_t>(features);
    }
    indptr.push_back(static_cast<Index>(indices.size()));
    order.push_back((i * 3 + 1) % m);
  }
  const Index* rows = indexed ? order.data() : nullptr;
  const SparseRows<T> csr{indptr.data(), indices.data(), entries.data(), rows};
  SparseRows<T> x;
  x.rows = rows;
  x.binned = {layout.data(),       columns,       codes.data(),        sizeof(Code),
              shape.codes_per_row, values.data(), shape.values_per_row};

  const Index inputs = shape.cols, ld = outputs + 3;
  const std::vector<T> w = random_values<T>(inputs * ld, 1), b = random_values<T>(outputs, 2);
  std::vector<T> z(static_cast<std::size_t>(m * ld), T(-9)), want(z), dw(w);
  kernels<T>().binned_forward({m, outputs, x, {}, w.data(), ld, b.data(), z.data(), ld});
  kernels<T>().sparse_forward({m, outputs, csr, {}, w.data(), ld, b.data(), want.data(), ld});
  const T epsilon = static_cast<T>(sizeof(T) == 4 ? 0x1p-23 : 0x1p-52);
  for (std::size_t k = 0; k < z.size(); ++k)
    CHECK(std::abs(z[k] - want[k]) <= epsilon * static_cast<T>(9 * (columns + 1)), m, columns, outputs, k);
  kernels<T>().binned_gradient({m, outputs, x, {}, z.data(), ld, dw.data(), ld});
  for (Index p = 0; p < inputs; ++p)
    for (Index j = 0; j < ld; ++j) {
      const auto at = static_cast<std::size_t>(p * ld + j);
      double sum = 0, magnitude = 0;
      for (Index i = 0; i < m; ++i) {
        const Index row = indexed ? order[static_cast<std::size_t>(i)] : i;
        const double term = x_features[static_cast<std::size_t>(row * inputs + p)] *
                            static_cast<double>(z[static_cast<std::size_t>(i * ld + j)]);
        sum += term;
        magnitude += std::abs(term);
      }
      if (j < outputs)
        CHECK(std::abs(static_cast<double>(dw[at]) - sum) <=
                  static_cast<double>(epsilon) * static_cast<double>(m) * magnitude,
              m, columns, outputs, p, j);
      else
        CHECK(dw[at] == w[at], m, columns, outputs, p, j);
    }
}

template <class T>
void running_sums(Index m, Index n) {
  const Index ld = n + 3;
  const std::vector<T> x = random_values<T>(m * ld, 1);
  std::vector<T> y(x);
  kernels<T>().running_sums(m, n, x.data(), ld, y.data(), ld);
  for (Index j = 0; j < ld; ++j) {
    T sum = 0;
    for (Index i = 0; i < m; ++i) {
      const auto at = static_cast<std::size_t>(i * ld + j);
      sum = i > 0 ? sum + x[at] : x[at];
      CHECK(y[at] == (j < n ? sum : x[at]), m, n, i, j);
    }
  }
}

template <class T>
void all_products() {
  for (const Index m : {1, 5, 17})
    for (const Index columns : {1, 2, 3, 50, 100})
      for (const Index outputs : {1, 3, 16, 45, 64, 160})
        for (const bool indexed : {false, true}) {
          binned_products<T, std::uint8_t>(m, columns, outputs, indexed);
          binned_products<T, std::uint16_t>(m, columns, outputs, indexed);
          binned_products<T, std::int32_t>(m, columns, outputs, indexed);
        }
  for (const Index outputs : {3, 64}) binned_products<T, std::uint16_t>(sum_rows, 5, outputs, true, 600);
  for (const Index m : {1, 2, 17})
    for (Index n = 1; n <= 6 * kernels<T>().lanes + 1; ++n) running_sums<T>(m, n);
  for (const Index m : {1, 4, 17})
    for (const Index inputs : {1, 19, 90})
      for (const Index outputs : {1, 3, 16, 45, 160})
        for (const bool indexed : {false, true})
          for (const bool drops : {false, true}) products<T>(m, inputs, outputs, indexed, drops);
}

}  // namespace
}  // namespace chainrule::test

int main() {
  using namespace chainrule::test;
  for_each_isa([] {
    all_products<float>();
    all_products<double>();
  });
  return check::finish("sparse");
}
