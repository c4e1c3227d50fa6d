// A new folder for the files of a test. The destructor removes it with its content.
#pragma once

#include <filesystem>
#include <fstream>
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

// A folder that imitates /proc and /sys.
struct System {
  Folder folder;
  std::string root() const { return folder.path.string() + "/"; }
  void write(const std::string& name, const std::string& text) const {
    const std::filesystem::path file = folder.path / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
};

}  // namespace chainrule
