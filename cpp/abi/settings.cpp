#include "abi/settings.h"

#include <climits>
#include <cmath>
#include <type_traits>
#include <utility>

#include "core/check.h"
#include "files/json.h"

namespace chainrule {
namespace {

// One read() for each type of a setting; the settings of a struct are read by the names in its list of fields.
class SettingsReader {
 public:
  explicit SettingsReader(std::string_view json) : json_(json) {}

  // Reads an object. other(name) reads an entry that is not a field, or returns false; others: the names of such
  // entries.
  template <class Options, class Other>
  void read_fields(Options& options, Other other, std::string others = "") {
    json_.object([&](const std::string& name) {
      bool known = false;
      std::string names = others;
      Options::fields([&](const char* field, auto member, auto...) {
        names += (names.empty() ? "" : ", ") + std::string(field);
        if (name != field) return;
        known = true;
        with_prefix(field, [&] { read(options.*member); });
      });
      require(known || other(name), "'", beginning(name, 100), "' is unknown, expected one of ", names);
    });
  }
  template <class Options>
  void read_fields(Options& options) {
    read_fields(options, [](const std::string&) { return false; });
  }

  void read(bool& into) { into = json_.boolean(); }
  void read(int& into) { into = static_cast<int>(json_.whole_number(INT_MAX)); }
  void read(Index& into) { into = static_cast<Index>(json_.whole_number(PTRDIFF_MAX)); }
  void read(std::uint64_t& into) { into = json_.whole_number(); }
  void read(double& into) { into = json_.number(); }
  void read(std::vector<double>& into) {
    if (json_.next_is('[')) return read_list(into);
    read(into.emplace_back());
  }
  void read(std::vector<Index>& into) { read_list(into); }
  void read(std::vector<Group>& into) { read_list(into); }
  template <class T>
  void read(std::vector<Metric<T>>& into) {
    read_list(into);
  }
  void read(Kind& into) { into = from_name<Kind>(json_.string(), kind_names, "the kind of a group"); }
  void read(Precision& into) { into = from_name<Precision>(json_.string(), precision_names, "precision"); }
  template <class T>
  void read(Metric<T>& into) {
    into.score = from_name<Score>(json_.string(), score_names, "metric");
  }
  void read(Group& into) { read_fields(into); }
  void read(Stop& into) { read_fields(into); }
  void read(RateSchedules& into) { read_fields(into); }
  void read(OptimizerOptions& into) { read_named(into, "optimizer"); }
  void read(RateSchedule& into) { read_named(into, "schedule"); }
  void read(Shuffle& into) {
    if (json_.next_is('{') || json_.next_is('"')) return read_named(into, "order of the rows");
    into = json_.boolean();
  }
  template <class Value>
  void read(std::optional<Value>& into) {
    if (json_.null()) return into.reset();
    read(into.emplace());
  }

  void end() { json_.end(); }

 private:
  template <class Value>
  void read_list(std::vector<Value>& into) {
    json_.array([&] { read(into.emplace_back()); });
  }

  // "name", or {"name": {settings}}, of one of the structs.
  template <class... Options>
  void read_named(std::variant<Options...>& into, const char* what) {
    const auto select = [&](const std::string& name, bool with_settings) {
      std::string names;
      bool known = false;
      const auto select_if = [&]<class One>(std::type_identity<One>) {
        if constexpr (requires { One::name; }) {
          names += (names.empty() ? "" : ", ") + std::string(One::name);
          if (name != One::name) return;
          known = true;
          One& options = into.template emplace<One>();
          if (with_settings) with_prefix(One::name, [&] { read_fields(options); });
        }
      };
      (select_if(std::type_identity<Options>()), ...);
      require(known, what, " '", beginning(name, 100), "' is unknown, expected one of ", names);
    };
    if (json_.next_is('"')) return select(json_.string(), false);
    int count = 0;
    json_.object([&](const std::string& name) {
      select(name, true);
      ++count;
    });
    require(count == 1, "it has ", count, " entries, expected one: the name of the ", what);
  }

  JsonReader json_;
};

class HistoryWriter {
 public:
  void write(const std::string& text) { out_ += json_string(text); }
  void write(int value) { out_ += std::to_string(value); }
  void write(double value) { out_ += std::isfinite(value) ? json_number(value) : "null"; }
  template <class Value>
  void write(const std::vector<Value>& values) {
    out_ += '[';
    for (const char* comma = ""; const Value& value : values) {
      out_ += std::exchange(comma, ", ");
      write(value);
    }
    out_ += ']';
  }
  void write(const History& history) {
    out_ += '{';
    History::fields([&, comma = ""](const char* name, auto member) mutable {
      out_ += std::exchange(comma, ", ") + json_string(name) + ": ";
      write(history.*member);
    });
    out_ += '}';
  }
  std::string& text() { return out_; }

 private:
  std::string out_;
};

}  // namespace

template <class T>
FitOptions<T> read_settings(std::string_view json) {
  return with_prefix("settings", [&] {
    FitOptions<T> options;
    SettingsReader reader(json);
    const auto others = [&](const std::string& name) {
      const auto read_if = [&](const char* other, auto& into) {
        if (name == other) with_prefix(other, [&] { reader.read(into); });
        return name == other;
      };
      return read_if("seed", options.seed) || read_if("threads", options.threads) ||
             read_if("metrics", options.metrics);
    };
    reader.read_fields(options, others, "seed, threads, metrics");
    reader.end();
    return options;
  });
}

template FitOptions<float> read_settings(std::string_view);
template FitOptions<double> read_settings(std::string_view);

std::string write_history(const History& history) {
  HistoryWriter writer;
  writer.write(history);
  return std::move(writer.text());
}

}  // namespace chainrule
