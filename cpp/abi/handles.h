// What the functions of chainrule.h have in common: exceptions become a status and a text, texts are copied for the
// caller.
#pragma once

#include <exception>
#include <filesystem>
#include <string_view>

#include "chainrule/chainrule.h"
#include "core/check.h"

namespace chainrule {

// The status of an exception, whose text chainrule_error() returns from now on.
int status_of(const std::exception_ptr& error) noexcept;

// Calls a function, and returns the status of what it throws.
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
