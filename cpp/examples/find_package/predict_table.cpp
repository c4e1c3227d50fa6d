// Predicts the rows of a table with a model that `chainrule train` or an estimator of Python saved:
// predict_table model.safetensors rows.csv. The first line has the names of the columns; an empty cell is a missing
// value.
#include <chainrule/table_model.h>

#include <fstream>
#include <iostream>
#include <string>
#include <vector>

namespace {

using chainrule::Index, chainrule::TextCell;

// Splits a line at its commas; cells may be in quotes.
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i)
    if (line[i] == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"')
      cells.back() += line[++i];
    else if (line[i] == '"')
      quoted = !quoted;
    else if (line[i] == ',' && !quoted)
      cells.emplace_back();
    else if (line[i] != '\r')
      cells.back() += line[i];
  return cells;
}

}  // namespace

int main(int count, char** arguments) try {
  if (count != 3) throw std::runtime_error("usage: predict_table model.safetensors rows.csv");
  const chainrule::TableModel model = chainrule::load_table_model(arguments[1]);
  std::ifstream file(arguments[2]);
  std::string line;
  if (!std::getline(file, line)) throw std::runtime_error(std::string("cannot read ") + arguments[2]);
  const std::vector<std::string> names = cells_of(line);
  std::vector<std::vector<std::string>> rows;
  while (std::getline(file, line)) {
    rows.push_back(cells_of(line));
    if (rows.back().size() != names.size())
      throw std::runtime_error("line " + std::to_string(rows.size() + 1) + " has " +
                               std::to_string(rows.back().size()) + " cells, expected " + std::to_string(names.size()));
  }

  std::vector<std::vector<TextCell>> cells(names.size());  // the model parses the texts of numbers and dates
  for (const auto& row : rows)
    for (std::size_t j = 0; j < names.size(); ++j) cells[j].push_back(row[j].empty() ? TextCell() : TextCell(row[j]));
  std::vector<chainrule::TableColumn> table;
  for (std::size_t j = 0; j < names.size(); ++j) table.push_back({names[j], cells[j]});

  std::cout.precision(17);  // enough for every bit
  if (model.classes().empty()) {
    const std::vector<double> values = model.predict(table);
    for (std::size_t i = 0; i < values.size(); ++i)
      std::cout << values[i] << ((i + 1) % static_cast<std::size_t>(model.outputs()) != 0 ? ',' : '\n');
    return 0;
  }
  if (model.multilabel()) throw std::runtime_error("the model predicts several labels per row");
  const std::vector<Index> classes = model.predict_classes(table);
  const std::vector<double> probabilities = model.predict_proba(table);
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const auto number = static_cast<std::size_t>(classes[i]);
    std::cout << model.classes()[number] << ',' << probabilities[i * static_cast<std::size_t>(model.outputs()) + number]
              << '\n';
  }
} catch (const std::exception& error) {
  std::cerr << "predict_table: " << error.what() << '\n';
  return 1;
}
