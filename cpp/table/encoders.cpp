#include "table/encoders.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "core/check.h"
#include "table/formats.h"

namespace chainrule {
namespace {

constexpr double largest = 1e300;                // differences of numbers up to this magnitude are finite
constexpr double max_scaled = 1e30;              // scaled numbers are clipped here
constexpr double microseconds = 86'400'000'000;  // per day

// Like numpy.clip, also for -0.0 and NaN.
double clip(double value, double low, double high) {
  const double above = std::isnan(value) || value > low ? value : low;
  return std::isnan(above) || above < high ? above : high;
}

std::string without_zeros(std::string_view level) {
  level = strip(level);
  const std::size_t point = level.find('.');
  if (point == std::string_view::npos) return std::string(level);
  std::string_view whole = level.substr(0, point), zeros = level.substr(point + 1);
  const std::string_view digits = whole.substr(whole.starts_with('-') || whole.starts_with('+') ? 1 : 0);
  const bool is_number = !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
  const bool is_whole = is_number && (digits == "0" || digits.front() != '0') && !zeros.empty() &&
                        zeros.find_first_not_of('0') == std::string_view::npos;
  return std::string(is_whole ? whole : level);
}

// "1" or "0" if the level is a boolean written in letters; otherwise the level.
std::string as_digit(const std::string& level) {
  std::string low = level;
  std::ranges::transform(low, low.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return low == "true" ? "1" : low == "false" ? "0" : level;
}

std::string key_of(const Encoder& encoder, std::string_view level) {
  const std::string plain = without_zeros(level);
  return encoder.is_boolean ? as_digit(plain) : plain;
}

void index_levels(Encoder& encoder) {
  bool digits = true, words = true;
  for (const std::string& level : encoder.levels) {
    const std::string plain = without_zeros(level), digit = as_digit(plain);
    const bool is_digit = plain == "0" || plain == "1";
    digits = digits && is_digit;
    words = words && !is_digit && (digit == "0" || digit == "1");
  }
  encoder.is_boolean = !encoder.levels.empty() && (digits || words);
  std::map<std::string, int> count;
  for (std::size_t i = 0; i < encoder.levels.size(); ++i) {
    const std::string& level = encoder.levels[i];
    require(encoder.places.emplace(level, static_cast<Index>(i)).second, "column '", beginning(encoder.name, 100),
            "' has the level '", beginning(level, 100), "' more than once");
    ++count[key_of(encoder, level)];
  }
  for (const auto& [level, place] : encoder.places) {
    const std::string key = key_of(encoder, level);
    if (count[key] == 1) encoder.alike.emplace(key, place);
  }
}

void check_encoder(const Encoder& e) {
  const std::string column = text_of("column '", beginning(e.name, 100), "'");
  if (e.use == ColumnUse::levels) {
    require(e.width() > 0, column, " has no levels");
    return;
  }
  if (e.use == ColumnUse::ignored) return;
  require(e.scale >= 0, column, " has scale ", e.scale, ", expected 0 or more");
  require(e.scale > 0 || e.indicator, column, " has scale 0 and no indicator, so it has no features");
  const bool rising = std::ranges::adjacent_find(e.edges, std::greater_equal()) == e.edges.end();
  require(e.edges.empty() || (rising && e.edges.size() > 2), column,
          ": the edges of its bins are not in ascending order");
  if (!e.format) return;
  if (e.use == ColumnUse::number) {
    NumberReader(e.format->decimal, e.format->unit);
  } else {
    require(!e.format->order.empty(), column, " has a format without an order");
    DateReader(e.format->order);
  }
}

// The text of a level that is a number, as Python writes it.
std::string level_name(double value) {
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  if (value == std::trunc(value)) {
    char digits[400];
    std::snprintf(digits, sizeof digits, "%.0f", value);
    return std::string(digits) == "-0" ? "0" : digits;
  }
  const auto single = static_cast<float>(value);
  return static_cast<double>(single) == value ? json_single(single) : json_number(value);
}

struct CellError {
  const Encoder& encoder;
  Index row;

  [[noreturn]] void fail(const std::string& cell, const std::string& expected) const {
    throw std::invalid_argument(text_of("column '", beginning(encoder.name, 100), "' holds ", cell, " in row ", row + 1,
                                        ", expected ", expected));
  }
};

std::string quoted(std::string_view text) { return "'" + beginning(std::string(text), 100) + "'"; }

// Numbers, or dates in days; NaN for missing cells.
class CellReader {
 public:
  explicit CellReader(const Encoder& encoder) : encoder_(encoder) {
    if (encoder.use == ColumnUse::number && encoder.format)
      number_.emplace(encoder.format->decimal, encoder.format->unit);
    if (encoder.use == ColumnUse::date) date_.emplace(encoder.format ? encoder.format->order : "");
  }

  double read(double value, Index row) const {
    if (std::abs(value) > largest) CellError{encoder_, row}.fail(text_of(value), "a number between -1e+300 and 1e+300");
    return value;
  }

  double read(const TextCell& cell, Index row) {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    if (!cell) return nan;
    if (date_) {
      if (const auto moment = date_->read(*cell)) return static_cast<double>(*moment) / microseconds;
    } else {
      const double value = number_ ? number_->read(*cell) : read_float(*cell);
      if (!std::isnan(value)) return read(value, row);
    }
    if (encoder_.format && is_marker(*cell)) return nan;
    const std::string example = date_ ? date_->example() : number_ ? number_->example() : "";
    CellError{encoder_, row}.fail(
        quoted(*cell), std::string(date_ ? "a date" : "a number") + (example.empty() ? "" : " such as " + example));
  }

 private:
  const Encoder& encoder_;
  std::optional<NumberReader> number_;
  std::optional<DateReader> date_;
};

std::vector<double> numbers_of(const Encoder& encoder, const Cells& cells, Index begin, Index end) {
  CellReader reader(encoder);
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(end - begin));
  std::visit(
      [&](const auto& column) {
        for (Index row = begin; row < end; ++row)
          values.push_back(reader.read(column[static_cast<std::size_t>(row)], row));
      },
      cells);
  return values;
}

std::vector<EncodedPart> encode_numbers(const Encoder& e, const std::vector<double>& values) {
  EncodedPart scaled{{ColumnKind::value, 1}}, bins{{ColumnKind::bins, e.bins()}}, gaps{{ColumnKind::levels, 1}};
  for (const double value : values) {
    const bool missing = std::isnan(value);
    const double present = missing ? e.median : value;
    const double x = e.scale > 0 ? clip((present - e.median) / e.scale, -max_scaled, max_scaled) : 0.0;
    scaled.values.push_back(x / std::hypot(1.0, x / 3.0));
    if (!e.edges.empty()) {
      const auto above = std::ranges::upper_bound(e.edges, present) - e.edges.begin();
      const auto bin = static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(above - 1, 0, e.bins() - 1));
      bins.codes.push_back(static_cast<std::int32_t>(bin));
      bins.values.push_back(clip((present - e.edges[bin]) / (e.edges[bin + 1] - e.edges[bin]), 0, 1));
    }
    gaps.codes.push_back(missing ? 0 : 1);
  }
  std::vector<EncodedPart> parts{std::move(scaled)};
  if (!e.edges.empty()) parts.push_back(std::move(bins));
  if (e.indicator) parts.push_back(std::move(gaps));
  return parts;
}

std::vector<EncodedPart> encode_levels(const Encoder& e, const Cells& cells, Index begin, Index end) {
  const Index unseen = e.other ? static_cast<Index>(e.levels.size()) : e.width();
  const Index gap = e.missing ? e.width() - 1 : e.width();
  EncodedPart part{{ColumnKind::levels, e.width()}};
  const auto add = [&](std::optional<std::string_view> level) {
    const auto find = [&] {
      if (!level) return gap;
      if (const auto place = e.places.find(*level); place != e.places.end()) return place->second;
      const auto alike = e.alike.find(key_of(e, *level));
      return alike == e.alike.end() ? unseen : alike->second;
    };
    part.codes.push_back(static_cast<std::int32_t>(find()));
  };
  if (const auto* texts = std::get_if<std::span<const TextCell>>(&cells)) {
    for (Index row = begin; row < end; ++row) add((*texts)[static_cast<std::size_t>(row)]);
  } else {
    const auto values = std::get<std::span<const double>>(cells);
    for (Index row = begin; row < end; ++row) {
      const double value = values[static_cast<std::size_t>(row)];
      if (std::isnan(value)) {
        add(std::nullopt);
      } else {
        add(level_name(value));
      }
    }
  }
  return {std::move(part)};
}

}  // namespace

