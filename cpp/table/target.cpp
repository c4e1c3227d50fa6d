#include "table/target.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/check.h"

namespace chainrule {
namespace {

// A number or a list of numbers, or null.
std::vector<double> read_numbers(JsonReader& json, bool& is_list) {
  std::vector<double> values;
  is_list = json.next_is('[');
  if (is_list) {
    json.array([&] { values.push_back(json.number()); });
    require(!values.empty(), "its target has an empty list of numbers");
  } else if (!json.null()) {
    values.push_back(json.number());
  }
  return values;
}

// A class as Python prints it.
std::string read_class(JsonReader& json, const std::string& dtype) {
  if (json.next_is('"')) return json.string();
  if (json.null()) return "None";
  if (json.next_is('t') || json.next_is('f')) return json.boolean() ? "True" : "False";
  const std::string text(json.number_text());
  const bool is_whole = text.find_first_of(".eE") == std::string::npos;
  require(is_whole || dtype[0] == 'f' || dtype[0] == 'O', "the class ", beginning(text, 100), " is not a whole number");
  if (is_whole && dtype[0] != 'f') return text == "-0" ? "0" : text;
  const double value = JsonReader(text).number();
  return json_number(dtype == "f4" ? static_cast<double>(static_cast<float>(value)) : value);
}

std::vector<std::string> read_classes(JsonReader& json) {
  std::string dtype = "O";
  std::vector<std::string> classes;
  bool has_values = false;
  json.object([&](const std::string& name) {
    if (name == "dtype") {
      dtype = json.string();
      require(!dtype.empty() && std::string_view("biufUO").find(dtype[0]) != std::string_view::npos,
              "its classes have the unknown dtype '", beginning(dtype, 20), "'");
    } else if (name == "values") {
      has_values = true;
      json.array([&] { classes.push_back(read_class(json, dtype)); });
    } else {
      json.skip();
    }
  });
  require(has_values && !classes.empty(), "its target has no classes");
  require(std::set<std::string>(classes.begin(), classes.end()).size() == classes.size(),
          "its target has a class twice");
  return classes;
}

void check_scale(const Target& target) {
  require(target.mean.size() == target.std.size(), "mean and std of its target have different shapes");
  for (const double value : target.std)
    require(value > 0, "the std of its target is ", value, ", expected a positive number");
}

}  // namespace

Index Target::columns(Index n_outputs) const {
  if (!of_classes || multilabel) return n_outputs;
  return classes.size() == 1 ? 1 : std::max<Index>(n_outputs, 2);
}

void Target::check(Index n_outputs) const {
  const auto fits = [&](const std::vector<double>& values) {
    return values.size() <= 1 || static_cast<Index>(values.size()) == n_outputs;
  };
  const bool several = multilabel || classes.size() > 2;
  const bool right = !of_classes ? fits(mean) && fits(lowest)
                     : several   ? static_cast<Index>(classes.size()) == n_outputs
                                 : n_outputs <= 2;
  require(right, "its target does not fit the network's ", n_outputs, " outputs");
}

template <class T>
void Target::append_values(MatrixView<const T> outputs, std::vector<double>& to) const {
  const auto of = [](const std::vector<double>& values, Index j) {
    return values[values.size() == 1 ? 0 : static_cast<std::size_t>(j)];
  };
  for (Index i = 0; i < outputs.rows; ++i)
    for (Index j = 0; j < outputs.cols; ++j) {
      double value = outputs(i, j);
      if (!mean.empty()) value = value * of(std, j) + of(mean, j);
      if (!lowest.empty()) {  // like numpy.clip
        value = std::isnan(value) || value > of(lowest, j) ? value : of(lowest, j);
        value = std::isnan(value) || value < of(highest, j) ? value : of(highest, j);
      }
      to.push_back(value);
    }
}

template <class T>
void Target::append_probabilities(MatrixView<const T> outputs, std::vector<double>& to) const {
  for (Index i = 0; i < outputs.rows; ++i) {
    if (!multilabel && classes.size() == 1) {
      to.push_back(1);
    } else {
      if (!multilabel && outputs.cols == 1) to.push_back(static_cast<double>(T(1) - outputs(i, 0)));
      for (Index j = 0; j < outputs.cols; ++j) to.push_back(static_cast<double>(outputs(i, j)));
    }
  }
}

template <class T>
void Target::append_classes(MatrixView<const T> outputs, std::vector<Index>& to) const {
  for (Index i = 0; i < outputs.rows; ++i) {
    if (multilabel) {
      for (Index j = 0; j < outputs.cols; ++j) to.push_back(outputs(i, j) > T(0.5));
      continue;
    }
    Index number = 0;
    if (outputs.cols == 1) number = outputs(i, 0) > T(0.5);
    for (Index j = 1; j < outputs.cols; ++j) {  // like numpy.argmax: the first of equal values, or the first NaN
      const T best = outputs(i, number), value = outputs(i, j);
      if (!std::isnan(best) && (value > best || std::isnan(value))) number = j;
    }
    to.push_back(std::min(number, static_cast<Index>(classes.size()) - 1));
  }
}

#define CHAINRULE_INSTANTIATE(T)                                                               \
  template void Target::append_values(MatrixView<const T>, std::vector<double>&) const;        \
  template void Target::append_probabilities(MatrixView<const T>, std::vector<double>&) const; \
  template void Target::append_classes(MatrixView<const T>, std::vector<Index>&) const;
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

Target read_target(JsonReader& json) {
  Target target;
  std::string y_type;
  std::set<std::string> required{"name", "classes", "y_type", "sparse", "mean", "std"};
  bool mean_is_list = false, std_is_list = false;
  json.object([&](const std::string& name) {
    required.erase(name);
    if (name == "name") {
      target.name = json.string();
    } else if (name == "classes") {
      target.of_classes = !json.null();
      if (target.of_classes) target.classes = read_classes(json);
    } else if (name == "y_type") {
      y_type = json.string();
    } else if (name == "sparse") {
      json.boolean();
    } else if (name == "mean") {
      target.mean = read_numbers(json, mean_is_list);
    } else if (name == "std") {
      target.std = read_numbers(json, std_is_list);
    } else if (name == "bounds") {
      int count = 0;
      json.array([&] {
        bool is_list = false;
        (count++ == 0 ? target.lowest : target.highest) = read_numbers(json, is_list);
      });
      require(count == 2 && !target.lowest.empty() && target.lowest.size() == target.highest.size(),
              "its target has bounds of the wrong shape");
      for (std::size_t k = 0; k < target.lowest.size(); ++k)
        require(target.lowest[k] <= target.highest[k], "its target has the bounds ", target.lowest[k], " and ",
                target.highest[k]);
    } else {
      json.skip();
    }
  });
  require(required.empty(), "its target lacks ", required.empty() ? "" : *required.begin());
  target.multilabel = y_type == "multilabel-indicator";
  const bool known =
      target.of_classes ? target.multilabel || y_type == "binary" || y_type == "multiclass" : y_type.empty();
  require(known, "its target has the unknown type '", beginning(y_type, 20), "'");
  require(mean_is_list == std_is_list, "mean and std of its target have different shapes");
  check_scale(target);
  return target;
}

Target read_old_target(JsonReader& json) {
  Target target;
  bool is_list = false;
  json.object([&](const std::string& name) {
    if (name == "name") return static_cast<void>(target.name = json.string());
    if (name == "mean") return static_cast<void>(target.mean = read_numbers(json, is_list));
    if (name == "std") return static_cast<void>(target.std = read_numbers(json, is_list));
    if (name != "labels") return json.skip();
    target.of_classes = true;
    json.array([&] { target.classes.push_back(json.string()); });
  });
  require(target.of_classes ? !target.classes.empty() : !target.mean.empty(),
          "its target has neither labels nor a mean");
  check_scale(target);
  return target;
}

}  // namespace chainrule
