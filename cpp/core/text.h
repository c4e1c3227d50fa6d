// Concatenates strings, characters, numbers (with six digits) and objects that convert to a string. It does not use
// streams, because a stream silently drops text if an allocation fails.
#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <type_traits>

namespace chainrule {

template <class Part>
void append(std::string& text, const Part& part) {
  if constexpr (std::is_convertible_v<const Part&, std::string_view>) {
    text += std::string_view(part);
  } else if constexpr (std::is_same_v<Part, char>) {
    text += part;
  } else if constexpr (std::is_integral_v<Part>) {
    text += std::to_string(part);
  } else if constexpr (std::is_floating_point_v<Part>) {
    char digits[32];
    char* end = digits + std::snprintf(digits, sizeof digits, "%g", double{part});
    std::replace(digits, end, ',', '.');  // some locales write a comma
    text.append(digits, end);
  } else {
    text += std::string(part);
  }
}

template <class... Parts>
std::string text_of(const Parts&... parts) {
  std::string text;
  (append(text, parts), ...);
  return text;
}

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The beginning of a text: at most `size` bytes, without splitting a UTF-8 character.
template <class Char>
std::basic_string<Char> beginning(const std::basic_string<Char>& text, std::size_t size) {
  if (size < text.size() && sizeof(Char) == 1)
    while (size > 0 && (text[size] & 0xC0) == 0x80) --size;
  return text.substr(0, size);
}

}  // namespace chainrule
