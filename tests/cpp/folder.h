// A new folder for a test's files, removed with all that is in it.
#pragma once

#include <filesystem>
#include <random>
#include <string>

namespace chainrule {

struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("chainrule test " + std::to_string(std::random_device()()));
  Folder() { std::filesystem::create_directory(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path); }
};

}  // namespace chainrule
