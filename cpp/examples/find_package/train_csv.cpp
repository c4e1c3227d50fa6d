// Trains a network to tell the last column of a table of numbers from the others: train_csv in.csv out.safetensors
#include <chainrule/chainrule.hpp>
#include <fstream>
#include <iostream>
#include <sstream>
#include <vector>

namespace {

using chainrule::Index, chainrule::MatrixView;

struct Table {
  std::vector<float> values;  // row by row
  Index columns = 0;

  Index rows() const { return columns > 0 ? static_cast<Index>(values.size()) / columns : 0; }
};

Table read_csv(const char* path) {
  std::ifstream file(path);
  std::string line, cell;
  if (!std::getline(file, line)) throw std::runtime_error("no names of columns in the file");
  Table table;
  while (std::getline(file, line)) {
    const std::size_t before = table.values.size();
    for (std::istringstream cells(line); std::getline(cells, cell, ',');)
      table.values.push_back(static_cast<float>(std::stod(cell)));
    const auto columns = static_cast<Index>(table.values.size() - before);
    if (table.columns != 0 && columns != table.columns) throw std::runtime_error("rows of different lengths");
    table.columns = columns;
  }
  return table;
}

}  // namespace

int main(int count, char** arguments) try {
  if (count != 3) throw std::runtime_error("usage: train_csv in.csv out.safetensors");
  const Table table = read_csv(arguments[1]);
  const auto all = MatrixView<const float>::contiguous(table.values.data(), table.rows(), table.columns);
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
