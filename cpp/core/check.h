// The way to refuse bad input: say what, what was expected and what came.
#pragma once

#include <sstream>
#include <stdexcept>

namespace chainrule {

template <class... Parts>
std::string message(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) throw std::invalid_argument(message(parts...));
}

}  // namespace chainrule
