#include "table/table_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/check.h"
#include "files/disk.h"
#include "files/model_file.h"

namespace chainrule {
namespace {

constexpr const char* key = "chainrule.estimator";
constexpr const char* old_key = "table";      // of files that the command line wrote before the first release
constexpr std::uint64_t format = 1;           // of the entry
constexpr std::uint64_t encoding_format = 3;  // of the encoders
constexpr const char* kinds[] = {"MLPClassifier", "MLPRegressor", "TableClassifier", "TableRegressor"};
constexpr Index rows_at_a_time = 8192;  // so that the features of a large table need little memory

std::vector<Encoder> read_features(JsonReader& json) {
  std::vector<Encoder> encoders;
  bool has_columns = false;
  std::uint64_t version = 0;
  json.object([&](const std::string& name) {
    if (name == "format") {
      version = json.whole_number();
    } else if (name == "columns") {
      has_columns = true;
      json.array([&] { encoders.push_back(read_encoder(json)); });
    } else {
      json.skip();
    }
  });
  require(version <= encoding_format, "its encoding has format ", version, ", this chainrule reads up to ",
          encoding_format, ": upgrade chainrule");
  require(version > 0 && has_columns, "its features are not the state of a table encoder");
  std::vector<std::string_view> names;
  for (const Encoder& encoder : encoders) names.push_back(encoder.name);
  std::ranges::sort(names);
  require(std::ranges::adjacent_find(names) == names.end(), "it has two columns with the same name");
  return encoders;
}

void read_entry(std::string_view text, TableModel::State& state) {
  JsonReader json(text);
  std::uint64_t version = 0, n_features = 0;
  bool has_target = false;
  std::vector<std::string> names;
  state.plain = true;
  json.object([&](const std::string& name) {
    if (name == "format") {
      version = json.whole_number();
      require(version <= format, "it has format ", version, ", this chainrule reads up to ", format,
              ": upgrade chainrule");
    } else if (name == "kind") {
      state.estimator = json.string();
    } else if (name == "target") {
      has_target = true;
      state.target = read_target(json);
    } else if (name == "n_features_in") {
      n_features = json.whole_number(1u << 30);
    } else if (name == "feature_names_in") {
      if (!json.null()) json.array([&] { names.push_back(json.string()); });
    } else if (name == "features" && !json.null()) {
      state.plain = false;
      state.encoders = read_features(json);
    } else if (name != "features") {
      json.skip();
    }
  });
  json.end();
  require(version > 0, "it has no format version");
  require(std::ranges::find(kinds, state.estimator) != std::end(kinds), "its kind '", beginning(state.estimator, 100),
          "' is unknown");
  require(has_target && state.target.of_classes != state.estimator.ends_with("Regressor"),
          "its target does not fit its kind ", state.estimator);
  if (!state.plain) return;
  require(names.empty() || names.size() == n_features, "it has ", names.size(), " names for ", n_features, " features");
  const Index inputs = std::visit([](const auto& n) { return n.layer_sizes().front(); }, state.network);
  require(static_cast<Index>(n_features) == inputs, "it has ", n_features, " features, but the network has ", inputs,
          " inputs");
  for (std::size_t i = 0; i < n_features; ++i)
    state.encoders.push_back({.use = ColumnUse::value, .name = names.empty() ? "x" + std::to_string(i) : names[i]});
}

// Returns false if the entry is not one from before the first release.
bool read_old_entry(std::string_view text, TableModel::State& state) {
  bool has_features = false, has_target = false;
  JsonReader json(text);
  if (!json.next_is('{')) return false;
  json.object([&](const std::string& name) {
    if (name == "features") {
      has_features = true;
      state.encoders = read_features(json);
    } else if (name == "target") {
      has_target = true;
      state.target = read_old_target(json);
    } else {
      json.skip();
    }
  });
  json.end();
  state.estimator = state.target.of_classes ? "MLPClassifier" : "MLPRegressor";
  return has_features && has_target;
}

bool read_estimator(const Metadata& metadata, TableModel::State& state) {
  if (const auto entry = metadata.find(key); entry != metadata.end()) {
    read_entry(entry->second, state);
    return true;
  }
  const auto entry = metadata.find(old_key);
  return entry != metadata.end() && read_old_entry(entry->second, state);
}

// Converts the encoded columns of some rows to the inputs of a network, and owns their memory.
template <class T>
class EncodedRows {
 public:
  EncodedRows(const std::vector<EncodedPart>& parts, Index rows, bool plain) {
    const bool binned = std::ranges::any_of(parts, [](const auto& p) { return p.column.kind == ColumnKind::bins; });
    if (binned) {
      fill_binned(parts, rows);
    } else {
      fill_matrix(parts, rows, plain);
    }
  }
  const Inputs<T>& inputs() const { return inputs_; }

