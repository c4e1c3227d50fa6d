// Golden bits: hashes of the parameters, costs and predictions after fits of every kind. With fused multiply-add they
// are the same on every instruction set, compiler and system, for any number of threads and any caches. Without it a
// second set of hashes applies, which is the same everywhere too. Changing a hash changes the arithmetic contract
// (cpp/README.md).
#include <array>
#include <bit>
#include <map>
#include <set>

#include "golden.h"
#include "support.h"

namespace chainrule::test {
namespace {

// FNV-1a over the bytes, least significant first.
struct Hash {
  unsigned long long value = 0xcbf29ce484222325;
  template <class T>
  void add(T number) {
    using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    auto bits = std::bit_cast<Bits>(number);
    for (std::size_t i = 0; i < sizeof bits; ++i, bits >>= 8) value = (value ^ (bits & 0xff)) * 0x100000001b3;
  }
};

// Inputs are multiples of 2^-10 in [-2, 2), and targets sums of two of their products: exact in both types.
template <class T>
struct Sample {
  std::vector<T> x, y, weights, sparse_values, binned_values;
  std::vector<BinnedColumn> layout;
  std::vector<std::uint8_t> codes;
  std::vector<std::int32_t> labels, sparse_indices;
  std::vector<Index> indptr{0};
  Examples<T> examples;

  explicit Sample(const GoldenFit& t) {
    const Index m = t.rows, inputs = t.sizes.front(), outputs = t.sizes.back();
    for (const double value : random_values<double>(m * inputs, 7))
      x.push_back(static_cast<T>(static_cast<double>(static_cast<int>(value * 2048)) / 1024));
    for (Index i = 0; i < m; ++i) {
      T* row = x.data() + i * inputs;
      for (Index j = 0; j < inputs; ++j) {
        if (t.data == Data::sparse && (i * 7 + j * 13) % 8 != 0) row[j] = 0;
        if (row[j] == 0) continue;
        sparse_values.push_back(row[j]);
        sparse_indices.push_back(static_cast<std::int32_t>(j));
      }
      indptr.push_back(static_cast<Index>(sparse_values.size()));
      for (Index j = 0; j < outputs; ++j) {
        const T value = row[j % inputs] * row[(j + 1) % inputs] + row[(j + 3) % inputs] * row[(j + 5) % inputs];
        const LossTraits& loss = traits_of(t.network.loss);
        y.push_back(loss.of_classes()        ? value > 0
                    : loss.unit_free()       ? value
                    : !loss.targets.with_low ? value * value + T(0.25)
                                             : value * value);
      }
      weights.push_back(static_cast<T>(i % 7) / 4);
      labels.push_back(static_cast<std::int32_t>((2 * (row[0] > 0) + (row[1 % inputs] > row[2 % inputs])) % outputs));
    }
    examples = {matrix(x, m, inputs), {matrix(y, m, outputs)}};
    if (t.data == Data::labels || t.data == Data::weighted_labels) examples.targets = {{}, labels.data()};
    if (t.data == Data::weighted_labels) examples.weights = weights.data();
    if (t.data == Data::by_columns) examples.x = matrix(x, inputs, m).transposed();
    if (t.data == Data::binned) bin(m, inputs);
    if (t.data == Data::sparse)
      examples.x = SparseView<T>{indptr.data(), sparse_indices.data(), sparse_values.data(), m, inputs};
  }

