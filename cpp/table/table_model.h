// The contents of a TableModel, and its reader for bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chainrule/table_model.h"
#include "table/encoders.h"
#include "table/target.h"

namespace chainrule {

struct TableModel::State {
  std::string estimator;
  AnyNetwork network;
  std::vector<Encoder> encoders;
  std::vector<Column> columns;
  Target target;
  Metadata metadata;
  bool plain = false;  // if true, the estimator takes numbers as they are
};

// path: the name of the file in error messages.
TableModel read_table_model(const std::string& path, std::string_view file);

}  // namespace chainrule
