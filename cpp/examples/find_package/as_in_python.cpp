// Trains the network of this Python program with the same seed and data, and gets the same bits:
//
//   x.tofile("x.f32"); y.tofile("y.i32")  # float32, (m, 20); int32, classes from 0 to 2
//   net = chainrule.Network([20, 48, 3], activation="gelu", loss="softmax_cross_entropy", seed=7)
//   net.fit(x[100:], y[100:], optimizer=chainrule.AdamW(learning_rate=3e-3), batch_size=50, epochs=30, seed=7,
//           schedules=chainrule.Cosine(warmup=2), dropout=0.1, ema=0.9, validation=(x[:100], y[:100]),
//           stop=chainrule.Stop(no_improvement=5))
//   net.save("model.safetensors")
//
// Usage: as_in_python x.f32 y.i32 model.safetensors
#include <chainrule/chainrule.hpp>
#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>

namespace {

template <class T>
std::vector<T> read(const char* path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw std::runtime_error(std::string("cannot read ") + path);
  std::vector<T> values(static_cast<std::size_t>(file.tellg()) / sizeof(T));
  file.seekg(0).read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
  if (!file) throw std::runtime_error(std::string("cannot read ") + path);
  return values;
}

}  // namespace

int main(int count, char** arguments) try {
  using chainrule::Index;
  if (count != 4) throw std::runtime_error("usage: as_in_python x.f32 y.i32 model.safetensors");
  const auto x = read<float>(arguments[1]);
  const auto y = read<std::int32_t>(arguments[2]);
  const auto rows = static_cast<Index>(y.size());
  const chainrule::MatrixView<const float> matrix(x.data(), rows, 20);
  if (rows <= 100 || std::size(x) != 20 * std::size(y)) throw std::runtime_error("too few numbers");
  const chainrule::Examples<float> held_out{matrix.rows_between(0, 100), {{}, y.data()}};
  const chainrule::Examples<float> rest{matrix.rows_between(100, rows), {{}, y.data() + 100}};

  chainrule::Network<float> network(
      {20, 48, 3},
      {.activation = chainrule::Activation::gelu, .loss = chainrule::Loss::softmax_cross_entropy, .seed = 7});
  chainrule::FitOptions<float> options;
  options.optimizer = chainrule::Adam{.learning_rate = 3e-3, .weight_decay = 0.01};
  options.schedules.learning_rate = chainrule::Cosine{.warmup = 2};
  options.batch_size = 50;
  options.epochs = 30;
  options.seed = 7;
  options.dropout = {0.1};
  options.ema = 0.9;
  options.validation = held_out;
  options.stop.no_improvement = 5;
  const chainrule::History history = chainrule::fit(network, rest, options);
  chainrule::save(network, arguments[3]);
  std::cout << history.epochs << " epochs, stopped by " << history.stop_reason << '\n';
} catch (const std::exception& error) {
  std::cerr << "as_in_python: " << error.what() << '\n';
  return 1;
}