  // Columns of every kind, with `inputs` features in all. The fractions are those of x / 2.
  void bin(Index m, Index inputs) {
    for (Index features = 1; inputs > 0; inputs -= features, ++features) {
      features = std::min(features, inputs);
      layout.push_back({features == 1       ? ColumnKind::value
                        : features % 3 == 0 ? ColumnKind::levels
                                            : ColumnKind::bins,
                        features});
    }
    const Index columns = examples.x.cols;
    for (Index i = 0; i < m; ++i)
      for (std::size_t c = 0; c < layout.size(); ++c) {
        const auto [kind, features] = layout[c];
        const T value = x[static_cast<std::size_t>(i * columns) + c];
        if (kind != ColumnKind::value)
          codes.push_back(static_cast<std::uint8_t>((i * 7 + static_cast<Index>(c) * 5) % features));
        if (kind != ColumnKind::levels)
          binned_values.push_back(kind == ColumnKind::value ? value : std::abs(value) / 2);
      }
    examples.x = BinnedView<T>(layout, codes.data(), binned_values.data(), m);
  }
};

template <class T>
struct Outcome {
  std::vector<T> parameters;
  unsigned long long hash;
};

template <class T>
Outcome<T> outcome(const GoldenFit& t, int threads) {
  const Sample<T> sample(t);
  NetworkOptions network_options = t.network;
  network_options.seed = 11;
  Network<T> network(t.sizes, network_options);
  FitOptions<T> options{.optimizer = t.optimizer,
                        .batch_size = some_rows(t.batch),
                        .epochs = t.epochs,
                        .l2 = t.l2,
                        .groups = t.groups,
                        .clip_norm = t.clip_norm,
                        .clip_value = t.clip_value,
                        .ema = t.ema,
                        .dropout = {t.dropout},
                        .input_dropout = t.input_dropout,
                        .schedules = t.schedules,
                        .threads = threads,
                        .seed = 12};
  if (t.sizes.size() == 2) options.dropout = {};
  std::vector<Index> third;
  for (Index i = 0; t.validates && i < t.rows; i += 3) third.push_back(i);
  if (t.validates) {
    options.validation = sample.examples;
    options.validation_rows = third;
    options.metrics = {{Score::log_loss}, {Score::auc}};
    options.stop.no_improvement = t.epochs;
  }
  const History history = fit(network, sample.examples, options);
  CHECK(history.epochs > 1 && history.loss.back() < history.loss.front(), t.name, history.epochs);

  std::vector<T> predictions(sample.y.size());
  network.predict(sample.examples.x, matrix(predictions, t.rows, t.sizes.back()), threads);
  Hash hash;
  for (const T value : network.parameters()) hash.add(value);
  for (const T value : predictions) hash.add(value);
  for (const double value : history.loss) hash.add(value);
  for (const double value : history.validation) hash.add(value);
  for (const auto& metric : history.metrics)
    for (const double value : metric) hash.add(value);
  return {{network.parameters().begin(), network.parameters().end()}, hash.value};
}

// ‖a - b‖
template <class A, class B>
double distance(const std::vector<A>& a, const std::vector<B>& b) {
  double squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    squares += difference * difference;
  }
  return std::sqrt(squares);
}

// The outcome of a fit on an instruction set. Successive fits use different numbers of threads and caches; since these
// counts have no common divisor, every combination occurs.
struct Outcomes {
  Outcome<float> float32;
  Outcome<double> float64;

  explicit Outcomes(const GoldenFit& t) : float32(outcome<float>(t, 1)), float64(outcome<double>(t, 1)) {
    static std::size_t turn = 0;
    for (const char* caches : some_caches) {
      const int threads = std::array{1, 2, 3, 7}[turn++ % 4];
      set_caches(caches);
      CHECK(outcome<float>(t, threads).hash == float32.hash, t.name, threads, caches);
      CHECK(outcome<double>(t, threads).hash == float64.hash, t.name, threads, caches);
    }
    set_caches("");
  }
};

// The rounding error of a float32 fit is its distance from the float64 fit. Without fused multiply-add there are at
// most twice as many roundings, so results with and without it differ by at most three times that error; in float64, by
// 2^-29 of it.
void check_distance(const char* name, const Outcomes& fused, const Outcomes& unfused) {
  const double rounding = distance(fused.float32.parameters, fused.float64.parameters);
  const double apart32 = distance(fused.float32.parameters, unfused.float32.parameters);
  const double apart64 = distance(fused.float64.parameters, unfused.float64.parameters);
  CHECK(apart32 <= 3 * rounding, name, apart32, rounding);
  CHECK(apart64 <= 3 * 0x1p-29 * rounding, name, apart64, rounding);
}

// Prints the entry that golden.h should contain.
void check(const GoldenFit& t) {
  Hashes found = t.golden;
  std::map<bool, Outcomes> outcomes;
  for (const std::string& isa : available_isas()) {
    set_isa(isa);
    const Outcomes& got = outcomes.insert_or_assign(fused(), Outcomes(t)).first->second;
    const auto compare = [&](unsigned long long& golden, unsigned long long hash) {
      CHECK(golden == hash, t.name, isa.c_str());
      golden = hash;
    };
    compare(fused() ? found.fused32 : found.unfused32, got.float32.hash);
    compare(fused() ? found.fused64 : found.unfused64, got.float64.hash);
  }
  if (outcomes.size() == 2) check_distance(t.name, outcomes.at(true), outcomes.at(false));
  if (found != t.golden)
    std::printf("%s: {0x%016llx, 0x%016llx, 0x%016llx, 0x%016llx}\n", t.name, found.fused32, found.fused64,
                found.unfused32, found.unfused64);
}

// Every activation and every loss occurs in a fit.
void check_activations_and_losses(const std::vector<GoldenFit>& fits) {
  std::set<Activation> activations;
  std::set<Loss> losses;
  for (const GoldenFit& t : fits) {
    activations.insert(t.network.activation);
    losses.insert(t.network.loss);
  }
  CHECK(activations.size() == activation_count, activations.size());
  CHECK(losses.size() == loss_count, losses.size());
}

}  // namespace
}  // namespace chainrule::test

int main() {
  const auto fits = chainrule::test::golden_fits();
  for (const auto& t : fits) chainrule::test::check(t);
  chainrule::test::check_activations_and_losses(fits);
  return check::finish("golden");
}