 private:
  void fill_matrix(const std::vector<EncodedPart>& parts, Index rows, bool plain) {
    Index width = 0;
    for (const EncodedPart& part : parts) width += part.column.features;
    values_.resize(static_cast<std::size_t>(rows * width));
    const MatrixView<T> out(values_.data(), rows, width);
    Index start = 0;
    for (const EncodedPart& part : parts) {
      for (Index i = 0; i < rows; ++i) {
        const auto row = static_cast<std::size_t>(i);
        if (part.column.kind == ColumnKind::value) {
          // Features are float32 for both types of network, as in Python.
          out(i, start) =
              plain ? static_cast<T>(part.values[row]) : static_cast<T>(static_cast<float>(part.values[row]));
        } else if (part.codes[row] < part.column.features) {
          out(i, start + part.codes[row]) = 1;
        }
      }
      start += part.column.features;
    }
    inputs_ = out;
  }

  void fill_binned(const std::vector<EncodedPart>& parts, Index rows) {
    for (const EncodedPart& part : parts) layout_.push_back(part.column);
    for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row)
      for (const EncodedPart& part : parts) {
        if (part.column.kind != ColumnKind::value) codes_.push_back(part.codes[row]);
        if (part.column.kind != ColumnKind::levels) values_.push_back(static_cast<T>(part.values[row]));
      }
    inputs_ = BinnedView<T>(layout_, codes_.data(), values_.data(), rows);
  }

  std::vector<BinnedColumn> layout_;
  std::vector<std::int32_t> codes_;
  std::vector<T> values_;
  Inputs<T> inputs_;
};

// The column of the table for each encoder; null for encoders that need none.
std::vector<const TableColumn*> find_columns(const std::vector<Encoder>& encoders, std::span<const TableColumn> table) {
  std::map<std::string_view, const TableColumn*> by_name;
  for (const TableColumn& column : table) {
    require(by_name.emplace(column.name, &column).second, "the table has more than one column '",
            beginning(std::string(column.name), 100), "'");
    require(rows_of(column.cells) == rows_of(table[0].cells), "column '", beginning(std::string(column.name), 100),
            "' has ", rows_of(column.cells), " cells, column '", beginning(std::string(table[0].name), 100), "' has ",
            rows_of(table[0].cells));
  }
  std::vector<const TableColumn*> found;
  for (const Encoder& encoder : encoders) {
    const auto place = by_name.find(encoder.name);
    require(place != by_name.end() || encoder.width() == 0, "the table lacks the column '",
            beginning(encoder.name, 100), "'");
    found.push_back(encoder.width() == 0 ? nullptr : place->second);
  }
  return found;
}

// Calls visit(outputs) with the network's outputs for successive blocks of rows.
template <class Visit>
void for_outputs(const TableModel::State& state, std::span<const TableColumn> table, int threads, Visit visit) {
  const auto columns = find_columns(state.encoders, table);
  const Index rows = table.empty() ? 0 : rows_of(table[0].cells);
  std::visit(
      [&]<class T>(const Network<T>& network) {
        const Index n_outputs = network.layer_sizes().back();
        std::vector<T> outputs;
        for (Index begin = 0; begin < rows; begin += rows_at_a_time) {
          const Index end = std::min(begin + rows_at_a_time, rows);
          std::vector<EncodedPart> parts;
          for (std::size_t k = 0; k < columns.size(); ++k) {
            if (columns[k] == nullptr) continue;
            for (EncodedPart& part : encode(state.encoders[k], columns[k]->cells, begin, end))
              parts.push_back(std::move(part));
          }
          const EncodedRows<T> encoded(parts, end - begin, state.plain);
          outputs.resize(static_cast<std::size_t>((end - begin) * n_outputs));
          const MatrixView<T> out(outputs.data(), end - begin, n_outputs);
          network.predict(encoded.inputs(), out, threads);
          visit(MatrixView<const T>(out));
        }
      },
      state.network);
}

}  // namespace

