// Predicts one row, given as text, with a model that `chainrule train` or an estimator of Python saved:
// predict_row model.safetensors age=31 sex=female cabin= ...
#include <chainrule/table_model.h>

#include <iostream>
#include <string_view>
#include <vector>

int main(int count, char** arguments) try {
  if (count < 2) throw std::runtime_error("usage: predict_row model.safetensors column=value ...");
  const chainrule::TableModel model = chainrule::load_table_model(arguments[1]);
  std::vector<std::string_view> names;
  std::vector<chainrule::TextCell> cells;
  for (int i = 2; i < count; ++i) {
    const std::string_view text = arguments[i];
    const std::size_t sign = text.find('=');
    if (sign == std::string_view::npos) throw std::runtime_error("'" + std::string(text) + "' is not column=value");
    names.push_back(text.substr(0, sign));
    cells.push_back(text.substr(sign + 1));
    if (cells.back()->empty()) cells.back().reset();  // missing
  }
  std::vector<chainrule::TableColumn> table;  // columns of one row
  for (std::size_t j = 0; j < names.size(); ++j) table.push_back({names[j], std::span(cells).subspan(j, 1)});

  std::cout.precision(17);
  if (model.classes().empty()) {
    for (const double value : model.predict(table)) std::cout << value << '\n';
  } else {
    const std::vector<double> probabilities = model.predict_proba(table);
    for (std::size_t k = 0; k < model.classes().size(); ++k)
      std::cout << model.classes()[k] << ": " << probabilities[k] << '\n';
  }
} catch (const std::exception& error) {
  std::cerr << "predict_row: " << error.what() << '\n';
  return 1;
}
