// Reads the entries of a state from which a fit resumes.
#pragma once

#include "chainrule/training.h"
#include "core/check.h"

namespace chainrule {

template <class Value>
const Value& entry(const std::map<std::string, Value>& entries, const std::string& name) {
  const auto found = entries.find(name);
  require(found != entries.end(), "the state to resume has no ", name, ": it belongs to another optimizer");
  return found->second;
}

// An entry of at least `count` numbers.
inline const std::vector<double>& numbers(const std::map<std::string, std::vector<double>>& entries,
                                          const std::string& name, std::size_t count) {
  const std::vector<double>& found = entry(entries, name);
  require(found.size() >= count, "the state to resume has ", found.size(), " numbers in ", name, ", expected ", count);
  return found;
}

}  // namespace chainrule
