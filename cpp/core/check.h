// Errors for bad input. A message names the faulty argument, the value that was given, and the values that are allowed.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "chainrule/settings.h"
#include "core/text.h"

namespace chainrule {

template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) throw std::invalid_argument(text_of(parts...));
}

// Calls a function and prefixes its errors: "validation: X has no rows".
template <class Function>
auto with_prefix(const char* prefix, Function function) {
  try {
    return function();
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(text_of(prefix, ": ", error.what()));
  }
}

// Describes a range, as the end of the message "..., expected ...". Empty if any number is allowed.
inline std::string range_text(const Range& range, const std::string& name) {
  constexpr double infinity = __builtin_inf();
  if (range.high < infinity)
    return text_of(range.low, range.with_low ? " <= " : " < ", name, range.with_high ? " <= " : " < ", range.high);
  if (range.low == -infinity) return range.with_high ? "" : "a finite number";
  if (!range.with_low) return range.low == 0 ? "a positive number" : text_of("more than ", range.low);
  return range.low == 0 ? "0 or more" : text_of("at least ", range.low);
}

// Checks that a number, or every number in a vector, is in the range; does nothing for other types. owner is empty or
// follows the name in the message, as in " of a group".
template <class Value>
void check_range(const std::string& name, const char* owner, const Value& value, const Range& range) {
  if constexpr (std::is_arithmetic_v<Value>) {
    if (range.holds(static_cast<double>(value))) return;
    const std::string expected = range_text(range, name);
    require(false, name, owner, " is ", value, ", expected ", expected.empty() ? "a number" : expected);
  }
}
template <class Value>
void check_range(const std::string& name, const char* owner, const std::optional<Value>& value, const Range& range) {
  if (value) check_range(name, owner, *value, range);
}
inline void check_range(const std::string& name, const char* owner, const std::vector<double>& values,
                        const Range& range) {
  for (const double value : values) check_range(name, owner, value, range);
}

// Checks every setting of a struct against its range.
template <class Options>
void check_fields(const Options& options, const char* owner = "") {
  Options::fields([&](const char* name, auto member, const Range& range, auto...) {
    check_range(name, owner, options.*member, range);
  });
}

// The enumerator with this name. The error for an unknown name lists all names.
template <class Enum, int Count>
Enum from_name(const std::string& name, const char* const (&names)[Count], const char* what) {
  std::string all;
  for (int i = 0; i < Count; ++i) {
    if (name == names[i]) return static_cast<Enum>(i);
    all += (i > 0 ? ", " : "") + std::string(names[i]);
  }
  throw std::invalid_argument(text_of(what, " '", beginning(name, 100), "' is unknown, expected one of ", all));
}

}  // namespace chainrule
