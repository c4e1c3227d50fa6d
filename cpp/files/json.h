// Reads JSON (RFC 8259) from memory, value by value as requested: without a tree, so skipped values take no memory.
// Strict: UTF-8, no name twice in an object, nothing nested deeper than 64. All else throws std::invalid_argument with
// the place.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace chainrule {

bool is_utf8(std::string_view text);

class JsonReader {
 public:
  explicit JsonReader(std::string_view text);

  // Each reads the next value, which must be of this kind. entry(name) and item() must read one value each.
  template <class Entry>
  void object(Entry entry) {
    std::set<std::string> names;
    open('{');
    for (bool first = true; more('}', first); first = false) {
      std::string name = string();
      demand(names.insert(name).second, "a name that is new in its object");
      expect(':');
      entry(name);
    }
  }
  template <class Item>
  void array(Item item) {
    open('[');
    for (bool first = true; more(']', first); first = false) item();
  }
  std::string string();
  std::uint64_t whole_number(std::uint64_t most = UINT64_MAX);
  double number();
  void skip();  // a value of any kind

  bool next_is(char first);  // true if the next value begins with it
  void end();                // only spaces may be left

 private:
  void open(char bracket);
  bool more(char bracket, bool first);
  void expect(char c);
  void demand(bool condition, const char* what) const;
  std::string_view number_text();
  std::uint32_t hex4();

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

// Write values as Python's json does: a string with its quotes; a number with the fewest digits that are read as the
// same one.
std::string json_string(std::string_view text);
std::string json_number(double value);

}  // namespace chainrule
