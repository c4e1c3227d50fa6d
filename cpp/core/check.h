// The way to refuse bad input: say what, what was expected and what came.
#pragma once

#include <stdexcept>
#include <string>

#include "core/text.h"

namespace chainrule {

template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) throw std::invalid_argument(text_of(parts...));
}

// What a function refuses says what it concerns, too: "validation: X has no rows".
template <class Function>
auto about(const char* what, Function function) {
  try {
    return function();
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(text_of(what, ": ", error.what()));
  }
}

// The entry of a list of names; refuses others with all of them.
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
