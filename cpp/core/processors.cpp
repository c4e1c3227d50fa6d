#include "core/processors.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <fstream>
#include <limits>
#include <memory>
#include <thread>

#ifdef __linux__
#include <sched.h>
#endif

namespace chainrule {
namespace {

constexpr double unlimited = std::numeric_limits<double>::infinity();

// Reads quota and period from one file (cgroup version 2, "max 100000") or two files (version 1, where -1 means that
// there is no limit).
double quota_in(const std::string& folder) {
  std::ifstream version2(folder + "cpu.max");
  double quota = 0, period = 0;
  if (version2 >> quota >> period) return period > 0 ? quota / period : unlimited;
  std::ifstream quota_file(folder + "cpu.cfs_quota_us"), period_file(folder + "cpu.cfs_period_us");
  if (quota_file >> quota && period_file >> period && quota > 0 && period > 0) return quota / period;
  return unlimited;
}

// The smallest quota of a group and its parents. In a container, the path may begin outside of the mounted part of the
// hierarchy; then only the mounted root exists, which is the group of the container.
double smallest_quota(const std::string& mount, std::string path) {
  double smallest = quota_in(mount + "/");
  for (; path.size() > 1; path.erase(path.rfind('/'))) smallest = std::min(smallest, quota_in(mount + path + "/"));
  return smallest;
}

#ifdef __linux__
// Uses no lock: a forked child would wait forever for a lock that another thread held.
double recent_quota() {
  using Clock = std::chrono::steady_clock;
  static std::atomic<Clock::time_point> read_at{Clock::time_point()};
  static std::atomic<double> quota{0};
  if (const Clock::time_point now = Clock::now(); quota == 0 || now - read_at.load() > std::chrono::seconds(1)) {
    quota = cgroup_quota("/");
    read_at = now;
  }
  return quota;
}

const std::vector<int>& cores_of_this_machine() {
  static std::atomic<const std::vector<int>*> known{nullptr};  // never freed
  const std::vector<int>* cores = known;
  if (cores == nullptr) {
    auto mine = std::make_unique<const std::vector<int>>(cores_of_processors("/"));
    cores = known.compare_exchange_strong(cores, mine.get()) ? mine.release() : cores;
  }
  return *cores;
}
#endif

}  // namespace

double cgroup_quota(const std::string& root) {
  std::ifstream groups(root + "proc/self/cgroup");  // "0::/path" (version 2) or "4:cpu,cpuacct:/path"
  const std::string mounts = root + "sys/fs/cgroup";
  double smallest = unlimited;
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
    if (controllers.empty()) {
      smallest = std::min({smallest, smallest_quota(mounts, path), smallest_quota(mounts + "/unified", path)});
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      smallest =
          std::min({smallest, smallest_quota(mounts + "/" + controllers, path), smallest_quota(mounts + "/cpu", path)});
    }
  }
  return smallest;
}

std::vector<int> cores_of_processors(const std::string& root) {
  const auto file = [&](std::size_t processor) {
    return root + "sys/devices/system/cpu/cpu" + std::to_string(processor) + "/topology/thread_siblings_list";
  };
  std::vector<int> cores;
  for (int lowest; std::ifstream(file(cores.size())) >> lowest;) cores.push_back(lowest);  // "0,64" or "0-1"
  return cores;
}

int Processors::useful() const {
  return std::max(1, static_cast<int>(std::min(static_cast<double>(std::min(allowed, cores)), std::ceil(quota))));
}

std::vector<int> allowed_processors() {
  std::vector<int> numbers;
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int i = 0; i < CPU_SETSIZE; ++i)
      if (CPU_ISSET(static_cast<std::size_t>(i), &set)) numbers.push_back(i);
#endif
  return numbers;
}

Processors processors() {
#ifdef __linux__
  const std::vector<int>& core_of = cores_of_this_machine();
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (std::size_t i = 0, left = static_cast<std::size_t>(CPU_COUNT(&set)); left > 0; ++i) {
      if (!CPU_ISSET(i, &set)) continue;
      CPU_SET(i < core_of.size() ? static_cast<std::size_t>(core_of[i]) : i, &cores);
      --left;
    }
    return {std::max(1, CPU_COUNT(&set)), std::max(1, CPU_COUNT(&cores)), recent_quota()};
  }
#endif
  const int all = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  return {all, all, unlimited};
}

}  // namespace chainrule
