// Fuzzes the reader of model files with libFuzzer: tests/checks/fuzz.sh. What it takes must come back from what it
// writes, byte by byte; all else must be a FileError.
#include "files/model_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace chainrule;
  const auto written = [](const AnyNetwork& network, const Metadata& metadata) {
    return std::visit([&](const auto& n) { return write_model(n, metadata); }, network);
  };
  try {
    Metadata metadata;
    const AnyNetwork network = read_model("it", {reinterpret_cast<const char*>(data), size}, &metadata);
    const std::string file = written(network, metadata);
    Metadata again;
    if (written(read_model("it", file, &again), again) != file || again != metadata) __builtin_trap();
  } catch (const FileError&) {
  }
  return 0;
}
