// The data caches of this machine, from which block sizes follow. Detected at first use, on the processors that the
// calling thread may use then. The environment variable CHAINRULE_CACHE=32K:8,512K:8,32M:16 (size:ways of each level)
// overrides what is detected.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chainrule/names.h"

namespace chainrule {

struct CacheLevel {
  Index bytes = 0;  // of the whole cache, shared or not; 0 where there is none
  int ways = 0;     // places that a line may take
  int line = 0;     // bytes
  int sharing = 0;  // logical processors that share it
};

// Invariants of what caches() returns: the first and second levels exist, the first is not larger than the second; the
// third is larger than the second or absent. ways, line and sharing are positive, ways * line <= bytes.
struct Caches {
  CacheLevel l1, l2, l3;
  std::string source;  // where the sizes come from, and which are defaults
};

// If the machine has several kinds of cores, each level is the smallest of them, since work may run on any core. Throws
// std::invalid_argument for a malformed CHAINRULE_CACHE: in IsaInUse, so never within a computation.
const Caches& caches();

// For tests, the form of CHAINRULE_CACHE; empty: what the variable or the machine says. Line and sharing stay the
// machine's. Throws std::runtime_error while a call computes.
void set_caches(std::string_view sizes);

// In the form of CHAINRULE_CACHE, which gives the same sizes again.
std::string sizes_of(const Caches& caches);

// Merges one core's cache: the smallest of each level counts. Levels other than 1 to 3 are ignored.
void add_level(Caches& caches, int number, const CacheLevel& found);

// Parts of the detection, for tests. What Linux reports for these processors (empty: all) in files under root, which is
// "/" except in tests; levels that it does not report have 0 bytes.
Caches caches_in_files(const std::string& root, const std::vector<int>& processors);
// Hypervisors and firmware may report no numbers or impossible ones: these are replaced by defaults, an impossible
// third level by none. sharing is limited to the number of processors.
Caches plausible(Caches found, int processors);

}  // namespace chainrule
