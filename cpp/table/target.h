// The target of an estimator: turns the outputs of its network into classes, probabilities or values, as
// python/chainrule/target.py does.
#pragma once

#include <string>
#include <vector>

#include "chainrule/view.h"
#include "files/json.h"

namespace chainrule {

struct Target {
  std::string name;
  bool of_classes = false, multilabel = false;
  std::vector<std::string> classes{};       // as Python prints them
  std::vector<double> mean{}, std{};        // of values: empty, one, or one per output
  std::vector<double> lowest{}, highest{};  // bounds, likewise

  // The number of probabilities or values per row.
  Index columns(Index n_outputs) const;
  void check(Index n_outputs) const;  // throws std::invalid_argument unless it matches a network's outputs

  // Each function appends the predictions for some rows of outputs.
  template <class T>
  void append_values(MatrixView<const T> outputs, std::vector<double>& to) const;
  template <class T>
  void append_probabilities(MatrixView<const T> outputs, std::vector<double>& to) const;
  template <class T>
  void append_classes(MatrixView<const T> outputs, std::vector<Index>& to) const;
};

// Reads the target from its JSON, of this format or of the one before the first release; throws std::invalid_argument
// if Python cannot have written it.
Target read_target(JsonReader& json);
Target read_old_target(JsonReader& json);

}  // namespace chainrule
