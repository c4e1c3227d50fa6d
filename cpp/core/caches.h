// The data caches of this machine, from which block sizes follow. Asked for at first use, of the processors that the
// asking thread may run on then; the variable CHAINRULE_CACHE=32K:8,512K:8,32M:16 (size:ways of each level) overrides
// what the machine says.
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

// What caches() returns is plausible: first and second levels are there, the first not larger than the second; the
// third is larger than the second, or not there. ways, line and sharing are positive, ways * line <= bytes.
struct Caches {
  CacheLevel l1, l2, l3;
  std::string source;  // who said so, and what is assumed
};

// Where kinds of cores differ, each level is the smallest that one of them has: a share of the work may run on any.
// Throws std::invalid_argument for a CHAINRULE_CACHE of an unknown form; IsaInUse asks, so no later call within a
// computation does.
const Caches& caches();

// For tests, the form of CHAINRULE_CACHE; empty: what the variable or the machine says. Line and sharing stay the
// machine's. Throws std::runtime_error while a call computes.
void set_caches(std::string_view sizes);

// In the form of CHAINRULE_CACHE, which gives the same sizes again.
std::string sizes_of(const Caches& caches);

// Takes a cache of a core into account: the smallest of each level counts. Other levels than 1 to 3 are ignored.
void add_level(Caches& caches, int number, const CacheLevel& found);

// Parts of it. What Linux says of these processors (empty: of all) in files under root, which is "/" but in tests;
// levels of which it says nothing have 0 bytes.
Caches caches_in_files(const std::string& root, const std::vector<int>& processors);
// Hypervisors and firmware leave out numbers or make them up: what cannot be is replaced by defaults, the third level
// by none. No cache is shared by more than all processors.
Caches plausible(Caches found, int processors);

}  // namespace chainrule
