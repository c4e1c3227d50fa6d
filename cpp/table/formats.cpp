#include "table/formats.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <regex>
#include <utility>
#include <vector>

#include "core/check.h"
#include "files/json.h"

namespace chainrule {
namespace {

constexpr std::size_t max_length = 48;  // characters of a text that can be a date or a number
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::string_view white_space[] = {
    " ",      "\t",     "\n",     "\v",     "\f",     "\r",     "\x1c",   "\x1d",   "\x1e",   "\x1f",
    "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
    "\u2007", "\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};
constexpr std::string_view markers[] = {"",     "?",    "-",    "--",  ".",   "na",   "n/a",
                                        "n.a.", "#n/a", "<na>", "nan", "nat", "null", "none"};
constexpr std::string_view spaces[] = {" ", "\u00a0", "\u2009", "\u202f", "'", "\u2019"};  // between groups of digits
constexpr std::string_view months[] = {"january", "february", "march",     "april",   "may",      "june",
                                       "july",    "august",   "september", "october", "november", "december"};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return lower(c); });
  return out;
}

// The shape of a text that may be a number or a date; empty for other texts.
std::string shape_of(std::string_view text) {
  const auto characters = std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; });
  if (characters > static_cast<std::ptrdiff_t>(max_length)) return "";
  std::string shape(text);
  std::ranges::replace_if(shape, is_digit, '0');
  return shape.find('0') == std::string::npos ? "" : shape;
}

// A pattern with named groups, as in Python: (?P<name>...) and (?P=name). It has no unnamed capturing groups.
class Pattern {
 public:
  explicit Pattern(const std::string& python) {
    std::string text;
    for (std::size_t i = 0; i < python.size();) {
      if (python.compare(i, 4, "(?P<") == 0) {
        const std::size_t end = python.find('>', i);
        names_.push_back(python.substr(i + 4, end - i - 4));
        text += '(';
        i = end + 1;
      } else if (python.compare(i, 4, "(?P=") == 0) {
        const std::size_t end = python.find(')', i);
        const auto found = std::ranges::find(names_, python.substr(i + 4, end - i - 4));
        text += "\\" + std::to_string(found - names_.begin() + 1);
        i = end + 1;
      } else {
        text += python[i++];
      }
    }
    regex_ = std::regex(text);
  }

  bool matches(const std::string& shape) const { return std::regex_match(shape, regex_); }

  // If the whole shape matches, calls visit(name, begin, size) for each group that matched.
  template <class Visit>
  bool match(const std::string& shape, Visit visit) const {
    std::smatch found;
    if (!std::regex_match(shape, found, regex_)) return false;
    for (std::size_t k = 0; k < names_.size(); ++k)
      if (found[k + 1].matched)
        visit(names_[k], static_cast<std::size_t>(found.position(k + 1)),
              static_cast<std::size_t>(found.length(k + 1)));
    return true;
  }

 private:
  std::vector<std::string> names_;
  std::regex regex_;
};

std::string any_of(std::initializer_list<std::string_view> texts) {
  std::string pattern = "(?:";
  for (const std::string_view text : texts) pattern += (pattern.size() > 3 ? "|" : "") + std::string(text);
  return pattern + ")";
}

// Characters outside of ASCII are written as alternatives, because std::regex matches bytes.
struct NumberPatterns {
  std::string space = any_of({" ", "\u00a0", "\u2009", "\u202f", "'", "\u2019"});
  std::string currency = any_of({"\\$", "\u20ac", "\u00a3", "\u00a5", "\u20b9", "\u20a9", "\u20bd"});
  // Every character outside of ASCII that may be a letter. The set may be too large, because a unit must also equal the
  // one that the encoder learned.
  std::string letter = any_of({"[A-Za-z]", "\u00aa", "\u00b2", "\u00b3", "\u00b5", "\u00b9", "\u00ba", "\u00bc",
                               "\u00bd", "\u00be", "[\xC3-\xF4][\x80-\xBF]+"});
  std::string power = any_of({"\u00b2", "\u00b3"});
  Pattern number{
      "(?P<open>\\()? ?(?P<sign>[-+]|\u2212)? ?(?P<prefix>[A-Z]{0,3}" + currency +
      "|(?:USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|ZAR)(?= ?0))?(?: |\u00a0)?"
      "(?P<minus>(?:-|\u2212)(?=[0.,]))?(?P<core>0(?:(?:[.,]|" +
      space + ")?0)*\\.?|[.,]0+)(?P<exponent>[eE][-+]?0+)?(?: |\u00a0|\u202f)?(?P<suffix>%|\u2030|\u00b0|" + currency +
      "|(?:\u00b0)?" + letter + "{1,10}" + power + "?(?:/" + letter + "{1,6}" + power + "?)?)?(?P<close>\\))?"};
  Pattern grouped[2] = {
      Pattern("0{1,3}(?:,000)+(?:\\.0*)?|0{1,2}(?:,00)+,000(?:\\.0*)?|0{1,3}(?:" + space + "000)+(?:\\.0*)?"),
      Pattern("0{1,3}(?:\\.000)+(?:,0+)?|0{1,3}(?:" + space + "000)+(?:,0+)?")};
  Pattern plain[2] = {Pattern("0+(?:\\.0*)?|\\.0+"), Pattern("0+(?:,0+)?|,0+")};
};

