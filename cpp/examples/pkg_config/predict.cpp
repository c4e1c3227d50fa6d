// What a model that Python or C++ saved predicts for rows of numbers: predict model.safetensors < rows.csv
#include <chainrule/chainrule.hpp>
#include <iostream>
#include <limits>
#include <sstream>
#include <vector>

namespace {

using chainrule::Index, chainrule::MatrixView;

template <class T>
void predict(const chainrule::Network<T>& network) {
  std::vector<T> x;
  std::string line, cell;
  Index rows = 0;
  for (; std::getline(std::cin, line); ++rows)
    for (std::istringstream cells(line); std::getline(cells, cell, ',');) x.push_back(static_cast<T>(std::stod(cell)));
  const Index inputs = network.layer_sizes().front(), outputs = network.layer_sizes().back();
  if (static_cast<Index>(x.size()) != rows * inputs) throw std::runtime_error("a row of another length");

  std::vector<T> y(static_cast<std::size_t>(rows * outputs));
  const auto out = MatrixView<T>::contiguous(y.data(), rows, outputs);
  network.predict(MatrixView<const T>::contiguous(x.data(), rows, inputs), out);
  std::cout.precision(std::numeric_limits<T>::max_digits10);  // enough for every bit
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < outputs; ++j) std::cout << out(i, j) << (j + 1 < outputs ? ',' : '\n');
}

}  // namespace

int main(int count, char** arguments) try {
  if (count != 2) throw std::runtime_error("usage: predict model.safetensors < rows.csv");
  std::visit([](const auto& network) { predict(network); }, chainrule::load_any(arguments[1]));
} catch (const std::exception& error) {
  std::cerr << "predict: " << error.what() << '\n';
  return 1;
}
