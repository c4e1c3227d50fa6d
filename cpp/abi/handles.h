// Functions shared by the implementations of chainrule.h: they turn exceptions into a status and a message, and copy
// strings for the caller.
#pragma once

#include <exception>
#include <filesystem>
#include <string_view>

#include "chainrule/chainrule.h"
#include "core/check.h"

namespace chainrule {

// Returns the status of an exception and stores its message for chainrule_error().
int status_of(const std::exception_ptr& error) noexcept;

// Calls a function. Returns CHAINRULE_OK or the status of the exception that it throws.
template <class Function>
int guarded(Function function) noexcept {
  try {
    function();
    return CHAINRULE_OK;
  } catch (...) {
    return status_of(std::current_exception());
  }
}

inline void require_not_null(const void* pointer, const char* name) { require(pointer != nullptr, name, " is NULL"); }

std::filesystem::path path_of(std::string_view utf8);

// A copy that chainrule_text_free frees.
char* new_text(std::string_view text);

}  // namespace chainrule