std::vector<Pattern> date_patterns() {
  const std::string month = "(?P<name>[A-Za-z]{3,9})\\.?", day = "(?P<day>0{1,2})(?:st|nd|rd|th)?";
  const std::string weekday = "(?:(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs?)?|Fri|Sat(?:ur)?|Sun)(?:day)?\\.?,? )?";
  const std::string clock =
      "(?P<hours>0{1,2}):(?P<minutes>00)(?::(?P<seconds>00)(?:[.,](?P<fraction>0{1,9}))?)?"
      "(?: ?(?P<half>[AaPp])\\.?[Mm]\\.?)?";
  const std::string zone = "(?: ?(?:Z|UTC|GMT)| ?(?P<zone>[+-])(?P<zone_hours>00):?(?P<zone_minutes>00))?";
  std::vector<Pattern> patterns;
  for (const std::string& date :
       {std::string("(?P<year>0000)(?P<separator>[-/.])(?P<month>0{1,2})(?P=separator)(?P<day>0{1,2})"),
        std::string("(?P<first>0{1,2})(?P<separator>[-/.])(?P<second>0{1,2})(?P=separator)(?P<third>0000)"),
        std::string("(?P<first>0{1,2})/(?P<second>0{1,2})/(?P<third>00)"),
        std::string("(?P<first>00)(?P<separator>[-.])(?P<second>00)(?P=separator)(?P<third>00)"),
        weekday + day + "(?: of|\\.)?[ -/.]?" + month + ",?[ -/]?(?P<year>0000|00)",
        weekday + month + "[ -/]" + day + ",?[ -/](?P<year>0000|00)", "(?P<year>0000)[ -/]" + month + "[ -/]" + day,
        month + "[ -/]?(?P<year>0000)"})
    patterns.emplace_back(date + "(?:(?:T|,? +)" + clock + zone + ")?");
  patterns.emplace_back(clock);
  return patterns;
}

// The number of a month by its English name or abbreviation; 0 for any other word.
int month_of(std::string_view name) {
  std::string low = lower(name);
  if (low == "sept") low = "sep";
  for (std::size_t i = 0; i < std::size(months); ++i)
    if (low == months[i] || low == months[i].substr(0, 3)) return static_cast<int>(i) + 1;
  return 0;
}

DateShape find_date(const std::string& shape) {
  static const std::vector<Pattern> patterns = date_patterns();
  static const Pattern iso("0000-00-00(?:[ T]00:00(?::00(?:\\.0+)?)?(?:Z|[+-]00:?00)?)?");
  constexpr std::string_view names[DateShape::parts] = {"year",       "month",        "day",     "first",   "second",
                                                        "third",      "hours",        "minutes", "seconds", "fraction",
                                                        "zone_hours", "zone_minutes", "zone",    "half",    "name"};
  DateShape found;
  for (const Pattern& pattern : patterns) {
    const bool matched = pattern.match(shape, [&](const std::string& name, std::size_t begin, std::size_t size) {
      const auto part = std::ranges::find(names, name);
      if (part != std::end(names)) found.spans[part - names] = {begin, size};
    });
    if (!matched) continue;
    const auto has = [&](DateShape::Part part) { return found.spans[part].size > 0; };
    found.has_order = has(DateShape::third);
    found.is_time = !has(DateShape::year) && !found.has_order;
    found.is_iso = iso.matches(shape);
    const auto [begin, size] = found.spans[DateShape::name];
    found.valid = size == 0 || month_of(std::string_view(shape).substr(begin, size)) > 0;
    return found;
  }
  return found;
}

