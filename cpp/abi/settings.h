// Reads the settings of a fit from JSON, using the lists of fields in the headers, and writes its history as JSON.
#pragma once

#include <string>
#include <string_view>

#include "chainrule/training.h"

namespace chainrule {

// Throws std::invalid_argument with a message that names the setting.
template <class T>
FitOptions<T> read_settings(std::string_view json);

std::string write_history(const History& history);

}  // namespace chainrule
