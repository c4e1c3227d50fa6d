// The detection of the caches: from folders that imitate /sys, from impossible numbers, from the environment variable,
// and on this machine.
#include <stdexcept>

#include "check.h"
#include "core/caches.h"
#include "core/cpu.h"
#include "core/processors.h"
#include "folder.h"

namespace chainrule {
namespace {

void expect(const CacheLevel& level, Index bytes, int ways, int line, int sharing) {
  CHECK(level.bytes == bytes && level.ways == ways && level.line == line && level.sharing == sharing, level.bytes,
        level.ways, level.line, level.sharing, bytes);
}

constexpr Index kib = 1024, mib = 1024 * kib;

struct Machine : System {
  void cache(int processor, int index, const char* level, const char* type, const char* size, const char* ways,
             const char* line, const char* shared) const {
    const std::string folder =
        "sys/devices/system/cpu/cpu" + std::to_string(processor) + "/cache/index" + std::to_string(index) + "/";
    const char* files[][2] = {{"level", level},
                              {"type", type},
                              {"size", size},
                              {"ways_of_associativity", ways},
                              {"coherency_line_size", line},
                              {"shared_cpu_list", shared}};
    for (const auto& [name, text] : files) write(folder + name, std::string(text) + "\n");
  }
  void core(int processor, const char* first, const char* second, const char* shared) const {
    cache(processor, 0, "1", "Data", first, "8", "64", shared);
    cache(processor, 1, "1", "Instruction", "16K", "4", "64", shared);
    cache(processor, 2, "2", "Unified", second, "16", "64", shared);
  }
};

// Two complexes of two cores with two threads each; each complex has its own third-level cache.
void third_level_of_each_complex() {
  const Machine machine;
  for (int i = 0; i < 8; ++i) {
    machine.core(i, "32K", "512K", i % 2 == 0 ? "0,4" : "1,5");
    machine.cache(i, 3, "3", "Unified", "16384K", "16", "64", i % 4 < 2 ? "0-1,4-5" : "2-3,6-7");
  }
  const Caches caches = caches_in_files(machine.root(), {});
  expect(caches.l1, 32 * kib, 8, 64, 2);
  expect(caches.l2, 512 * kib, 16, 64, 2);
  expect(caches.l3, 16 * mib, 16, 64, 4);
  CHECK(caches.source == "sysfs");
  CHECK(sizes_of(caches) == "32K:8,512K:16,16M:16");
}

// With several kinds of cores, each level has the smallest size among the requested processors.
void smallest_of_several_kinds_of_cores() {
  const Machine machine;
  for (int i = 0; i < 4; ++i) {
    machine.core(i, "48K", "1280K", i < 2 ? "0-1" : "2-3");
    machine.cache(i, 3, "3", "Unified", "24M", "12", "64", "0-7");
  }
  for (int i = 4; i < 8; ++i) {
    machine.core(i, "32K", "2M", "4-7");
    machine.cache(i, 3, "3", "Unified", "24M", "12", "64", "0-7");
  }
  const Caches all = caches_in_files(machine.root(), {});
  expect(all.l1, 32 * kib, 8, 64, 4);
  expect(all.l2, 1280 * kib, 16, 64, 2);
  expect(all.l3, 24 * mib, 12, 64, 8);
  CHECK(all.source == "sysfs, the smallest of 2 kinds of cores");
  const Caches large = caches_in_files(machine.root(), {0, 3});
  expect(large.l1, 48 * kib, 8, 64, 2);
  CHECK(large.source == "sysfs");
  expect(caches_in_files(machine.root(), {5}).l2, 2 * mib, 16, 64, 4);
  expect(caches_in_files(machine.root(), {99, 5}).l2, 2 * mib, 16, 64, 4);  // processor 99 is offline
}

void defaults_if_no_caches_are_reported() {
  const Machine machine;
  machine.write("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0\n");
  machine.write("sys/devices/system/cpu/cpu1/cache/index0/level", "1\n");  // as on ARM if the firmware has no tables
  for (const std::vector<int>& processors : {std::vector<int>{}, {0}, {0, 1}}) {
    const Caches caches = caches_in_files(machine.root(), processors);
    CHECK(caches.l1.bytes == 0 && caches.l2.bytes == 0 && caches.l3.bytes == 0);
  }
  const Caches caches = plausible({}, 4);
  expect(caches.l1, 32 * kib, 8, 64, 1);
  expect(caches.l2, 512 * kib, 8, 64, 1);
  CHECK(caches.l3.bytes == 0 && caches.source == "assumed");
}

void impossible_sizes_are_replaced() {
  const Machine machine;
  machine.cache(0, 0, "1", "Data", "4096K", "0", "0", "");
  machine.cache(0, 1, "2", "Unified", "64K", "8", "63", "0-99");
  machine.cache(0, 2, "3", "Unified", "nothing", "16", "64", "0");
  machine.cache(0, 3, "4", "Unified", "1G", "16", "64", "0");
  const Caches caches = plausible(caches_in_files(machine.root(), {}), 4);
  expect(caches.l1, 32 * kib, 8, 64, 1);
  expect(caches.l2, 64 * kib, 8, 64, 4);
  CHECK(caches.l3.bytes == 0);
  CHECK(caches.source == "sysfs, first level assumed");

  const CacheLevel first{64 * kib, 0, 64, 1}, small{32 * kib, 8, 64, 1}, third{32 * kib, 16, 64, 1};
  const Caches shrinking = plausible({first, small, third, "cpuid"}, 2);
  expect(shrinking.l1, 64 * kib, 8, 64, 1);
  expect(shrinking.l2, 512 * kib, 8, 64, 1);
  CHECK(shrinking.l3.bytes == 0);
  CHECK(shrinking.source == "cpuid, second level assumed");

  const CacheLevel second{mib, 0xffff, 128, 0}, same{mib, 16, 64, 1};
  const Caches associative = plausible({first, second, same, "cpuid"}, 2);
  expect(associative.l2, mib, 8192, 128, 1);
  CHECK(associative.l3.bytes == 0 && associative.source == "cpuid");
}

void set_caches_accepts_only_valid_sizes() {
  const std::string machine = sizes_of(caches());
  for (const char* sizes : {"8K:2,64K:4", "48K:12,2M:16,32M:16", "32K:8,1280K:10,1G:16", "1000:1,1000:2,1001:3"}) {
    set_caches(sizes);
    CHECK(sizes_of(caches()) == sizes);
    CHECK(caches().source == "set_caches");
    CHECK(caches().l1.line >= 16 && caches().l1.sharing >= 1 && caches().l2.sharing >= 1);
    CHECK((caches().l3.bytes == 0) == (caches().l3.sharing == 0), caches().l3.bytes, caches().l3.sharing);
  }
  set_caches("32K:8,512K:8,0");
  CHECK(sizes_of(caches()) == "32K:8,512K:8");
  for (const char* sizes : {"32K",
                            "32K:8",
                            "32K:8,",
                            "32K:8,512K",
                            "32K:8,512K:8,",
                            "32K:8,512K:8,32M",
                            "32K:8,512K:8,32M:16,",
                            "32k:8,1M:8",
                            "32K:8;1M:8",
                            "32K:0,1M:8",
                            "32K:-1,1M:8",
                            "-32K:8,1M:8",
                            "0:8,1M:8",
                            "0,1M:8",
                            "32K:8,0",
                            "256:8,1M:8",
                            "1M:8,32K:8",
                            "32K:8,1M:8,512K:8",
                            "9999999999999999999K:8,1M:8",
                            "99999999999999999G:8,1M:8",
                            "32K:8,1M:x",
                            "auto",
                            " 32K:8,1M:8",
                            "32KB:8,1M:8"}) {
    bool rejected = false;
    try {
      set_caches(sizes);
    } catch (const std::invalid_argument& error) {
      rejected = std::string(error.what()).find("'" + std::string(sizes) + "'") != std::string::npos;
    }
    CHECK(rejected, sizes);
  }
  CHECK(sizes_of(caches()) == "32K:8,512K:8");
  set_caches("");
  CHECK(sizes_of(caches()) == machine);
}

// The detected caches are plausible, and so are those that cpuid reports. The two sources are not compared, because
// they may differ under a hypervisor.
void this_machine_has_plausible_caches() {
  const Caches& caches = chainrule::caches();
  for (const CacheLevel& level : {caches.l1, caches.l2, caches.l3})
    CHECK(level.bytes == 0 ||
          (level.ways > 0 && level.line >= 16 && level.sharing > 0 && level.bytes / level.ways / level.line > 0));
  CHECK(caches.l1.bytes > 0 && caches.l2.bytes >= caches.l1.bytes);
  CHECK(caches.l3.bytes == 0 || caches.l3.bytes > caches.l2.bytes);
  const Caches cpuid = caches_by_cpuid();
  CHECK(cpuid.l1.bytes == 0 || plausible(cpuid, 1).l2.bytes > 0);
  std::printf("%s by %s; by cpuid %s\n", sizes_of(caches).c_str(), caches.source.c_str(), sizes_of(cpuid).c_str());
}

}  // namespace
}  // namespace chainrule

int main() {
  chainrule::third_level_of_each_complex();
  chainrule::smallest_of_several_kinds_of_cores();
  chainrule::defaults_if_no_caches_are_reported();
  chainrule::impossible_sizes_are_replaced();
  chainrule::set_caches_accepts_only_valid_sizes();
  chainrule::this_machine_has_plausible_caches();
  return check::finish("caches");
}
