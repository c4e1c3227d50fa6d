// A C++ user's day: build a network, fit it, predict, and get the same bits from any number of threads.
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
                               .batch_size = batch_size,
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

void refusals() {
  const auto refuses = [](auto call) {
    try {
      call();
    } catch (const std::invalid_argument& error) {
      return std::string(error.what()).size() > 10;
    }
    return false;
  };
  Network<float> network({3, 2, 1});
  std::vector<float> x(8), out(2);
  CHECK(refuses([] { Network<float>({3}); }));
  CHECK(refuses([] { Network<float>({3, 0, 1}); }));
  CHECK(refuses([&] { network.logits(matrix(x, 2, 4), matrix(out, 2, 1)); }));
  CHECK(refuses([&] { fit(network, Examples<float>{matrix(x, 2, 3), {matrix(out, 2, 1)}}, {.epochs = 0}); }));
  CHECK(refuses([] { set_isa("sse9"); }));
}

}  // namespace
}  // namespace chainrule::test

int main() {
  using namespace chainrule;
  using namespace chainrule::test;
  known_answers();
  refusals();
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
