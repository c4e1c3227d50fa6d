// The processors that this process may use. Affinity is read at every call, and quotas at most once a second, because
// both may change at run time.
#pragma once

#include <string>
#include <vector>

namespace chainrule {

struct Processors {
  int allowed;         // number of processors that the calling thread may run on
  int cores;           // number of their physical cores: two threads of a core share its multiply-add units
  double quota;        // processor seconds per second that the control groups grant; infinity if unlimited
  int useful() const;  // number of threads that can compute at the same time, at least 1
};

Processors processors();

// The numbers of the processors that the calling thread may run on; empty if unknown.
std::vector<int> allowed_processors();

// Parts of the detection. They read files under root, which is "/" except in tests.
double cgroup_quota(const std::string& root);
// For each processor, the lowest processor on the same physical core; empty if unknown.
std::vector<int> cores_of_processors(const std::string& root);

}  // namespace chainrule
