// Encodes the columns of a table as features, as python/chainrule/_columns.py does, in double precision.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "chainrule/table_model.h"
#include "files/json.h"

namespace chainrule {

struct TextFormat {
  std::string decimal, unit;  // of numbers
  std::string order;          // of dates
};

// The state of one column's encoder, named as in Python.
struct Encoder {
  ColumnUse use = ColumnUse::value;
  std::string name;
  double median = 0, scale = 1;
  bool indicator = false;
  std::optional<TextFormat> format{};
  std::vector<double> edges{};
  std::vector<std::string> levels{};
  bool other = false, missing = false;
  std::map<std::string, Index, std::less<>> places{}, alike{};  // numbers of the levels, by name and by key
  bool is_boolean = false;

  Index bins() const { return edges.empty() ? 0 : static_cast<Index>(edges.size()) - 1; }
  Index width() const;
  std::vector<BinnedColumn> layout() const;
};

// One column of the layout: its codes, its values, or both.
struct EncodedPart {
  BinnedColumn column;
  std::vector<std::int32_t> codes{};
  std::vector<double> values{};
};

// Reads an encoder from its JSON; throws std::invalid_argument if Python cannot have written it.
Encoder read_encoder(JsonReader& json);

Index rows_of(const Cells& cells);

// Encodes the rows begin <= row < end of a column.
std::vector<EncodedPart> encode(const Encoder& encoder, const Cells& cells, Index begin, Index end);

}  // namespace chainrule