TableModel::TableModel(std::shared_ptr<const State> state) : state_(std::move(state)) {}

const std::string& TableModel::estimator() const { return state_->estimator; }
const std::string& TableModel::target() const { return state_->target.name; }
const std::vector<TableModel::Column>& TableModel::columns() const { return state_->columns; }
const AnyNetwork& TableModel::network() const { return state_->network; }
const Metadata& TableModel::metadata() const { return state_->metadata; }
const std::vector<std::string>& TableModel::classes() const { return state_->target.classes; }
bool TableModel::multilabel() const { return state_->target.multilabel; }
Index TableModel::outputs() const {
  return state_->target.columns(std::visit([](const auto& n) { return n.layer_sizes().back(); }, state_->network));
}

std::vector<double> TableModel::predict(std::span<const TableColumn> table, int threads) const {
  require(!state_->target.of_classes, estimator(), " predicts classes: use predict_classes or predict_proba");
  std::vector<double> values;
  for_outputs(*state_, table, threads, [&](auto outputs) { state_->target.append_values(outputs, values); });
  return values;
}

std::vector<double> TableModel::predict_proba(std::span<const TableColumn> table, int threads) const {
  require(state_->target.of_classes, estimator(), " predicts values: use predict");
  std::vector<double> values;
  for_outputs(*state_, table, threads, [&](auto outputs) { state_->target.append_probabilities(outputs, values); });
  return values;
}

std::vector<Index> TableModel::predict_classes(std::span<const TableColumn> table, int threads) const {
  require(state_->target.of_classes, estimator(), " predicts values: use predict");
  std::vector<Index> numbers;
  for_outputs(*state_, table, threads, [&](auto outputs) { state_->target.append_classes(outputs, numbers); });
  return numbers;
}

TableModel read_table_model(const std::string& path, std::string_view file) {
  Metadata metadata;
  const auto state = std::make_shared<TableModel::State>(TableModel::State{.estimator = {},
                                                                           .network = read_model(path, file, &metadata),
                                                                           .encoders = {},
                                                                           .columns = {},
                                                                           .target = {},
                                                                           .metadata = {}});
  bool found = false;
  try {
    found = read_estimator(metadata, *state);
    if (found) {
      Index features = 0;
      for (const Encoder& encoder : state->encoders) {
        features += encoder.width();
        state->columns.push_back({encoder.name, encoder.use});
      }
      const auto& sizes = std::visit([](const auto& n) -> const auto& { return n.layer_sizes(); }, state->network);
      require(features == sizes.front(), "it has ", features, " features, but the network has ", sizes.front(),
              " inputs");
      state->target.check(sizes.back());
    }
  } catch (const std::invalid_argument& error) {
    throw FileError(path + " holds an estimator that cannot be read: " + error.what());
  }
  if (!found) throw FileError(path + " holds a network without an estimator: use load_any");
  metadata.erase(key);
  state->metadata = std::move(metadata);
  return TableModel(state);
}

TableModel load_table_model(const std::filesystem::path& path) {
  return read_table_model(path.string(), read_file(path));
}

}  // namespace chainrule
