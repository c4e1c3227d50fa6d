// The processors that this process should keep busy. Read when asked: affinity and quotas change while a process lives.
#pragma once

#include <string>
#include <vector>

namespace chainrule {

struct Processors {
  int allowed;         // that the calling thread may run on
  int cores;           // physical ones among these: two threads of a core share its multiply-add units
  double quota;        // processors' worth of time that the control groups grant; infinity where they do not say
  int useful() const;  // threads that can compute at once, at least 1
};

// The control groups' answer is asked for at most once a second.
Processors processors();

// The numbers of those that the calling thread may run on; empty where the system does not say.
std::vector<int> allowed_processors();

// Parts of it, from files under root, which is "/" but in tests.
double cgroup_quota(const std::string& root);
// The physical core that each processor belongs to, named by the lowest processor on it; empty where nothing is said.
std::vector<int> cores_of_processors(const std::string& root);

}  // namespace chainrule
