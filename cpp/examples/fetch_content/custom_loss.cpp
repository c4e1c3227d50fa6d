// A custom loss: half the squared error, or four times as much if the prediction is too low.
// Usage: custom_loss model.safetensors
#include <chainrule/chainrule.hpp>
#include <iostream>
#include <vector>

namespace {

using chainrule::Index, chainrule::MatrixView;

constexpr Index rows = 500, inputs = 3;

}  // namespace

int main(int count, char** arguments) try {
  if (count != 2) throw std::runtime_error("usage: custom_loss model.safetensors");
  std::vector<float> x, y;
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < inputs; ++j) x.push_back(static_cast<float>((i * 7919 + j * 104729) % 2001 - 1000) / 1000.0f);
    const float* row = x.data() + i * inputs;
    y.push_back(row[0] * row[1] + row[2]);
  }

  // Called for each batch with the numbers of its rows. Returns the cost and writes its gradient with respect to the
  // predictions.
  const chainrule::CustomLoss<float> loss = [&](MatrixView<const float> z, std::span<const Index> batch,
                                                MatrixView<float> dz) {
    double sum = 0;
    for (Index i = 0; i < z.rows; ++i) {
      const float error = z(i, 0) - y[static_cast<std::size_t>(batch[static_cast<std::size_t>(i)])];
      const float weighted = (error < 0 ? 4.0f : 1.0f) * error;
      dz(i, 0) = weighted / static_cast<float>(z.rows);
      sum += 0.5 * static_cast<double>(weighted * error);
    }
    return sum / static_cast<double>(z.rows);
  };

  chainrule::Network<float> network({inputs, 24, 1}, {.activation = chainrule::Activation::silu, .seed = 3});
  chainrule::FitOptions<float> options;
  options.custom_loss = loss;
  options.optimizer = chainrule::Adam{.learning_rate = 1e-2};
  options.batch_size = 50;
  options.epochs = 60;
  options.seed = 3;
  const auto history = chainrule::fit(network, {{x.data(), rows, inputs}, {}}, options);
  chainrule::save(network, arguments[1]);
  std::cout << "cost " << history.loss.front() << " -> " << history.loss.back() << '\n';
} catch (const std::exception& error) {
  std::cerr << "custom_loss: " << error.what() << '\n';
  return 1;
}
