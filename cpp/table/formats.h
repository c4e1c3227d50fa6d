// Reads numbers and dates that are written as text, in a format that Python's encoder has learned. It accepts the same
// strings as python/chainrule/_formats.py, and has the same patterns.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace chainrule {

// Removes white space at both ends, like Python's str.strip; strings are UTF-8.
std::string_view strip(std::string_view text);

// True if a string stands for a missing value in a column of numbers or dates.
bool is_marker(std::string_view text);

// Like float(text) in Python for ASCII strings without underscores, but returns NaN for one that is not a number.
double read_float(std::string_view text);

// Positions in the text of a number with a certain shape; the shape of a text has 0 in place of every digit.
struct NumberShape {
  bool valid = false, grouped = false, negative = false;
  std::size_t begin = 0, end = 0;
};

class NumberReader {
 public:
  NumberReader(std::string decimal, std::string unit);
  double read(std::string_view text);  // NaN for a text that is not a number in this format
  std::string example() const;

 private:
  NumberShape find(const std::string& shape) const;

  std::string decimal_, unit_;
  std::map<std::string, NumberShape, std::less<>> shapes_;
};

struct DateShape {
  enum Part {
    year,
    month,
    day,
    first,
    second,
    third,
    hours,
    minutes,
    seconds,
    fraction,
    zone_hours,
    zone_minutes,
    zone,
    half,
    name,
    parts
  };
  bool valid = false, is_time = false, has_order = false, is_iso = false;
  struct Span {
    std::size_t begin = 0, size = 0;
  } spans[parts];
};

class DateReader {
 public:
  explicit DateReader(std::string order);  // "dmy", "mdy", "ymd", "time", or empty: only ISO 8601
  // Microseconds since 1970-01-01 (UTC) or, for a time of day, since midnight; nullopt for a text that is not a date in
  // this format.
  std::optional<std::int64_t> read(std::string_view text);
  std::string example() const;

 private:
  std::string order_;
  std::map<std::string, DateShape, std::less<>> shapes_;
};

}  // namespace chainrule
