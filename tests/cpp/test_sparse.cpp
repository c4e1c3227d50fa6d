// The kernels for rows of a sparse matrix against loops over the dense one.
#include "support.h"

namespace chainrule::test {
namespace {

// A matrix with empty rows, in both forms, and the rows of it that a batch takes.
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
  SparseRows<T> view(bool named) const {
    return {indptr.data(), indices.data(), values.data(), named ? order.data() : nullptr};
  }
  T at(bool named, Index i, Index j) const {
    return dense[static_cast<std::size_t>((named ? order[static_cast<std::size_t>(i)] : i) * cols + j)];
  }
};

template <class T>
void products(Index m, Index inputs, Index outputs, bool named, bool drops) {
  const Matrix<T> x(m, inputs);
  const Index row = 5;  // of the batch
  const Dropout settings{77, 5, 0, 40000};
  const InputDropout dropout{drops ? &settings : nullptr, row};
  std::vector<T> factors(static_cast<std::size_t>(m * inputs), T(1));
  if (drops) kernels<T>().dropout_factors(settings, m, inputs, row, 0, factors.data(), inputs);
  const auto input = [&](Index i, Index j) {
    return x.at(named, i, j) * factors[static_cast<std::size_t>(i * inputs + j)];
  };

  const Index ld = outputs + 3;
  std::vector<T> w = random_values<T>(inputs * ld, 1), b = random_values<T>(outputs, 2);
  std::vector<T> z(static_cast<std::size_t>(m * ld), T(-9)), dw(w), dz = random_values<T>(m * ld, 4);
  kernels<T>().sparse_forward({m, outputs, x.view(named), dropout, w.data(), ld, b.data(), z.data(), ld});
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < ld; ++j) {
      T sum = j < outputs ? b[static_cast<std::size_t>(j)] : T(-9);
      for (Index p = 0; j < outputs && p < inputs; ++p)
        sum = std::fma(input(i, p), w[static_cast<std::size_t>(p * ld + j)], sum);
      CHECK(agree(z[static_cast<std::size_t>(i * ld + j)], sum, static_cast<double>(inputs)), m, inputs, outputs, i, j);
    }

  kernels<T>().sparse_gradient({m, outputs, x.view(named), dropout, dz.data(), ld, dw.data(), ld});
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
  kernels<T>().sparse_dot({m, 1, x.view(named), dropout, w.data(), 1, b.data(), got.data(), 1});
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(agree(got[i], want[i], static_cast<double>(inputs)));
}

template <class T>
void all_products() {
  for (const Index m : {1, 4, 17})
    for (const Index inputs : {1, 19, 90})
      for (const Index outputs : {1, 3, 16, 45, 160})
        for (const bool named : {false, true})
          for (const bool drops : {false, true}) products<T>(m, inputs, outputs, named, drops);
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
