// Reads JSON (RFC 8259) from memory, value by value, as the caller requests them. It builds no tree, so skipped values
// take no memory. It accepts only UTF-8, objects without duplicate names, and at most 64 levels of nesting. Errors
// throw std::invalid_argument with the position in bytes.
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

  // Each function reads the next value, which must be of its kind. entry(name) and item() must read one value each.
  template <class Entry>
  void object(Entry entry) {
    std::set<std::string> names;
    open('{');
    for (bool first = true; more('}', first); first = false) {
      std::string name = string();
      demand(names.insert(name).second, "a name that does not occur twice in the object");
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
  std::uint64_t whole_number(std::uint64_t max = UINT64_MAX);
  double number();
  std::string_view number_text();  // the text of a number
  bool boolean();
  bool null();  // if a null comes next, reads it and returns true
  void skip();  // a value of any kind

  bool next_is(char first);  // true if the next value begins with this character
  void end();                // demands that only white space is left

 private:
  void open(char bracket);
  bool more(char bracket, bool first);
  void expect(char c);
  void demand(bool condition, const char* what) const;
  bool accept(std::string_view literal);
  std::uint32_t hex4();

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

// Write values as Python's json module does: a string with its quotes, a number with the fewest digits that read back
// as the same number.
std::string json_string(std::string_view text);
std::string json_number(double value);
std::string json_single(float value);

// The value of a number in ASCII digits with an optional sign, point and exponent, whatever the locale; infinite if it
// is too large.
double number_of(std::string_view text);

}  // namespace chainrule
