#include "core/caches.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "core/check.h"
#include "core/cpu.h"
#include "core/dispatch.h"
#include "core/processors.h"

#if defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(_WIN32)
#include <windows.h>
#endif

namespace chainrule {
namespace {

constexpr Index kib = 1 << 10, mib = 1 << 20, gib = 1 << 30;
constexpr std::pair<char, Index> units[] = {{'K', kib}, {'M', mib}, {'G', gib}};

// Defaults for unknown levels. Every x86 core since 2008 and most ARM cores have a first level of 32 KiB or more.
// Second levels have 256 KiB (Skylake) to several MiB; assuming half a MiB too much costs more than leaving half a MiB
// unused. There is no default for the third level, because block sizes do not need one.
constexpr CacheLevel first_default{32 * kib, 8, 64, 1}, second_default{512 * kib, 8, 64, 1};
constexpr int ways_default = 8;

// Parses "32K", "2M", "1G" or a number of bytes at the beginning of text and removes it from text.
std::optional<Index> take_number(std::string_view& text) {
  Index number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return {};
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  for (const auto& [suffix, unit] : units)
    if (!text.empty() && text.front() == suffix) {
      if (number > (Index{1} << 50) / unit) return {};
      text.remove_prefix(1);
      return number * unit;
    }
  return number;
}

// The number in a file of one line, or 0 if there is none.
Index number_in(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  file >> text;
  std::string_view rest = text;
  return take_number(rest).value_or(0);
}

// The number of processors in a list such as "0-3,8".
int length_of_list(const std::string& path) {
  std::ifstream file(path);
  int length = 0, first = 0;
  for (char separator = ','; separator == ',' && file >> first;) {
    int last = first;
    if (file >> separator && separator == '-') file >> last >> separator;
    if (!file) separator = '\0';
    length += std::max(0, last - first) + 1;
  }
  return length;
}

#if defined(__APPLE__) && defined(__aarch64__)

Index sysctl_value(const std::string& name) {
  std::int64_t value = 0;  // some of these values have 32 bits, which is correct on little-endian machines
  std::size_t size = sizeof value;
  return sysctlbyname(name.c_str(), &value, &size, nullptr, 0) == 0 ? static_cast<Index>(value) : 0;
}

Caches system_caches() {
  Caches caches{.l1 = {}, .l2 = {}, .l3 = {}, .source = "sysctl"};
  const int line = static_cast<int>(sysctl_value("hw.cachelinesize"));
  for (Index kind = 0, kinds = sysctl_value("hw.nperflevels"); kind < kinds; ++kind) {
    const std::string prefix = text_of("hw.perflevel", kind, ".");
    add_level(caches, 1, {sysctl_value(prefix + "l1dcachesize"), 0, line, 1});
    add_level(caches, 2,
              {sysctl_value(prefix + "l2cachesize"), 0, line, static_cast<int>(sysctl_value(prefix + "cpusperl2"))});
  }
  return caches;
}

#elif defined(_WIN32)

Caches system_caches() {
  Caches caches{.l1 = {}, .l2 = {}, .l3 = {}, .source = "GetLogicalProcessorInformationEx"};
  DWORD size = 0;
  GetLogicalProcessorInformationEx(RelationCache, nullptr, &size);
  std::vector<char> bytes(size);
  const auto item_at = [&](DWORD place) {
    return reinterpret_cast<SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX*>(bytes.data() + place);
  };
  if (size == 0 || !GetLogicalProcessorInformationEx(RelationCache, item_at(0), &size)) return caches;
  for (DWORD place = 0; place < size; place += item_at(place)->Size) {
    const CACHE_RELATIONSHIP& cache = item_at(place)->Cache;
    if (cache.Type != CacheData && cache.Type != CacheUnified) continue;
    int sharing = 0;
    for (KAFFINITY mask = cache.GroupMask.Mask; mask != 0; mask &= mask - 1) ++sharing;
    add_level(caches, cache.Level, {static_cast<Index>(cache.CacheSize), cache.Associativity, cache.LineSize, sharing});
  }
  return caches;
}

#else

Caches system_caches() {
#ifdef __linux__
  if (Caches caches = caches_in_files("/", allowed_processors()); caches.l1.bytes > 0) return caches;
#endif
  return caches_by_cpuid();
}

#endif

int all_processors() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

// Parses one level of the variable, such as "32K:8", at the beginning of text and removes it from text.
bool take_level(std::string_view& text, CacheLevel& level) {
  const std::optional<Index> bytes = take_number(text);
  if (!bytes || text.empty() || text.front() != ':') return false;
  text.remove_prefix(1);
  int ways = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ways);
  if (error != std::errc() || ways < 1 || *bytes / ways < level.line) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  level.bytes = *bytes;
  level.ways = ways;
  return true;
}

bool take_comma(std::string_view& text) {
  if (text.empty() || text.front() != ',') return false;
  text.remove_prefix(1);
  return true;
}

// The caches of the machine, with their sizes and ways replaced.
Caches with_sizes(const Caches& machine, std::string_view source, std::string_view sizes) {
  Caches caches = machine;
  caches.source = source;
  std::string_view rest = sizes;
  bool good = take_level(rest, caches.l1) && take_comma(rest) && take_level(rest, caches.l2);
  if (good && (rest.empty() || rest == ",0")) {
    caches.l3 = {};
  } else {
    if (machine.l3.bytes == 0) caches.l3 = {0, 0, machine.l2.line, all_processors()};
    good = good && take_comma(rest) && take_level(rest, caches.l3) && rest.empty();
  }
  good = good && caches.l1.bytes <= caches.l2.bytes && (caches.l3.bytes == 0 || caches.l2.bytes <= caches.l3.bytes);
  require(good, source, " is '", beginning(std::string(sizes), 100),
          "', expected size:ways of two or three levels, none ",
          "smaller than the one before, such as 32K:8,512K:8,32M:16");
  return caches;
}

Caches initial_caches() {
  const Caches machine = plausible(system_caches(), all_processors());
  const char* variable = std::getenv("CHAINRULE_CACHE");
  return variable == nullptr || *variable == '\0' ? machine : with_sizes(machine, "CHAINRULE_CACHE", variable);
}

// Earlier settings are never freed, because calls may hold references to them.
struct Known {
  Caches caches;
  const Known* previous;
};
std::atomic<const Known*> known{nullptr};

}  // namespace

