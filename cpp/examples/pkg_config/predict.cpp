// Predicts rows of numbers with a model that Python or C++ saved: predict model.safetensors < rows.csv
#include <chainrule/chainrule.hpp>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

namespace {

using chainrule::Index, chainrule::MatrixView;

double number(const std::string& cell, const std::string& place) {
  char* end = nullptr;
  const double value = std::strtod(cell.c_str(), &end);
  const bool whole = end != cell.c_str() && std::string(end).find_first_not_of(" \r") == std::string::npos;
  if (!whole || !std::isfinite(value)) throw std::runtime_error(place + ": '" + cell + "' is not a number");
  return value;
}

template <class T>
void predict(const chainrule::Network<T>& network) {
  const Index inputs = network.layer_sizes().front(), outputs = network.layer_sizes().back();
  std::vector<T> x;
  std::string line, cell;
  Index rows = 0;
  for (; std::getline(std::cin, line); ++rows) {
    const std::string place = "line " + std::to_string(rows + 1);
    Index columns = 0;
    for (std::istringstream cells(line); std::getline(cells, cell, ',');)
      x.push_back(static_cast<T>(number(cell, place + ", column " + std::to_string(++columns))));
    if (columns != inputs)
      throw std::runtime_error(place + " has " + std::to_string(columns) + " numbers, the model takes " +
                               std::to_string(inputs));
  }
  if (rows == 0) throw std::runtime_error("no rows on standard input");

  std::vector<T> y(static_cast<std::size_t>(rows * outputs));
  const MatrixView<T> out(y.data(), rows, outputs);
  network.predict({x.data(), rows, inputs}, out);
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