Index Encoder::width() const {
  if (use == ColumnUse::ignored) return 0;
  if (use == ColumnUse::levels) return static_cast<Index>(levels.size()) + other + missing;
  return 1 + bins() + indicator;
}

std::vector<BinnedColumn> Encoder::layout() const {
  if (use == ColumnUse::ignored) return {};
  if (use == ColumnUse::levels) return {{ColumnKind::levels, width()}};
  std::vector<BinnedColumn> columns{{ColumnKind::value, 1}};
  if (!edges.empty()) columns.push_back({ColumnKind::bins, bins()});
  if (indicator) columns.push_back({ColumnKind::levels, 1});
  return columns;
}

Encoder read_encoder(JsonReader& json) {
  Encoder e;
  TextFormat format;
  std::string kind;
  std::set<std::string> found, of_format;
  const auto read = [&](const std::string& name) {
    found.insert(name);
    if (name == "kind") return static_cast<void>(kind = json.string());
    if (name == "name") return static_cast<void>(e.name = json.string());
    if (name == "reason") return static_cast<void>(json.string());
    if (name == "median") return static_cast<void>(e.median = json.number());
    if (name == "scale") return static_cast<void>(e.scale = json.number());
    if (name == "indicator") return static_cast<void>(e.indicator = json.boolean());
    if (name == "other") return static_cast<void>(e.other = json.boolean());
    if (name == "missing") return static_cast<void>(e.missing = json.boolean());
    if (name == "edges") return json.array([&] { e.edges.push_back(json.number()); });
    if (name == "levels") return json.array([&] { e.levels.push_back(json.string()); });
    require(name == "format", "a column has the unknown entry '", beginning(name, 100), "'");
    json.object([&](const std::string& part) {
      of_format.insert(part);
      (part == "decimal" ? format.decimal : part == "unit" ? format.unit : format.order) = json.string();
    });
  };
  json.object([&](const std::string& name) { with_prefix(beginning(name, 100).c_str(), [&] { read(name); }); });

  const auto use = std::ranges::find(column_use_names, std::string_view(kind)) - column_use_names;
  e.use = static_cast<ColumnUse>(use);
  require(use > 0 && use < static_cast<std::ptrdiff_t>(std::size(column_use_names)), "a column has the unknown kind '",
          beginning(kind, 100), "'");
  std::set<std::string> expected{"kind", "name"};
  if (e.use == ColumnUse::ignored) expected.insert("reason");
  if (e.use == ColumnUse::levels) expected.insert({"levels", "other", "missing"});
  if (e.use == ColumnUse::number || e.use == ColumnUse::date) {
    expected.insert({"median", "scale", "indicator"});
    if (found.erase("format") > 0) {
      const std::set<std::string> parts =
          e.use == ColumnUse::number ? std::set<std::string>{"decimal", "unit"} : std::set<std::string>{"order"};
      require(of_format == parts, "column '", beginning(e.name, 100), "' has a format with other entries");
      e.format = format;
    }
    found.erase("edges");
  }
  require(found == expected, "column '", beginning(e.name, 100), "' does not have the entries of kind ", kind);
  check_encoder(e);
  index_levels(e);
  return e;
}

Index rows_of(const Cells& cells) {
  return std::visit([](const auto& column) { return static_cast<Index>(column.size()); }, cells);
}

std::vector<EncodedPart> encode(const Encoder& encoder, const Cells& cells, Index begin, Index end) {
  if (encoder.use == ColumnUse::ignored) return {};
  if (encoder.use == ColumnUse::levels) return encode_levels(encoder, cells, begin, end);
  const std::vector<double> values = numbers_of(encoder, cells, begin, end);
  if (encoder.use == ColumnUse::value) {
    for (std::size_t i = 0; i < values.size(); ++i)
      if (std::isnan(values[i])) CellError{encoder, begin + static_cast<Index>(i)}.fail("a missing value", "a number");
    return {EncodedPart{{ColumnKind::value, 1}, {}, values}};
  }
  return encode_numbers(encoder, values);
}

}  // namespace chainrule