bool is_leap(std::int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

// Days from 1970-01-01 to the first of a month.
std::int64_t days_before(std::int64_t year, std::int64_t month) {
  constexpr int days[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  const std::int64_t y = year - 1;
  return 365 * (year - 1970) + (y / 4 - y / 100 + y / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400) + days[month - 1] +
         (month > 2 && is_leap(year) ? 1 : 0);
}

template <class Shape, class Find>
const Shape& cached(std::map<std::string, Shape, std::less<>>& shapes, const std::string& shape, Find find) {
  const auto [place, is_new] = shapes.try_emplace(shape);
  if (is_new) place->second = find(shape);
  return place->second;
}

}  // namespace

std::string_view strip(std::string_view text) {
  const auto trim = [&](auto is_at_end, auto remove) {
    while (const std::string_view* space = [&]() -> const std::string_view* {
      for (const std::string_view& one : white_space)
        if (is_at_end(one)) return &one;
      return nullptr;
    }())
      remove(space->size());
  };
  trim([&](std::string_view space) { return text.starts_with(space); }, [&](std::size_t n) { text.remove_prefix(n); });
  trim([&](std::string_view space) { return text.ends_with(space); }, [&](std::size_t n) { text.remove_suffix(n); });
  return text;
}

bool is_marker(std::string_view text) {
  const std::string_view stripped = strip(text);
  return stripped.size() <= 6 && std::ranges::find(markers, lower(stripped)) != std::end(markers);
}

double read_float(std::string_view text) {
  text = strip(text);
  const bool negative = text.starts_with('-');
  std::string_view digits = text.substr(negative || text.starts_with('+') ? 1 : 0);
  const std::string word = lower(digits);
  if (word == "inf" || word == "infinity") return negative ? -HUGE_VAL : HUGE_VAL;
  const auto skip_digits = [&](std::string_view& rest) {
    const auto end = std::ranges::find_if_not(rest, is_digit);
    const auto count = static_cast<std::size_t>(end - rest.begin());
    rest.remove_prefix(count);
    return count;
  };
  std::string_view rest = digits;
  std::size_t count = skip_digits(rest);
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    count += skip_digits(rest);
  }
  if (count == 0) return nan;
  if (rest.starts_with('e') || rest.starts_with('E')) {
    rest.remove_prefix(1);
    if (rest.starts_with('-') || rest.starts_with('+')) rest.remove_prefix(1);
    if (skip_digits(rest) == 0) return nan;
  }
  if (!rest.empty()) return nan;
  const double value = number_of(digits);
  return negative ? -value : value;
}

NumberReader::NumberReader(std::string decimal, std::string unit)
    : decimal_(std::move(decimal)), unit_(std::move(unit)) {
  require(decimal_ == "." || decimal_ == ",", "the decimal mark of a format is '", decimal_, "', expected '.' or ','");
}

NumberShape NumberReader::find(const std::string& shape) const {
  static const NumberPatterns patterns;
  std::map<std::string, std::string> parts;
  NumberShape found;
  const bool matched = patterns.number.match(shape, [&](const std::string& name, std::size_t begin, std::size_t size) {
    parts[name] = shape.substr(begin, size);
    if (name == "core") found.begin = begin;
    if (name == "core" || name == "exponent") found.end = begin + size;
  });
  const auto has = [&](const char* name) { return parts.contains(name); };
  if (!matched || has("open") != has("close") || has("sign") + has("minus") + has("open") > 1) return found;
  if (parts["prefix"] + parts["suffix"] != unit_) return found;
  const std::string core = parts["core"];
  const int mark = decimal_ == "," ? 1 : 0;
  found.grouped = patterns.grouped[mark].matches(core) && !has("exponent");
  found.valid = found.grouped || patterns.plain[mark].matches(core);
  const std::string sign = parts["sign"] + parts["minus"];
  found.negative = has("open") || (!sign.empty() && sign != "+");
  return found;
}

