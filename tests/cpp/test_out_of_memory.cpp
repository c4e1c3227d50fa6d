// Makes the n-th allocation of every public call fail, for n = 1, 2, ... until the call succeeds: only the n-th, or the
// n-th and all later ones. The call, on one or several threads, must throw std::bad_alloc or do its work. After an
// error, objects are unchanged or, during a fit, as they were after one of its steps.
#include <algorithm>

#include "chainrule/chainrule.hpp"
#include "failing_memory.h"
#include "folder.h"
#include "support.h"

namespace chainrule::test {
namespace {

struct Data {
  Index rows, inputs, outputs;
  std::vector<float> x, y;
  std::vector<std::int32_t> labels, columns;
  std::vector<Index> indptr{0};

  Data(Index m, Index n_in, Index n_out)
      : rows(m),
        inputs(n_in),
        outputs(n_out),
        x(random_values<float>(m * n_in, 1)),
        y(random_values<float>(m * n_out, 2)) {
    for (float& value : y) value = value > 0;
    for (Index i = 0; i < m; ++i) {
      labels.push_back(static_cast<std::int32_t>(i % n_out));
      for (Index j = 0; j < n_in; ++j) columns.push_back(static_cast<std::int32_t>(j));
      indptr.push_back(static_cast<Index>(columns.size()));
    }
  }
  MatrixView<const float> matrix() const { return MatrixView<const float>::contiguous(x.data(), rows, inputs); }
  SparseView<float> sparse() const { return {indptr.data(), columns.data(), x.data(), rows, inputs}; }
  Targets<float> values() const { return {MatrixView<const float>::contiguous(y.data(), rows, outputs)}; }
  Targets<float> classes() const { return {{}, labels.data()}; }
};

using Values = std::vector<float>;
Values parameters_of(const Network<float>& network) {
  return {network.parameters().begin(), network.parameters().end()};
}

void networks() {
  const NetworkOptions options{.activations = {Activation::tanh, Activation::relu},
                               .loss = Loss::quantile,
                               .loss_parameters = {0.1, 0.9},
                               .seed = 1};
  const std::vector<Index> sizes{7, 9, 11, 2};
  const Network<float> model(sizes, options);
  const Values expected = parameters_of(model);
  const auto nothing = [] {};
  Values got;
  const auto same = [&](bool failed) { CHECK(failed || got == expected); };
  fail_allocations("Network", nothing, [&] { got = parameters_of(Network<float>(sizes, options)); }, same);
  fail_allocations("a copy", nothing, [&] { got = parameters_of(Network<float>(model)); }, same);
  Network<float> target({3, 1});
  const Values before = parameters_of(target);
  fail_allocations(
      "an assignment", [&] { target = Network<float>({3, 1}); }, [&] { target = model; },
      [&](bool failed) { CHECK(parameters_of(target) == (failed ? before : expected)); });
  fail_allocations("a large network", nothing, [] { Network<float>({2100, 2100, 1}); }, [](bool) {});
}

void predictions(int threads) {
  const Data data(1800, 20, 2);
  const Network<float> network({20, 64, 2}, {.seed = 1});
  const Values before = parameters_of(network);
  for (const bool sparse : {false, true}) {
    const Inputs<float> x = sparse ? Inputs<float>(data.sparse()) : Inputs<float>(data.matrix());
    const Examples<float> examples{x, data.values()};
    Values out(data.y.size()), expected(out), g(before.size()), expected_g(g);
    double cost = 0;
    const double expected_cost = network.cost(examples, 0.1, threads);
    network.gradients(examples, expected_g, 0.1, nullptr, threads);
    network.predict(x, matrix(expected, data.rows, 2), threads);
    const auto nothing = [] {};
    const auto unchanged = [&](bool right) { CHECK(right && parameters_of(network) == before); };
    fail_allocations(
        "predict", nothing, [&] { network.predict(x, matrix(out, data.rows, 2), threads); },
        [&](bool failed) { unchanged(failed || out == expected); });
    fail_allocations(
        "cost", nothing, [&] { cost = network.cost(examples, 0.1, threads); },
        [&](bool failed) { unchanged(failed || cost == expected_cost); });
    fail_allocations(
        "gradients", nothing, [&] { network.gradients(examples, g, 0.1, nullptr, threads); },
        [&](bool failed) { unchanged(failed || g == expected_g); });
  }
}

constexpr int epochs = 6;  // so that histories grow more than once

struct FitCase {
  const char* name;
  std::vector<Index> sizes;
  Examples<float> examples;
  FitOptions<float> options;
  Loss loss = Loss::squared_error;

