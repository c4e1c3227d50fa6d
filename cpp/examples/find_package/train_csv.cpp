// Trains a network to estimate the last column of a table of numbers from the others: train_csv in.csv out.safetensors
#include <chainrule/chainrule.hpp>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

namespace {

using chainrule::Index, chainrule::MatrixView;

struct Table {
  std::vector<float> values;  // row by row
  Index columns = 0;

  Index rows() const { return static_cast<Index>(values.size()) / columns; }
};

// Splits a line at its commas; the third cell of "1,2," is empty.
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells(1);
  for (const char c : line)
    if (c == ',')
      cells.emplace_back();
    else if (c != '\r')
      cells.back() += c;
  return cells;
}

float number(const std::string& cell, const std::string& place) {
  char* end = nullptr;
  const double value = std::strtod(cell.c_str(), &end);
  const bool whole = end != cell.c_str() && std::string(end).find_first_not_of(" \t") == std::string::npos;
  if (!whole || !std::isfinite(value)) throw std::runtime_error(place + ": '" + cell + "' is not a number");
  return static_cast<float>(value);
}

Table read_csv(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::string line;
  if (!std::getline(file, line))
    throw std::runtime_error(path + " is empty, expected the names of the columns in the first line");
  const std::vector<std::string> names = cells_of(line);
  if (names.size() < 2) throw std::runtime_error(path + " has one column, expected inputs and a target");
  Table table{{}, static_cast<Index>(names.size())};
  for (int row = 2; std::getline(file, line); ++row) {
    const std::vector<std::string> cells = cells_of(line);
    if (cells == std::vector<std::string>{""}) continue;
    const std::string place = path + ", line " + std::to_string(row);
    if (cells.size() != names.size())
      throw std::runtime_error(place + " has " + std::to_string(cells.size()) + " cells, expected " +
                               std::to_string(names.size()));
    for (std::size_t j = 0; j < cells.size(); ++j)
      table.values.push_back(number(cells[j], place + ", column " + std::to_string(j + 1) + " (" + names[j] + ")"));
  }
  if (table.values.empty()) throw std::runtime_error(path + " has no rows below the names of the columns");
  return table;
}

}  // namespace

int main(int count, char** arguments) try {
  if (count != 3) throw std::runtime_error("usage: train_csv in.csv out.safetensors");
  const Table table = read_csv(arguments[1]);
  const MatrixView<const float> all(table.values.data(), table.rows(), table.columns);
  const auto x = all.columns_between(0, table.columns - 1), y = all.columns_between(table.columns - 1, table.columns);

  chainrule::Network<float> network(
      {x.cols, 32, 32, 1},
      {.activation = chainrule::Activation::tanh, .init = chainrule::Init::glorot_uniform, .seed = 1});
  const chainrule::History history = chainrule::fit(
      network, x, y, {.optimizer = chainrule::Adam{.learning_rate = 5e-3}, .batch_size = 32, .epochs = 40, .seed = 1});
  chainrule::save(network, arguments[2]);
  std::cout << "cost " << history.loss.front() << " -> " << history.loss.back() << '\n';
} catch (const std::exception& error) {
  std::cerr << "train_csv: " << error.what() << '\n';
  return 1;
}