const Caches& caches() {
  const Known* now = known.load(std::memory_order_acquire);
  if (now == nullptr) {
    auto mine = std::make_unique<const Known>(initial_caches(), nullptr);
    if (known.compare_exchange_strong(now, mine.get())) now = mine.release();  // on failure, another thread has set it
  }
  return now->caches;
}

void set_caches(std::string_view sizes) {
  const Caches first = initial_caches();
  auto next = std::make_unique<Known>(sizes.empty() ? first : with_sizes(first, "set_caches", sizes), nullptr);
  const RuntimeChange change("the caches");
  next->previous = known.load();
  known = next.release();
}

std::string sizes_of(const Caches& caches) {
  std::string text;
  for (const CacheLevel& level : {caches.l1, caches.l2, caches.l3}) {
    if (level.bytes == 0) continue;
    if (!text.empty()) text += ',';
    Index number = level.bytes;
    std::string suffix;
    for (const auto& [letter, unit] : units)
      if (level.bytes % unit == 0) {
        number = level.bytes / unit;
        suffix = letter;
      }
    append(text, text_of(number, suffix, ':', level.ways));
  }
  return text;
}

void add_level(Caches& caches, int number, const CacheLevel& found) {
  if (number < 1 || number > 3 || found.bytes <= 0) return;
  CacheLevel& level = number == 1 ? caches.l1 : number == 2 ? caches.l2 : caches.l3;
  if (level.bytes == 0 || found.bytes < level.bytes) level = found;
}

Caches caches_in_files(const std::string& root, const std::vector<int>& processors) {
  Caches caches{.l1 = {}, .l2 = {}, .l3 = {}, .source = "sysfs"};
  std::set<std::vector<Index>> kinds;  // the distinct lists of cache sizes; the size is read from one file per cache
  for (std::size_t i = 0; processors.empty() || i < processors.size(); ++i) {
    const int processor = processors.empty() ? static_cast<int>(i) : processors[i];
    const std::string folder = text_of(root, "sys/devices/system/cpu/cpu", processor, "/cache/index");
    std::vector<Index> sizes;
    for (Index size; (size = number_in(text_of(folder, sizes.size(), "/size"))) > 0;) sizes.push_back(size);
    if (sizes.empty() && processors.empty()) break;
    if (!kinds.insert(sizes).second) continue;
    for (std::size_t index = 0; index < sizes.size(); ++index) {
      const std::string cache = text_of(folder, index, '/');
      std::string type;
      std::ifstream(cache + "type") >> type;
      if (type == "Data" || type == "Unified")
        add_level(
            caches, static_cast<int>(number_in(cache + "level")),
            {sizes[index], static_cast<int>(number_in(cache + "ways_of_associativity")),
             static_cast<int>(number_in(cache + "coherency_line_size")), length_of_list(cache + "shared_cpu_list")});
    }
  }
  if (kinds.size() > 1) append(caches.source, text_of(", the smallest of ", kinds.size(), " kinds of cores"));
  return caches;
}

Caches plausible(Caches found, int processors) {
  // No known core has less than 8 KiB or more than 192 KiB, so half a KiB or 16 MiB is not a real size.
  if (found.l1.bytes < 4 * kib || found.l1.bytes > mib) {
    found.l1 = first_default;
    append(found.source, found.source.empty() ? "assumed" : ", first level assumed");
  }
  if (found.l2.bytes < found.l1.bytes || found.l2.bytes > gib) {  // zero, unknown, or in the wrong unit
    found.l2 = second_default;
    found.l2.bytes = std::max(found.l2.bytes, 4 * found.l1.bytes);
    append(found.source, found.source == "assumed" ? "" : ", second level assumed");
  }
  if (found.l3.bytes <= found.l2.bytes) found.l3 = {};  // useless if it is not larger than the second level
  for (CacheLevel* level : {&found.l1, &found.l2, &found.l3}) {
    if (level->bytes == 0) continue;
    if (level->line < 16 || level->line > 1024 || (level->line & (level->line - 1)) != 0) level->line = 64;
    if (level->ways < 1) level->ways = ways_default;  // macOS and some firmware do not report it
    level->ways =
        static_cast<int>(std::min<Index>(level->ways, level->bytes / level->line));  // at most fully associative
    level->sharing = std::clamp(level->sharing, 1, processors);
  }
  return found;
}

}  // namespace chainrule
