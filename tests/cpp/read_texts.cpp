// Reads the lines of standard input as numbers or dates, for tests/test_table_model.py: read_texts number DECIMAL UNIT,
// read_texts date ORDER, or read_texts float. Prints for each line whether it is a marker, and its value or "none".
#include <cmath>
#include <iostream>
#include <string>

#include "table/formats.h"

int main(int count, char** arguments) {
  using namespace chainrule;
  const std::string kind = arguments[1];
  NumberReader numbers(kind == "number" ? arguments[2] : ".", count > 3 ? arguments[3] : "");
  DateReader dates(kind == "date" ? arguments[2] : "");
  for (std::string line; std::getline(std::cin, line);) {
    std::string value = "none";
    if (kind == "date") {
      if (const auto moment = dates.read(line)) value = std::to_string(*moment);
    } else {
      char digits[64];
      const double number = kind == "float" ? read_float(line) : numbers.read(line);
      std::snprintf(digits, sizeof digits, "%a", number);
      if (!std::isnan(number)) value = digits;
    }
    std::cout << is_marker(line) << ' ' << value << '\n';
  }
}
