// The trainings whose results are kept as hashes, chosen so that every optimizer, schedule, loss, activation and kind
// of examples is in one of them.
#pragma once

#include <optional>
#include <vector>

#include "chainrule/chainrule.hpp"

namespace chainrule::test {

// Of the results: in both types, with fused multiply-add and without.
struct Hashes {
  unsigned long long fused32, fused64, unfused32, unfused64;
  bool operator==(const Hashes&) const = default;
};

enum class Data { dense, by_columns, labels, weighted_labels, sparse };

struct Training {
  const char* name;
  Hashes golden;
  std::vector<Index> sizes;
  Index rows, batch;
  int epochs = 4;
  Data data = Data::dense;
  NetworkOptions network{};
  OptimizerOptions optimizer = Adam{.learning_rate = 0.01};
  RateSchedules schedules{};
  std::vector<Group> groups{};
  double l2 = 0, dropout = 0, input_dropout = 0;
  std::optional<double> clip_norm{}, clip_value{}, ema{};
  bool validates = false;  // on every third row, with metrics, of which one decides which epoch is the best
};

inline std::vector<Activation> every_activation() {
  std::vector<Activation> all;
  for (int i = 0; i < activation_count; ++i) all.push_back(static_cast<Activation>(i));
  return all;
}
inline std::vector<Index> a_layer_for_every_activation() {
  std::vector<Index> sizes{10};
  for (Index i = 0; i < activation_count; ++i) sizes.push_back(12 + i);
  sizes.push_back(2);
  return sizes;
}

inline std::vector<Training> golden_trainings() {
  using enum Activation;
  using enum Loss;
  return {
      // Small networks, in slices.
      {.name = "slices of xor",
       .golden = {0xb18287a57e8fcc8d, 0x4886ed1bdaac67b7, 0x3d7fb7bb90697815, 0x0edf2abf94a3fb67},
       .sizes = {2, 4, 1},
       .rows = 64,
       .batch = 0,
       .epochs = 30,
       .network = {.activation = tanh, .loss = binary_cross_entropy},
       .optimizer = Sgd{.learning_rate = 0.5}},
      {.name = "slices, adam",
       .golden = {0xef7897fcf19dccff, 0x87b231cae248d72b, 0xaff63c76645e7459, 0x769fea102e06857e},
       .sizes = {20, 64, 1},
       .rows = 1500,
       .batch = 700,
       .l2 = 0.01},
      {.name = "slices, momentum",
       .golden = {0x97095e5c63f0a355, 0xd19486486f5ddc01, 0x9ba67d737906f8b9, 0xd30319a48edbb6f9},
       .sizes = {17, 33, 15},
       .rows = 500,
       .batch = 129,
       .data = Data::labels,
       .network = {.activation = logistic, .loss = softmax_cross_entropy},
       .optimizer = Sgd{.learning_rate = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.01},
       .schedules = {.learning_rate = Cosine{}}},
      {.name = "slices of columns",
       .golden = {0x0fd54556686b62fe, 0x3a1f2ba2240918a5, 0x05c41c654288d5d4, 0xc8b1758aa802fce0},
       .sizes = {33, 5, 5, 2},
       .rows = 300,
       .batch = 50,
       .data = Data::by_columns,
       .network = {.activation = elu, .init = Init::he_normal},
       .optimizer = Adam{.learning_rate = 0.01, .epsilon_hat = true, .weight_decay = 0.1}},
      {.name = "slices, linear",
       .golden = {0xe0f2168c1be89611, 0xa0c9d6ee3fc33496, 0x0f8f39047a23da09, 0x8ea492f4774a6648},
       .sizes = {30, 10},
       .rows = 400,
       .batch = 64,
       .data = Data::weighted_labels,
       .network = {.loss = softmax_cross_entropy}},
      // In two phases, with rows or outputs for a team to share.
      {.name = "sgd",
       .golden = {0x6cba29b5be4e9831, 0xabb93096b21802fd, 0x52cdd12cd7cd8711, 0xc11adee2cb7495a6},
       .sizes = {70, 230, 130, 7},
       .rows = 900,
       .batch = 256,
       .data = Data::labels,
       .network = {.loss = softmax_cross_entropy},
       .optimizer = Sgd{.learning_rate = 0.05, .momentum = 0.9, .rate_in_velocity = true},
       .schedules = {.learning_rate = OneCycle{}}},
      {.name = "adam",
       .golden = {0xe49b732eaf211acc, 0x2e1d0393179e8eab, 0x13a4a7c4ce4d1335, 0x5a75db45b4415b35},
       .sizes = {300, 500, 40},
       .rows = 700,
       .batch = 350,
       .epochs = 2,
       .network = {.activation = tanh, .init = Init::glorot_normal},
       .optimizer = Adam{.learning_rate = 1e-3, .weight_decay = 0.1},
       .l2 = 1e-3},
      {.name = "rmsprop",
       .golden = {0x6d12d02c8ddbdb4c, 0x156ef3637efe9be9, 0xd705259b9a898ea9, 0x5ffef5a3f7e6ce73},
       .sizes = {90, 20, 300, 130},
       .rows = 300,
       .batch = 100,
       .network = {.activation = gelu},
       .optimizer = RmsProp{.learning_rate = 1e-3, .momentum = 0.5, .centered = true},
       .schedules = {.learning_rate = InverseScaling{}},
       .clip_norm = 0.1},
      {.name = "adagrad",
       .golden = {0x27a8f3c0ae6ea425, 0x29a38524c48cf243, 0x98a400b11072d9e7, 0xd5f96bf31b2b55a9},
       .sizes = {130, 300, 1},
       .rows = 600,
       .batch = 200,
       .network = {.activation = silu, .loss = binary_cross_entropy},
       .optimizer = Adagrad{.learning_rate = 0.01, .learning_rate_decay = 0.1},
       .schedules = {.learning_rate = ExponentialDecay{}},
       .clip_value = 1e-3,
       .ema = 0.9},
      {.name = "lbfgs",
       .golden = {0x12e498733f3d229c, 0x0c95e7b5c2fa789e, 0xae03baab14a98724, 0x8a1333e53b88ac39},
       .sizes = {60, 100, 3},
       .rows = 500,
       .batch = 0,
       .epochs = 12,
       .network = {.activation = tanh},
       .optimizer = Lbfgs{},
       .l2 = 1e-3},
      {.name = "activations",
       .golden = {0xbe131802f3971db9, 0x07d15544719e6fd5, 0xae3a39402f1c18ff, 0xa856476cc92589da},
       .sizes = a_layer_for_every_activation(),
       .rows = 200,
       .batch = 70,
       .network = {.activations = every_activation(), .init = Init::lecun_normal}},
      {.name = "groups, huber",
       .golden = {0xcfc6bb54bf275ba1, 0x856ae5ff5ebb0d91, 0xcdc14e4d1fdf2f05, 0xc7ca9b72e415a7e5},
       .sizes = {40, 90, 60},
       .rows = 300,
       .batch = 128,
       .network = {.activation = leaky_relu, .loss = huber, .loss_parameters = {0.7}},
       .optimizer = Adam{.learning_rate = 0.01, .weight_decay = 0.1},
       .schedules = {.learning_rate = StepDecay{.every = 2}},
       .groups = {{{0}, Kind::weights, 0.5, 0}, {{}, Kind::biases, 2, 0}},
       .ema = 0.5},
      {.name = "absolute error",
       .golden = {0x88e93d6fd8f77e2c, 0x392b018e0351e5f4, 0x11e548b6e99043e8, 0x8ffd104029918d90},
       .sizes = {25, 80, 9},
       .rows = 300,
       .batch = 100,
       .network = {.activation = softplus, .loss = absolute_error}},
      {.name = "quantile",
       .golden = {0xc5bac7ff6a35b49b, 0x7956a243e8bb22d5, 0xd4618debef8533a6, 0x80a4029ee14d1845},
       .sizes = {25, 80, 2},
       .rows = 300,
       .batch = 100,
       .network = {.activation = mish, .loss = quantile, .loss_parameters = {0.1, 0.8}}},
      {.name = "poisson",
       .golden = {0x6f7c3bb25e72922c, 0x7714d238a63142ec, 0xf1727bfe550f801e, 0x70cb45caeee42336},
       .sizes = {25, 80, 3},
       .rows = 300,
       .batch = 100,
       .network = {.activation = gelu_tanh, .loss = poisson}},
      {.name = "label smoothing",
       .golden = {0xe5d7841c5a780c3f, 0x59fb8de5d61eee99, 0xdfa78cec533449c4, 0xa94ecf3c4e9f223d},
       .sizes = {25, 80, 5},
       .rows = 300,
       .batch = 100,
       .data = Data::weighted_labels,
       .network = {.activation = sin, .loss = softmax_cross_entropy, .loss_parameters = {0.1}}},
      {.name = "dropout",
       .golden = {0x0edf2d1396126cee, 0xc6a553ec88df5636, 0x3d113364724e3412, 0xcd8fcc247a441b57},
       .sizes = {64, 200, 100, 10},
       .rows = 600,
       .batch = 200,
       .data = Data::labels,
       .network = {.activation = tanh, .loss = softmax_cross_entropy},
       .optimizer = Sgd{.learning_rate = 0.05, .momentum = 0.9},
       .schedules = {.dropout = StepDecay{.every = 1, .factor = 0.5}},
       .dropout = 0.5,
       .input_dropout = 0.2},
      {.name = "sparse",
       .golden = {0xab6d662343794773, 0x68fdfaf8d8d32a15, 0xc90a2a9ce1d4daef, 0x3358088c36eabf80},
       .sizes = {400, 64, 32, 4},
       .rows = 600,
       .batch = 150,
       .data = Data::sparse,
       .input_dropout = 0.1},
      {.name = "sparse, linear",
       .golden = {0x6ee10fa37bdf910a, 0xfe30aa7781107293, 0xe0320e886033ec47, 0xc0177912bf4e7231},
       .sizes = {500, 1},
       .rows = 600,
       .batch = 150,
       .data = Data::sparse,
       .network = {.loss = binary_cross_entropy}},
      // Sums over rows of several leaves.
      {.name = "slices, one leaf",
       .golden = {0xdaaa4070659c699e, 0xf96036756c0ca73f, 0xc15d3f6e8ccb3ed7, 0x4e996f44a8890090},
       .sizes = {20, 30, 3},
       .rows = 1024,
       .batch = 512},
      {.name = "slices, 20 leaves",
       .golden = {0x7ca2cce0ed4f5d0b, 0xa277b93138f2c55a, 0x640d529802fcf323, 0x6642c799ab5e9f10},
       .sizes = {20, 30, 3},
       .rows = 9800,
       .batch = 0},
      {.name = "three leaves",
       .golden = {0x5a80ed0cff7b397d, 0x4e2340cb59230d4a, 0x217a43c48040badf, 0xa6856ead739f2c29},
       .sizes = {100, 150, 30, 5},
       .rows = 1536,
       .batch = 0,
       .data = Data::labels,
       .network = {.loss = softmax_cross_entropy}},
      {.name = "seven leaves",
       .golden = {0xd4d053b589f4ac1a, 0xbef7e5767199bfbf, 0x7ef365502ed9e9ea, 0x84f104ebdbeb7ca2},
       .sizes = {100, 150, 30, 5},
       .rows = 3500,
       .batch = 0,
       .data = Data::labels,
       .network = {.loss = softmax_cross_entropy}},
      {.name = "sparse, one leaf",
       .golden = {0x9333d4332df5d5cc, 0x6cf27b95075fd9f1, 0xcd16e7df6f80c3b1, 0x236494bdd2210861},
       .sizes = {400, 64, 4},
       .rows = 512,
       .batch = 0,
       .data = Data::sparse},
      {.name = "sparse, six leaves",
       .golden = {0x997e81ba86be60fb, 0x3d2aae5a51f0a899, 0xa71ce8aa6cc357cc, 0xa64b79cc7c21c718},
       .sizes = {400, 64, 4},
       .rows = 2800,
       .batch = 0,
       .data = Data::sparse},
      {.name = "validation",
       .golden = {0x8fd58db0348be502, 0xe58f8c26dde47e7b, 0x913ba6f728e1c97d, 0x84f871c439ccad43},
       .sizes = {30, 120, 6},
       .rows = 600,
       .batch = 60,
       .epochs = 8,
       .data = Data::labels,
       .network = {.activation = selu, .loss = softmax_cross_entropy},
       .optimizer = Sgd{.learning_rate = 0.3},
       .schedules = {.learning_rate = ReduceOnPlateau{.factor = 0.5, .patience = 0}},
       .validates = true},
  };
}

}  // namespace chainrule::test