  Network<float> network() const { return Network<float>(sizes, {.loss = loss, .seed = 1}); }
};

// A history has an entry for each epoch that it counts.
void check_history(const History& h, bool validated) {
  const auto count = static_cast<std::size_t>(h.epochs);
  CHECK(h.loss.size() == count && h.learning_rate.size() == count, h.epochs, h.loss.size());
  CHECK(!validated || h.validation.size() == count, h.epochs, h.validation.size());
  for (const auto& values : h.metrics) CHECK(!validated || values.size() == count, h.epochs, values.size());
}

// Trains from the beginning, or, if `resumed`, from the state after half of the epochs.
void fit_once(const FitCase& t, bool resumed) {
  FitOptions<float> options = t.options;
  options.epochs = epochs;
  FitState<float> half;
  if (resumed) {
    Network<float> network = t.network();
    options.state = &half;
    options.epochs = epochs / 2;
    fit(network, t.examples, options);
    options.epochs = epochs - epochs / 2;
  }
  std::vector<Values> steps;  // the parameters that the network may have after an error
  Network<float> network = t.network();
  steps.push_back(parameters_of(network));
  FitState<float> state = half;
  History history;
  options.state = &state;
  options.history = &history;
  {
    FitOptions<float> watched = options;
    watched.on_epoch_end = [&](const EpochLog&, const std::function<void()>&) {
      steps.push_back(parameters_of(network));
      return false;
    };
    for (const auto& [name, values] : half.vectors) steps.push_back(values);  // parameters, average, best
    fit(network, t.examples, watched);
    steps.push_back(parameters_of(network));  // the averaged or best parameters, if the options ask for them
  }
  const Values expected = steps.back();
  fail_allocations(
      t.name,
      [&] {
        network = t.network();
        state = half;
      },
      [&] { fit(network, t.examples, options); },
      [&](bool failed) {
        check_history(history, options.validation.has_value());
        const Values got = parameters_of(network);
        CHECK(failed || got == expected);
        const bool whole_epochs = !options.batch_size;
        CHECK(!whole_epochs || std::ranges::find(steps, got) != steps.end(), history.epochs);
        CHECK(!failed || state.epoch == half.epoch || state.epoch == epochs, state.epoch);
        if (failed && state.epoch == half.epoch) CHECK(state.vectors == half.vectors && state.numbers == half.numbers);
      });
}

void fits(int threads) {
  const Data small(4, 2, 1), data(400, 20, 3), few(4, 100, 10);
  const Examples<float> xor_like{small.matrix(), small.values()}, dense{data.matrix(), data.values()},
      classes{data.matrix(), data.classes()}, sparse{data.sparse(), data.values()};
  const CustomLoss<float> loss = [](MatrixView<const float> z, std::span<const Index>, MatrixView<float> dz) {
    for (Index i = 0; i < z.rows; ++i)
      for (Index j = 0; j < z.cols; ++j) dz(i, j) = z(i, j) / static_cast<float>(z.rows);
    return 1.0;
  };
  FitOptions<float> all{.optimizer = RmsProp{.momentum = 0.5, .centered = true},
                        .groups = {{{0}, Kind::weights, 0.5, 0}},
                        .clip_norm = 0.5,
                        .ema = 0.9,
                        .dropout = {0.25},
                        .input_dropout = 0.1,
                        .schedules = {.learning_rate = Cosine{}},
                        .validation = classes,
                        .metrics = {{Score::auc}, {Score::log_loss}},
                        .stop = {.gradient_norm_below = 1e-9, .no_improvement = 1000}};
  const FitOptions<float> rounded{.batch_size = 100, .precision = Precision::bf16};
  std::vector<FitCase> list = {
      {"four rows", {2, 4, 1}, xor_like, {.optimizer = Sgd{.learning_rate = 0.1}}},
      {"sliced", {20, 64, 3}, dense, {.optimizer = Adam{}, .validation = dense}},
      {"sliced batches", {20, 64, 3}, dense, {.optimizer = Adam{}, .batch_size = 100}},
      {"everything", {20, 70, 50, 3}, classes, all, Loss::softmax_cross_entropy},
      {"sparse", {20, 64, 3}, sparse, {.optimizer = Adagrad{}, .input_dropout = 0.1}},
      {"L-BFGS", {20, 64, 3}, dense, {.optimizer = Lbfgs{}}},
      {"few rows", {100, 300, 10}, {few.matrix(), few.values()}, {.optimizer = Sgd{.momentum = 0.9}}},
      {"a custom loss", {20, 64, 3}, dense, {.optimizer = Sgd{}, .custom_loss = loss}}};
  if (bf16_kernels<float>() != nullptr) list.push_back({"bf16", {20, 64, 3}, dense, rounded});
  for (FitCase& t : list) {
    t.options.threads = threads;
    for (const bool resumed : {false, true}) fit_once(t, resumed);
  }
}

void many_fits(int threads) {
  const Data data(500, 20, 1);
  const Examples<float> examples{data.matrix(), data.values()};
  const FitOptions<float> options{.batch_size = 100, .epochs = 3, .groups = {{}}};  // each job copies these
  std::vector<Network<float>> networks;
  std::vector<FitOutcome> outcomes;
  Values expected;
  {
    Network<float> alone({20, 30, 1}, {.seed = 1});
    fit(alone, examples, options);
    expected = parameters_of(alone);
  }
  std::vector<FitJob<float>> jobs;
  fail_allocations(
      "fit_many",
      [&] {
        networks.assign(5, Network<float>({20, 30, 1}, {.seed = 1}));
        jobs.clear();
        for (Network<float>& network : networks) jobs.push_back({&network, examples, options});
        outcomes.clear();
      },
      [&] { outcomes = fit_many<float>(jobs, {.threads = threads}); },
      [&](bool failed) {
        CHECK(failed || outcomes.size() == networks.size());
        for (std::size_t i = 0; i < outcomes.size(); ++i)
          CHECK(outcomes[i].error || parameters_of(networks[i]) == expected, i);
      });
}

// The file is the complete new or old model, and nothing else is left in the folder.
void files() {
  const Folder folder;
  const std::filesystem::path path = folder.path / "a model with a name longer than a short string.safetensors";
  const Network<double> before({3, 4, 1}, {.seed = 1}), after({3, 5, 1}, {.seed = 2});
  const auto holds = [&](const Network<double>& network) {
    return std::ranges::equal(load<double>(path).parameters(), network.parameters());
  };
  fail_allocations(
      "save", [&] { save(before, path); }, [&] { save(after, path, {{"a text", std::string(100, 'x')}}); },
      [&](bool failed) {
        CHECK(holds(after) || (failed && holds(before)));
        CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
      });
  Network<double> network = before;
  Metadata metadata;
  fail_allocations(
      "load", [&] { network = before, metadata = {{"key", "value"}}; },
      [&] { network = load<double>(path, &metadata); },
      [&](bool failed) {
        CHECK(std::ranges::equal(network.parameters(), (failed ? before : after).parameters()));
        CHECK(metadata.contains(failed ? "key" : "a text"));
      });
}

void settings() {
  const std::string isa = active_isa();
  const auto same = [&](bool) { CHECK(active_isa() == isa); };
  fail_allocations("available_isas", [] {}, [] { available_isas(); }, same);
  fail_allocations("set_isa", [] {}, [&] { set_isa(isa); }, same);
  fail_allocations("num_threads_reason", [] {}, [] { num_threads_reason(); }, same);
}

}  // namespace
}  // namespace chainrule::test

int main() {
  using namespace chainrule::test;
  settings();
  networks();
  files();
  for (const int threads : {1, 2, 3}) {
    predictions(threads);
    fits(threads);
    many_fits(threads);
  }
  return check::finish("test_out_of_memory");
}
