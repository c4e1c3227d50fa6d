// The lists of settings. Every struct of options lists its members once, in `fields`, each with the allowed values, a
// description, and its name in other libraries. Parsing, checks, messages and the documentation are derived from these
// lists. A visitor takes (name, pointer to member, Range, meaning, elsewhere = ""). Descriptions use the markup of
// Python's docstrings. The kernels include this file, so it includes nothing.
#pragma once

namespace chainrule {

// The values that a number may have; NaN is never among them.
struct Range {
  double low = -__builtin_inf(), high = __builtin_inf();
  bool with_low = true, with_high = true;

  constexpr bool holds(double value) const {
    return (with_low ? value >= low : value > low) && (with_high ? value <= high : value < high);
  }
};

inline constexpr Range anything{};  // every number; also used for settings that are not numbers
inline constexpr Range finite{.with_low = false, .with_high = false};
inline constexpr Range positive{.low = 0, .with_low = false, .with_high = false};
inline constexpr Range not_negative{.low = 0, .with_high = false};
inline constexpr Range positive_or_infinite{.low = 0, .with_low = false};
inline constexpr Range not_negative_or_infinite{.low = 0};
inline constexpr Range at_least_one{.low = 1};
inline constexpr Range below_one{.low = 0, .high = 1, .with_high = false};  // at least 0
inline constexpr Range zero_to_one{.low = 0, .high = 1};
inline constexpr Range between_zero_and_one{.low = 0, .high = 1, .with_low = false, .with_high = false};

}  // namespace chainrule
