// The sliced and the two-phase schedule give bit-identical costs, gradients and parameters after some steps on the same
// batches, for ragged shapes, all kinds of examples, all optimizers and several numbers of threads.
#include <numeric>

#include "net/network.h"
#include "support.h"
#include "train/sliced.h"
#include "train/two_phase.h"

namespace chainrule::test {
namespace {

template <class T>
struct Case {
  std::vector<Index> sizes;
  Activation activation;
  Loss loss;
  Index rows, batch;
  bool shuffled = false, weighted = false, labels = false, columns_first = false;
  double l2 = 0;
};

// Trains for some epochs. Appends the cost of each step to `costs`; returns the parameters, followed by the last
// gradients if the stepper stores them.
template <class T, class Steps>
std::vector<T> trained(const Case<T>& c, FitOptions<T> options, int threads, std::vector<double>& costs) {
  Network<T> network(c.sizes, {.activation = c.activation, .loss = c.loss, .seed = 5});
  const Index inputs = c.sizes.front(), outputs = c.sizes.back();
  std::vector<T> x = random_values<T>(c.rows * inputs, 2), y = random_values<T>(c.rows * outputs, 3),
                 w = random_values<T>(c.rows, 4);
  std::vector<std::int32_t> labels;
  std::vector<Index> order(static_cast<std::size_t>(c.shuffled ? c.rows : 0));
  std::iota(order.begin(), order.end(), Index{0});
  for (std::size_t i = 0; i < order.size(); ++i) std::swap(order[i], order[i * 7919 % order.size()]);
  for (Index i = 0; i < c.rows; ++i) labels.push_back(static_cast<std::int32_t>(i * i % outputs));
  for (T& value : y) value = c.loss == Loss::squared_error ? value : std::abs(value);
  for (T& value : w) value = std::abs(value);
  Examples<T> examples{matrix(x, c.rows, inputs), {matrix(y, c.rows, outputs)}, c.weighted ? w.data() : nullptr};
  if (c.columns_first) examples.x = matrix(x, inputs, c.rows).transposed();
  if (c.columns_first) examples.targets.values = matrix(y, outputs, c.rows).transposed();
  if (c.labels) examples.targets = {{}, labels.data()};

  const Model<T> model = model_of(network);
  options.l2 = c.l2;
  options.threads = threads;
  Steps schedule(model, network.parameters().data(), c.batch, options);
  const std::vector<Rates> rates(64, Rates{.learning_rate = 0.9, .weight_decay = 0.5});
  for (int epoch = 0; epoch < 3; ++epoch)
    for (Index first = 0; first < c.rows;) {
      const Index m = std::min(c.batch, c.rows - first);
      const Index steps = std::min(schedule.steps_at_once(), (c.rows - first) / m);
      for (const BatchCost& cost :
           schedule.run({examples, order, first, m, m, std::span(rates).first(static_cast<std::size_t>(steps))}))
        costs.push_back(cost.mean);
      first += steps * m;
    }
  schedule.store();
  std::vector<T> result(network.parameters().begin(), network.parameters().end());
  if (!options.stop.gradient_norm_below) return result;
  result.resize(2 * result.size());
  schedule.gradients(result.data() + network.parameters().size());
  return result;
}

template <class T>
void schedules(const Case<T>& c) {
  FitOptions<T> settings[] = {
      {.optimizer = Sgd{.learning_rate = 0.1}},
      {.optimizer = Sgd{.learning_rate = 0.05, .momentum = 0.9}},
      {.optimizer = Sgd{.learning_rate = 0.1, .weight_decay = 0.1}},
      {.optimizer = Sgd{.learning_rate = 0.05, .momentum = 0.9, .nesterov = true, .rate_in_velocity = true}},
      {.optimizer = Adam{.learning_rate = 0.01}},
      {.optimizer = Adam{.learning_rate = 0.01, .epsilon_hat = true, .weight_decay = 0.1}, .l2_per_row = true}};
  for (FitOptions<T>& options : settings) {
    options.stop.gradient_norm_below = 0;
    std::vector<double> expected_costs;
    const std::vector<T> expected = trained<T, TwoPhase<T>>(c, options, 1, expected_costs);
    for (const int threads : {1, 2, 3}) {
      std::vector<double> costs;
      const std::vector<T> got = trained<T, Sliced<T>>(c, options, threads, costs);
      Index different = 0;
      for (std::size_t i = 0; i < got.size(); ++i) different += !agree(got[i], expected[i], 1e4);
      CHECK(different == 0, c.sizes.front(), c.sizes.back(), c.rows, c.batch, &options - settings, threads, different);
      // With a penalty, costs differ by rounding: each schedule sums the squared weights in its own order.
      for (std::size_t i = 0; i < costs.size(); ++i) {
        const double tolerance = c.l2 == 0 && fused() ? 0 : fused() ? 1e-14 : 1e-3;
        CHECK(std::abs(costs[i] - expected_costs[i]) <= tolerance * std::abs(expected_costs[i]), costs[i],
              expected_costs[i]);
      }
    }
  }
}

// With the two-phase schedule, several threads give the same bits as one, whether they share rows, outputs, or first
// outputs and then rows. Storing all gradients in an array changes no bit.
template <class T>
void teams(const Case<T>& c) {
  const FitOptions<T> settings[] = {{.optimizer = Sgd{.learning_rate = 0.1}},
                                    {.optimizer = Adam{}},
                                    {.optimizer = RmsProp{.momentum = 0.5, .centered = true}, .clip_norm = 0.1},
                                    {.optimizer = Adagrad{}, .clip_value = 1e-3, .ema = 0.9},
                                    {.optimizer = Adam{.weight_decay = 0.1},
                                     .l2_per_row = true,
                                     .groups = {{{0}, Kind::weights, 0.5, 0}, {{}, Kind::biases, 2, 0}},
                                     .clip_norm = 0.1,
                                     .ema = 0.5}};
  for (const FitOptions<T>& options : settings) {
    std::vector<double> expected_costs;
    const std::vector<T> expected = trained<T, TwoPhase<T>>(c, options, 1, expected_costs);
    for (const int threads : {2, 3, 7}) {
      std::vector<double> costs;
      CHECK((trained<T, TwoPhase<T>>(c, options, threads, costs)) == expected, c.sizes.back(), c.batch, threads);
      CHECK(costs == expected_costs, c.sizes.back(), c.batch, threads);
    }
    FitOptions<T> stored = options;
    stored.stop.gradient_norm_below = 0;
    std::vector<T> with_gradients = trained<T, TwoPhase<T>>(c, stored, 2, expected_costs);
    with_gradients.resize(expected.size());
    CHECK(with_gradients == expected, c.sizes.back(), c.batch);
  }
}

template <class T>
void all() {
  using enum Activation;
  using enum Loss;
  teams<T>({{70, 230, 130, 7}, relu, softmax_cross_entropy, 150, 70, true, false, true});         // narrow last layer
  teams<T>({{90, 20, 300, 130}, tanh, squared_error, 100, 50, false, false, false, true, 0.01});  // wide last layer
  teams<T>({{130, 300, 1}, logistic, binary_cross_entropy, 130, 65, true, true});
  teams<T>({{200, 150}, identity, squared_error, 120, 60, true});                       // no hidden layer
  teams<T>({{300, 10}, identity, softmax_cross_entropy, 900, 450, true, false, true});  // no hidden layer, few outputs
  set_caches("32K:8,256K:8,32M:16");  // activations of 700 rows, and the weights, exceed this second-level cache
  teams<T>({{60, 500, 70, 40}, relu, squared_error, 700, 700, false, true, false, true});  // threads share rows
  set_caches("");
  teams<T>({{100, 300, 200, 100}, relu, squared_error, 24, 8, true, false, false, false, 0.1});  // few rows: no panels
  schedules<T>({{2, 4, 1}, tanh, binary_cross_entropy, 4, 4});
  schedules<T>({{32, 32, 1}, tanh, squared_error, 20, 1, true});
  schedules<T>({{7, 5, 3, 2}, relu, squared_error, 9, 1, true, true});
  schedules<T>({{33, 17, 1}, tanh, binary_cross_entropy, 20, 1, true, false, false, true});
  schedules<T>({{5, 21, 1, 5, 1}, logistic, squared_error, 97, 13, true, true, false, false, 0.01});
  schedules<T>({{20, 64, 1}, tanh, binary_cross_entropy, 1000, 1000, false, true, false, false, 0.01});
  schedules<T>({{17, 33, 65, 5}, relu, softmax_cross_entropy, 333, 100, true, false, true});
  schedules<T>({{17, 33, 15}, tanh, softmax_cross_entropy, 1500, 700, false, true, true, true, 0.001});
  schedules<T>({{3, 16, 17}, identity, squared_error, 140, 64, false, false, false, true});
  schedules<T>({{30, 1}, identity, binary_cross_entropy, 500, 257, true, true});
  schedules<T>({{19, 10}, identity, softmax_cross_entropy, 300, 129, false, false, false, true});
  schedules<T>({{4, 60, 1}, logistic, squared_error, 9000, 9000});  // more slices than arrays for their gradients
}

}  // namespace
}  // namespace chainrule::test

int main() {
  chainrule::test::for_each_isa([] {
    chainrule::test::all<float>();
    chainrule::test::all<double>();
  });
  return check::finish("schedules");
}
