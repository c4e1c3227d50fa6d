// Estimators that Python or its command line saved (TableClassifier, TableRegressor, MLPClassifier, MLPRegressor):
// predictions from the columns of a table, with the same bits as in Python.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "chainrule/api.h"
#include "chainrule/files.h"

namespace chainrule {

// The cells of a column: numbers, where NaN is a missing value, or strings (UTF-8), where nullopt is one. Dates are
// days since 1970-01-01 (UTC), times of day are fractions of a day, and booleans are 1 and 0, or strings. Strings in a
// column of numbers or dates are read in the format that the encoder learned.
using TextCell = std::optional<std::string_view>;
using Cells = std::variant<std::span<const double>, std::span<const TextCell>>;

struct TableColumn {
  std::string_view name;
  Cells cells;
};

// How the model uses a column. Ignored columns may be absent from a table.
enum class ColumnUse { value, number, date, levels, ignored };
inline constexpr const char* column_use_names[] = {"value", "number", "date", "levels", "ignored"};

// Copies share their data. Several threads may use one model.
class CHAINRULE_API TableModel {
 public:
  struct Column {
    std::string name;
    ColumnUse use;
  };

  const std::string& estimator() const;  // the name of the class in Python
  const std::string& target() const;     // the name of the target's column; empty if unknown
  const std::vector<Column>& columns() const;
  const AnyNetwork& network() const;
  const Metadata& metadata() const;  // strings of the caller, or of the command line

  // The classes as Python prints them, in the order of their numbers; empty for a regressor. If multilabel() is true,
  // each row has several labels.
  const std::vector<std::string>& classes() const;
  bool multilabel() const;
  Index outputs() const;  // probabilities, labels or values per row

  // Predictions for the rows of a table, row after row: outputs() values per row of a regressor; outputs()
  // probabilities per row of a classifier; the number of the class of each row or, if multilabel() is true, outputs()
  // zeros and ones per row. The columns may be in any order; columns that the model does not have are ignored. Throws
  // std::invalid_argument if a column is missing or a cell cannot be read (the message names the column and the row),
  // and if the estimator is of the other type.
  std::vector<double> predict(std::span<const TableColumn> table, int threads = 0) const;
  std::vector<double> predict_proba(std::span<const TableColumn> table, int threads = 0) const;
  std::vector<Index> predict_classes(std::span<const TableColumn> table, int threads = 0) const;

  struct State;  // internal
  explicit TableModel(std::shared_ptr<const State> state);

 private:
  std::shared_ptr<const State> state_;
};

// Throws the exceptions of load_any, and FileError if the file holds a network without an estimator.
CHAINRULE_API TableModel load_table_model(const std::filesystem::path& path);

}  // namespace chainrule
