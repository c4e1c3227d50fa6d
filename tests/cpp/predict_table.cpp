// Predicts with an estimator, for tests/test_table_model.py: predict_table MODEL TABLE OUT. The table has the numbers
// of columns and rows, and for each column its name, whether it holds texts, and its cells: numbers, or lengths (-1:
// missing) with texts. Prints the classes. Writes probabilities, or values, to OUT and the numbers of classes to
// OUT.classes. predict_table --check FOLDER prints the names of the files in a folder that hold an estimator.
#include <cstdio>
#include <deque>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "chainrule/table_model.h"

namespace {

using chainrule::TextCell;

class Reader {
 public:
  explicit Reader(const char* path) : file_(path, std::ios::binary) {}
  template <class T>
  T read() {
    T value{};
    file_.read(reinterpret_cast<char*>(&value), sizeof value);
    if (!file_) throw std::runtime_error("the table is cut short");
    return value;
  }
  std::string text(std::int64_t size) {
    std::string text(static_cast<std::size_t>(size), '\0');
    file_.read(text.data(), size);
    return text;
  }

 private:
  std::ifstream file_;
};

template <class T>
void write(const std::string& path, const std::vector<T>& values) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
}

void check(const char* folder) {
  for (const auto& file : std::filesystem::directory_iterator(folder)) try {
      const auto model = chainrule::load_table_model(file.path());
      std::vector<chainrule::TableColumn> table;
      const std::vector<TextCell> missing(2);
      for (const auto& column : model.columns()) table.push_back({column.name, missing});
      try {
        if (model.classes().empty()) {
          model.predict(table);
        } else {
          model.predict_classes(table);
        }
      } catch (const std::invalid_argument&) {  // a plain estimator does not accept missing values
      }
      std::printf("%s\n", file.path().filename().c_str());
    } catch (const chainrule::FileError&) {
    }
}

}  // namespace

int main(int, char** arguments) try {
  if (std::string(arguments[1]) == "--check") {
    check(arguments[2]);
    return 0;
  }
  const auto model = chainrule::load_table_model(arguments[1]);
  Reader reader(arguments[2]);
  const auto n_columns = reader.read<std::int64_t>(), rows = reader.read<std::int64_t>();
  std::deque<std::string> texts;  // a deque does not move its elements
  std::deque<std::vector<double>> numbers;
  std::deque<std::vector<TextCell>> cells;
  std::vector<chainrule::TableColumn> table;
  for (std::int64_t k = 0; k < n_columns; ++k) {
    const std::string_view name = texts.emplace_back(reader.text(reader.read<std::int64_t>()));
    if (reader.read<std::int64_t>() == 0) {
      auto& column = numbers.emplace_back();
      for (std::int64_t i = 0; i < rows; ++i) column.push_back(reader.read<double>());
      table.push_back({name, column});
    } else {
      auto& column = cells.emplace_back();
      for (std::int64_t i = 0; i < rows; ++i) {
        const auto size = reader.read<std::int64_t>();
        column.push_back(size < 0 ? TextCell() : TextCell(texts.emplace_back(reader.text(size))));
      }
      table.push_back({name, column});
    }
  }
  const std::string out = arguments[3];
  for (const std::string& name : model.classes()) std::printf("%s\n", name.c_str());
  if (model.classes().empty()) {
    write(out, model.predict(table));
  } else {
    write(out, model.predict_proba(table));
    write(out + ".classes", model.predict_classes(table));
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
