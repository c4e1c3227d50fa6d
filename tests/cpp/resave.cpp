// Loads every file of a folder as a model and saves it under the same name in another folder; prints the error if a
// file is rejected. Usage, in tests/test_cpp_files.py: resave from to
#include <chainrule/files.h>

#include <iostream>

int main(int, char** arguments) {
  using namespace chainrule;
  for (const auto& entry : std::filesystem::directory_iterator(arguments[1])) {
    const std::filesystem::path path = entry.path();
    try {
      Metadata metadata;
      const AnyNetwork network = load_any(path, &metadata);
      std::visit([&](const auto& n) { save(n, arguments[2] / path.filename(), metadata); }, network);
    } catch (const FileError& error) {
      std::cout << error.what() << '\n';
    }
  }
}