double NumberReader::read(std::string_view text) {
  const std::string_view stripped = strip(text);
  const std::string shape = shape_of(stripped);
  if (shape.empty()) return nan;
  const NumberShape& found = cached(shapes_, shape, [&](const std::string& s) { return find(s); });
  if (!found.valid) return nan;
  const std::string_view written = stripped.substr(found.begin, found.end - found.begin);
  if (found.grouped && written.front() == '0') return nan;  // 0,125 is not 125
  std::string digits;
  for (std::size_t i = 0; i < written.size(); ++i) {
    if (found.grouped) {
      const auto space = std::ranges::find_if(spaces, [&](auto s) { return written.substr(i).starts_with(s); });
      if (space != std::end(spaces)) {
        i += space->size() - 1;
        continue;
      }
      if (written[i] == (decimal_ == "." ? ',' : '.')) continue;
    }
    digits += decimal_ == "," && written[i] == ',' ? '.' : written[i];
  }
  const double value = read_float(digits);
  return found.negative ? -1.0 * value : 1.0 * value;
}

std::string NumberReader::example() const {
  const std::string number = "1" + decimal_ + "5";
  return unit_.empty() ? number : number + " " + unit_;
}

DateReader::DateReader(std::string order) : order_(std::move(order)) {
  require(order_.empty() || order_ == "dmy" || order_ == "mdy" || order_ == "ymd" || order_ == "time",
          "the order of a date format is '", beginning(order_, 20), "', expected dmy, mdy, ymd or time");
}

std::optional<std::int64_t> DateReader::read(std::string_view text) {
  const std::string_view stripped = strip(text);
  const std::string shape = shape_of(stripped);
  if (shape.empty()) return std::nullopt;
  const DateShape& found = cached(shapes_, shape, find_date);
  if (!found.valid || (order_.empty() ? !found.is_iso : found.is_time != (order_ == "time"))) return std::nullopt;
  const auto number = [&](DateShape::Part part) {
    std::int64_t value = 0;
    for (const char c : stripped.substr(found.spans[part].begin, found.spans[part].size))
      value = 10 * value + (c - '0');
    return value;
  };
  std::int64_t hours = number(DateShape::hours);
  const std::int64_t minutes = number(DateShape::minutes), seconds = number(DateShape::seconds);
  if (hours >= 24 || minutes >= 60 || seconds >= 60) return std::nullopt;
  if (const auto [begin, size] = found.spans[DateShape::half]; size > 0) {
    if (hours < 1 || hours > 12) return std::nullopt;
    hours = hours % 12 + (lower(stripped[begin]) == 'p' ? 12 : 0);
  }
  std::int64_t moment = ((hours * 60 + minutes) * 60 + seconds) * 1'000'000;
  if (const std::size_t digits = found.spans[DateShape::fraction].size; digits > 0) {
    std::int64_t unit = 1;
    for (std::size_t k = 0; k < digits; ++k) unit *= 10;
    moment += number(DateShape::fraction) * 1'000'000 / unit;
  }
  if (const auto [begin, size] = found.spans[DateShape::zone]; size > 0) {
    const std::int64_t shift = (number(DateShape::zone_hours) * 60 + number(DateShape::zone_minutes)) * 60'000'000;
    moment += stripped[begin] == '-' ? shift : -shift;
  }
  if (found.is_time) return moment;
  std::int64_t year = number(DateShape::year), month = number(DateShape::month), day = number(DateShape::day);
  std::size_t year_digits = found.spans[DateShape::year].size;
  if (found.has_order) {
    year_digits = found.spans[DateShape::third].size;
    if (order_ == "ymd" && (year_digits == 4 || found.spans[DateShape::first].size == 1)) return std::nullopt;
    const std::int64_t values[] = {number(DateShape::first), number(DateShape::second), number(DateShape::third)};
    year = values[order_.find('y')];
    month = values[order_.find('m')];
    day = values[order_.find('d')];
  } else {
    if (const auto [begin, size] = found.spans[DateShape::name]; size > 0)
      month = month_of(stripped.substr(begin, size));
    if (found.spans[DateShape::day].size == 0) day = 1;
  }
  if (year_digits != 4) year += year < 69 ? 2000 : 1900;  // as in strptime: 1969 to 2068
  if (year < 1 || month < 1 || month > 12) return std::nullopt;
  const std::int64_t first = days_before(year, month);
  const std::int64_t next = month == 12 ? days_before(year + 1, 1) : days_before(year, month + 1);
  if (day < 1 || day > next - first) return std::nullopt;
  return moment + (first + day - 1) * 86'400'000'000;
}

std::string DateReader::example() const {
  return order_ == "dmy" ? "31/01/2024" : order_ == "mdy" ? "01/31/2024" : order_ == "time" ? "23:59" : "2024-01-31";
}

}  // namespace chainrule
