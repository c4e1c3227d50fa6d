// The data caches of this machine, which determine the block sizes. They are detected at first use, on the processors
// that the calling thread may run on at that time. The environment variable CHAINRULE_CACHE=32K:8,512K:8,32M:16
// (size:ways of each level) overrides the detection.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chainrule/names.h"

namespace chainrule {

struct CacheLevel {
  Index bytes = 0;  // size of the whole cache, even if it is shared; 0 if there is no such level
  int ways = 0;     // associativity
  int line = 0;     // bytes per cache line
  int sharing = 0;  // number of logical processors that share it
};

// Invariants of the result of caches(): the first and second levels exist, and the first is not larger than the second.
// The third level is larger than the second or absent. ways, line and sharing are positive, and ways * line <= bytes.
struct Caches {
  CacheLevel l1, l2, l3;
  std::string source;  // where the sizes come from, and which of them are defaults
};

// If the machine has several kinds of cores, each level has the smallest size of all kinds, because work may run on any
// core. Throws std::invalid_argument if CHAINRULE_CACHE is malformed. IsaInUse calls this first, so it never throws
// within a computation.
const Caches& caches();

// For tests. Sets the sizes and ways, in the form of CHAINRULE_CACHE; an empty string restores those of the variable or
// the machine. line and sharing always remain those of the machine. Throws std::runtime_error while a computation is
// running.
void set_caches(std::string_view sizes);

// The sizes and ways in the form of CHAINRULE_CACHE.
std::string sizes_of(const Caches& caches);

// Merges a cache of one core into `caches`, which then holds the smallest cache seen at each level. Levels other than 1
// to 3 are ignored.
void add_level(Caches& caches, int number, const CacheLevel& found);

// Parts of the detection, declared here for tests. caches_in_files returns what Linux reports for these processors
// (empty: all of them) in the files under root, which is "/" except in tests. Levels that are not reported have 0
// bytes.
Caches caches_in_files(const std::string& root, const std::vector<int>& processors);
// Hypervisors and firmware may report no sizes or impossible ones. This replaces them with defaults, removes an
// impossible third level, and limits sharing to the number of processors.
Caches plausible(Caches found, int processors);

}  // namespace chainrule
