#include "files/json.h"

#include <cmath>
#include <iomanip>
#include <locale>
#include <sstream>

#include "core/check.h"

namespace chainrule {
namespace {

constexpr int max_depth = 64;
constexpr std::string_view escapes = "\"\\/bfnrt", escaped = "\"\\/\b\f\n\r\t";

// Makes numbers independent of the locale, and turns on exceptions: without them, a stream treats a failed allocation
// as the end of the text.
void prepare(std::ios& stream) {
  stream.imbue(std::locale::classic());
  stream.exceptions(std::ios::badbit);
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto add = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) return add(code);
  if (code < 0x800) {
    add(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      add(0xE0 | code >> 12);
    } else {
      add(0xF0 | code >> 18);
      add(0x80 | (code >> 12 & 0x3F));
    }
    add(0x80 | (code >> 6 & 0x3F));
  }
  add(0x80 | (code & 0x3F));
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    if (lead < 0x80) continue;
    const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if (lead < 0xC2 || lead > 0xF4) return false;
    std::uint32_t code = lead & (0x3Fu >> more);
    for (int k = 0; k < more; ++k) {
      if (i == text.size() || (text[i] & 0xC0) != 0x80) return false;
      code = code << 6 | (static_cast<unsigned char>(text[i++]) & 0x3Fu);
    }
    const bool surrogate = code >= 0xD800 && code < 0xE000;
    const std::uint32_t lowest = more == 3 ? 0x10000 : more == 2 ? 0x800 : 0x80;
    if (code < lowest || code > 0x10FFFF || surrogate) return false;
  }
  return true;
}

JsonReader::JsonReader(std::string_view text) : text_(text) { demand(is_utf8(text), "UTF-8"); }

void JsonReader::demand(bool condition, const char* what) const {
  require(condition, "expected ", what, " at byte ", at_);
}

bool JsonReader::next_is(char first) {
  while (at_ < text_.size() && std::string_view(" \t\n\r").find(text_[at_]) != std::string_view::npos) ++at_;
  return at_ < text_.size() && text_[at_] == first;
}

void JsonReader::expect(char c) {
  const char what[] = {'\'', c, '\'', '\0'};
  demand(next_is(c), what);
  ++at_;
}

void JsonReader::end() {
  next_is('\0');
  demand(at_ == text_.size(), "the end of the text");
}

void JsonReader::open(char bracket) {
  expect(bracket);
  demand(++depth_ <= max_depth, "at most 64 levels of nesting");
}

bool JsonReader::more(char bracket, bool first) {
  if (next_is(bracket)) {
    ++at_;
    --depth_;
    return false;
  }
  if (!first) expect(',');
  return true;
}

std::uint32_t JsonReader::hex4() {
  std::uint32_t code = 0;
  for (int k = 0; k < 4; ++k, ++at_) {
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    const char low = static_cast<char>(c | 0x20);
    demand(is_digit(c) || (low >= 'a' && low <= 'f'), "four hexadecimal digits");
    code = code << 4 | static_cast<std::uint32_t>(is_digit(c) ? c - '0' : low - 'a' + 10);
  }
  return code;
}

std::string JsonReader::string() {
  expect('"');
  std::string out;
  for (;;) {
    demand(at_ < text_.size() && static_cast<unsigned char>(text_[at_]) >= 0x20, "the end of a string");
    const char c = text_[at_++];
    if (c == '"') return out;
    if (c != '\\') {
      out += c;
      continue;
    }
    const char escape = at_ < text_.size() ? text_[at_] : '\0';
    const std::size_t known = escapes.find(escape);
    demand(known != std::string_view::npos || escape == 'u', "an escape sequence");
    ++at_;
    if (escape != 'u') {
      out += escaped[known];
      continue;
    }
    std::uint32_t code = hex4();
    if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      at_ += 2;
      const std::uint32_t low = hex4();
      demand(low >= 0xDC00 && low < 0xE000, "the second half of a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    demand(code < 0xD800 || code >= 0xE000, "both halves of a surrogate pair");
    append_utf8(out, code);
  }
}

std::string_view JsonReader::number_text() {
  const bool negative = next_is('-');
  const std::size_t begin = at_;
  if (negative) ++at_;
  const auto digits = [&] {
    demand(at_ < text_.size() && is_digit(text_[at_]), "a digit");
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
  };
  const auto accept = [&](std::string_view one_of) {
    const bool found = at_ < text_.size() && one_of.find(text_[at_]) != std::string_view::npos;
    if (found) ++at_;
    return found;
  };
  if (!accept("0")) digits();
  if (accept(".")) digits();
  if (accept("eE")) {
    accept("+-");
    digits();
  }
  return text_.substr(begin, at_ - begin);
}

std::uint64_t JsonReader::whole_number(std::uint64_t max) {
  std::uint64_t value = 0;
  bool fits = true;
  for (const char c : number_text())
    fits = fits && is_digit(c) && !__builtin_mul_overflow(value, std::uint64_t{10}, &value) &&
           !__builtin_add_overflow(value, static_cast<std::uint64_t>(c - '0'), &value);
  require(fits && value <= max, "expected a whole number from 0 to ", max, " before byte ", at_);
  return value;
}

double JsonReader::number() {
  const double value = number_of(number_text());
  require(std::isfinite(value), "expected a number that float64 can hold before byte ", at_);
  return value;
}

bool JsonReader::accept(std::string_view literal) {
  next_is('\0');  // skips white space
  if (text_.substr(at_, literal.size()) != literal) return false;
  at_ += literal.size();
  return true;
}

bool JsonReader::boolean() {
  const bool is_true = accept("true");
  demand(is_true || accept("false"), "true or false");
  return is_true;
}

bool JsonReader::null() { return accept("null"); }

void JsonReader::skip() {
  if (next_is('{')) return object([&](const std::string&) { skip(); });
  if (next_is('[')) return array([&] { skip(); });
  if (next_is('"')) return static_cast<void>(string());
  if (!accept("true") && !accept("false") && !null()) number_text();
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const std::size_t known = escaped.find(c);
    if (known != std::string_view::npos && c != '/') {
      out += '\\';
      out += escapes[known];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += "01"[c >> 4];
      out += "0123456789abcdef"[c & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

double number_of(std::string_view text) {
  std::istringstream stream{std::string(text)};
  prepare(stream);
  double value = 0;
  stream >> value;
  return stream.fail() ? HUGE_VAL : value;
}

namespace {

// The fewest digits that read back as the same number of this type.
template <class T>
std::string shortest(T value) {
  const auto written = [&](int precision, auto notation) {
    std::ostringstream stream(std::ios::out);
    prepare(stream);
    stream << notation << std::setprecision(precision) << value;
    return stream.str();
  };
  int digits = 1;
  const auto reads_back = [&] { return static_cast<T>(number_of(written(digits - 1, std::scientific))) == value; };
  while (digits < 17 && !reads_back()) ++digits;
  std::string text = written(digits - 1, std::scientific);
  const int exponent = std::stoi(text.substr(text.find('e') + 1));
  if (exponent < -4 || exponent >= 16) return text;
  return written(std::max(1, digits - 1 - exponent), std::fixed);
}

}  // namespace

std::string json_number(double value) { return shortest(value); }
std::string json_single(float value) { return shortest(value); }

}  // namespace chainrule
