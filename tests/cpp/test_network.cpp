// Typical use of the C++ library: build a network, fit it, predict; the bits are the same for any number of threads.
#include <algorithm>

#include "chainrule/chainrule.hpp"
#include "core/random.h"
#include "support.h"

namespace chainrule::test {
namespace {

// Random123's known answers for Philox4x32-10.
void known_answers() {
  CHECK(
      (philox(0, Stream::init, 0, 0) == std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
}

void initial_parameters_are_copied() {
  const std::vector<float> initial{1, 2, 3, 4};
  const Network<float> network({3, 1}, {}, initial);
  CHECK(network.init() == Init::given && std::ranges::equal(network.parameters(), initial));
}

template <class T>
std::vector<T> fitted(int threads, Index batch_size) {
  const Index m = 700, inputs = 90, classes = 10;
  std::vector<T> x = random_values<T>(m * inputs, 20);
  std::vector<std::int32_t> labels;
  for (Index i = 0; i < m; ++i) labels.push_back(x[static_cast<std::size_t>(i * inputs)] > 0 ? 3 : 8);
  Network<T> network({inputs, 130, 70, classes},
                     {.activation = Activation::tanh, .loss = Loss::softmax_cross_entropy, .seed = 3});
  const Examples<T> examples{matrix(x, m, inputs), {{}, labels.data()}, nullptr};
  const History history = fit(network, examples,
                              {.optimizer = Adam{.learning_rate = 0.01},
                               .batch_size = some_rows(batch_size),
                               .epochs = 20,
                               .threads = threads,
                               .seed = 1});
  CHECK(history.epochs == 20 && history.stop_reason == "epochs" && history.loss.size() == 20);
  CHECK(history.loss.back() < 0.5 * history.loss.front());
  std::vector<T> out(static_cast<std::size_t>(m * classes));
  network.predict(matrix(x, m, inputs), matrix(out, m, classes), threads);
  for (Index i = 0; i < m; ++i) {
    double sum = 0;
    for (Index j = 0; j < classes; ++j) sum += static_cast<double>(out[static_cast<std::size_t>(i * classes + j)]);
    CHECK(std::abs(sum - 1) < 1e-5);
  }
  std::vector<T> result(network.parameters().begin(), network.parameters().end());
  result.insert(result.end(), out.begin(), out.end());
  return result;
}

void wrong_arguments_throw() {
  const auto throws = [](auto call) {
    try {
      call();
    } catch (const std::invalid_argument& error) {
      return std::string(error.what()).size() > 10;
    }
    return false;
  };
  Network<float> network({3, 2, 1});
  std::vector<float> x(8), out(2);
  CHECK(throws([] { Network<float>({3}); }));
  CHECK(throws([] { Network<float>({3, 0, 1}); }));
  CHECK(throws([&] { network.logits(matrix(x, 2, 4), matrix(out, 2, 1)); }));
  CHECK(throws([&] { fit(network, Examples<float>{matrix(x, 2, 3), {matrix(out, 2, 1)}}, {.epochs = 0}); }));
  CHECK(throws([] { set_isa("sse9"); }));
  CHECK(throws([] { Network<float>({3, 1}, {}, std::vector<float>(3)); }));
  Network<float> quantiles({3, 2}, {.loss = Loss::quantile, .loss_parameters = {0.1, 0.9}});
  CHECK(throws([&] { quantiles.cost(matrix(x, 2, 3), matrix(out, 2, 1)); }));
  CHECK(quantiles.cost(matrix(x, 2, 3), matrix(out, 2, 1).repeated_column(2)) == 0);
}

void the_history_of_a_diverged_fit_has_its_complete_epochs() {
  std::vector<float> x{1, 2, 3, 4}, y{2, 4, 6, 8};
  Network<float> network({1, 1});
  History history;
  bool diverged = false;
  try {
    fit(network, Examples<float>{matrix(x, 4, 1), {matrix(y, 4, 1)}},
        {.optimizer = Sgd{.learning_rate = 1e6}, .history = &history});
  } catch (const DivergenceError&) {
    diverged = true;
  }
  CHECK(diverged && history.epochs > 0 && std::ssize(history.loss) == history.epochs);
  CHECK(history.learning_rate.size() == history.loss.size() && std::isfinite(history.loss.back()));
}

void three_arguments_of_a_view_mean_rows_without_gaps() {
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  const MatrixView<const float> view{values.data(), 2, 3};
  const MatrixView deduced(values.data(), 3, 2);
  CHECK(view.row_stride == 3 && view.col_stride == 1 && view(1, 0) == 4 && view(1, 2) == 6);
  CHECK(deduced(2, 0) == 5 && deduced.transposed()(1, 2) == 6);
  CHECK(view.columns_between(2, 3).repeated_column(4)(1, 3) == 6);
  const MatrixView<float> empty;
  CHECK(empty.data == nullptr && empty.rows == 0 && empty.cols == 0);
}

// Learns XOR from every type of data that fit() accepts. Each gives the same network, and predict() accepts it too.
void predict_accepts_what_fit_accepts() {
  std::vector<float> x{0, 0, 0, 1, 1, 0, 1, 1}, y{0, 1, 1, 0};
  const std::vector<Index> ends{0, 0, 1, 2, 4};
  const std::vector<std::int32_t> columns{1, 0, 0, 1};
  const std::vector<float> ones(4, 1.0f);
  const SparseView<float> sparse{ends.data(), columns.data(), ones.data(), 4, 2};
  const MatrixView<float> writable{x.data(), 4, 2}, targets{y.data(), 4, 1};
  const MatrixView<const float> readable = writable;
  const FitOptions<float> options{.optimizer = Adam{.learning_rate = 0.02}, .epochs = 400};
  const auto train = [&](auto fit_data, auto predict_data) {
    Network<float> network({2, 16, 1}, {.activation = Activation::tanh, .loss = Loss::binary_cross_entropy, .seed = 1});
    fit_data(network);
    std::vector<float> out(4), logits(4);
    predict_data(network, out, logits);
    for (std::size_t i = 0; i < 4; ++i) CHECK((out[i] > 0.5f) == (y[i] > 0.5f) && (logits[i] > 0) == (y[i] > 0.5f));
    return out;
  };
  const auto fit_and_predict = [&](const auto& data) {
    return train([&](auto& network) { fit(network, data, targets, options); },
                 [&](auto& network, auto& out, auto& logits) {
                   network.predict(data, {out.data(), 4, 1});
                   network.logits(data, {logits.data(), 4, 1});
                   CHECK(network.cost(data, targets) < 0.1);
                   CHECK(network.cost(data, targets) == network.cost({data, {targets}}));
                 });
  };
  const std::vector<float> expected = fit_and_predict(writable);
  CHECK(fit_and_predict(readable) == expected);
  CHECK(fit_and_predict(sparse) == expected);
  CHECK(fit_and_predict(Inputs<float>(sparse)) == expected);
  const std::vector<float> braces =
      train([&](auto& network) { fit(network, {x.data(), 4, 2}, {y.data(), 4, 1}, options); },
            [&](auto& network, auto& out, auto& logits) {
              network.predict({x.data(), 4, 2}, {out.data(), 4, 1});
              network.logits({x.data(), 4, 2}, {logits.data(), 4, 1});
              CHECK(network.cost({x.data(), 4, 2}, {y.data(), 4, 1}) < 0.1);
            });
  CHECK(braces == expected);
}

}  // namespace
}  // namespace chainrule::test

int main() {
  using namespace chainrule;
  using namespace chainrule::test;
  known_answers();
  wrong_arguments_throw();
  the_history_of_a_diverged_fit_has_its_complete_epochs();
  initial_parameters_are_copied();
  three_arguments_of_a_view_mean_rows_without_gaps();
  predict_accepts_what_fit_accepts();
  std::vector<float> first;
  for_each_isa([&] {
    for (const Index batch : {Index{0}, Index{256}}) {
      const std::vector<float> one = fitted<float>(1, batch);
      CHECK(one == fitted<float>(2, batch));
      CHECK(one == fitted<float>(3, batch));
      if (batch == 0 || !fused()) continue;
      if (first.empty()) first = one;
      CHECK(one == first);
    }
    CHECK(fitted<double>(1, 100) == fitted<double>(3, 100));
  });
  return check::finish("test_network");
}
