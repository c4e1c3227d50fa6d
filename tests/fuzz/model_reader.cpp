// Fuzzes the readers of model files with libFuzzer: tests/checks/fuzz.sh. An accepted network that is written and read
// again must be equal, byte by byte; an accepted estimator must predict or refuse the cells. Any other file must raise
// a FileError.
#include "files/model_file.h"
#include "table/table_model.h"

namespace chainrule {
namespace {

void read_network(std::string_view file) {
  const auto written = [](const AnyNetwork& network, const Metadata& metadata) {
    return std::visit([&](const auto& n) { return write_model(n, metadata); }, network);
  };
  try {
    Metadata metadata;
    const AnyNetwork network = read_model("it", file, &metadata);
    const std::string again = written(network, metadata);
    Metadata read;
    if (written(read_model("it", again, &read), read) != again || read != metadata) __builtin_trap();
  } catch (const FileError&) {
  }
}

void read_estimator(std::string_view file) {
  try {
    const TableModel model = read_table_model("it", file);
    const double numbers[] = {0.5, __builtin_nan(""), -1e300};
    const TextCell texts[] = {"1,234.5 kg", std::nullopt, "31/01/2024 10:00"};
    for (const Cells& cells : {Cells(std::span<const double>(numbers)), Cells(std::span<const TextCell>(texts))}) {
      std::vector<TableColumn> table;
      for (const TableModel::Column& column : model.columns()) table.push_back({column.name, cells});
      try {
        const bool is_regressor = model.classes().empty();
        const auto values = is_regressor ? model.predict(table, 1) : model.predict_proba(table, 1);
        if (values.size() != 3 * static_cast<std::size_t>(model.outputs())) __builtin_trap();
        if (!is_regressor && model.predict_classes(table, 1).empty()) __builtin_trap();
      } catch (const std::invalid_argument&) {
      }
    }
  } catch (const FileError&) {
  }
}

}  // namespace
}  // namespace chainrule

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  chainrule::read_network(file);
  chainrule::read_estimator(file);
  return 0;
}
