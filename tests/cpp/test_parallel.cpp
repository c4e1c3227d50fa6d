// Teams of the back end that was compiled: members, barriers, exceptions, nesting, two callers at once; and how many
// threads the system grants, read from folders made here that look like /proc and /sys.
#include <atomic>
#include <cmath>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "core/parallel.h"
#include "core/processors.h"
#include "folder.h"

namespace chainrule {
namespace {

// Every rank once, of teams that grow and shrink; between barriers each member reads what the others wrote.
void members_and_barriers() {
  for (const int threads : {1, 2, 7, 3, 7, 1, 2}) {
    std::vector<int> turns(static_cast<std::size_t>(threads));
    std::atomic<int> members{0}, wrong{0}, size{0};
    parallel(threads, [&](Team team) {
      ++members;
      size = team.size;
      for (int turn = 1; turn <= 200; ++turn) {
        turns[static_cast<std::size_t>(team.rank)] = turn;
        team.barrier();
        for (int rank = 0; rank < team.size; ++rank) wrong += turns[static_cast<std::size_t>(rank)] != turn;
        team.barrier();
      }
    });
    CHECK(members == size && size >= 1 && size <= threads, members.load(), size.load(), threads);
    CHECK(size == threads || thread_backend() == "serial", size.load(), threads);
    CHECK(wrong == 0, wrong.load(), threads);
  }
}

void exceptions_reach_the_caller() {
  for (const int threads : {1, 2, 5}) {
    std::atomic<int> others{0};
    bool caught = false;
    try {
      parallel(threads, [&](Team team) {
        if (team.rank == team.size - 1) throw std::runtime_error("last");
        ++others;
      });
    } catch (const std::runtime_error& error) {
      caught = std::string(error.what()) == "last";
    }
    CHECK(caught, threads);
    CHECK(others < threads);
  }
}

void within_a_team_there_is_one_thread() {
  const double much = 1e12;
  CHECK(threads_for(much, 4) == 4, threads_for(much, 4));
  CHECK(threads_for(1, 4) == 1);
  std::atomic<int> most{0}, members{0}, inner{0};
  parallel(3, [&](Team team) {
    if (team.size == 1) return;
    ++members;
    const int threads = threads_for(much, 4);
    if (threads > most) most = threads;
    parallel(threads, [&](Team nested) { inner += nested.size; });
  });
  CHECK(members == 0 || (most == 1 && inner == members), most.load(), inner.load(), members.load());
}

void callers_at_once() {
  constexpr int callers = 8, calls = 300;
  std::atomic<long> done{0};
  std::vector<std::thread> threads;
  for (int caller = 0; caller < callers; ++caller)
    threads.emplace_back([&] {
      for (int call = 0; call < calls; ++call) {
        std::vector<int> seen(3);
        parallel(3, [&](Team team) {
          seen[static_cast<std::size_t>(team.rank)] = team.size;
          team.barrier();
        });
        int members = 0;
        for (const int size : seen) members += size > 0;
        done += members == seen[0];
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(done == callers * calls, done.load());
}

void quotas() {
  {
    const System none;
    CHECK(std::isinf(cgroup_quota(none.root())));
  }
  {
    const System version2;  // the group has none, the group above it has
    version2.write("proc/self/cgroup", "0::/pods/pod/container\n");
    version2.write("sys/fs/cgroup/pods/cpu.max", "400000 100000\n");
    version2.write("sys/fs/cgroup/pods/pod/cpu.max", "150000 100000\n");
    version2.write("sys/fs/cgroup/pods/pod/container/cpu.max", "max 100000\n");
    CHECK(cgroup_quota(version2.root()) == 1.5, cgroup_quota(version2.root()));
  }
  {
    const System container;  // that sees its own group as the root
    container.write("proc/self/cgroup", "0::/\n");
    container.write("sys/fs/cgroup/cpu.max", "300000 100000\n");
    CHECK(cgroup_quota(container.root()) == 3, cgroup_quota(container.root()));
  }
  {
    const System version1;  // and its path begins outside of what is mounted
    version1.write("proc/self/cgroup", "5:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n3:cpuset:/docker/ab\n");
    version1.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n");
    version1.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    version1.write("sys/fs/cgroup/cpuset/cpu.cfs_quota_us", "1\n");
    CHECK(cgroup_quota(version1.root()) == 0.5, cgroup_quota(version1.root()));
    version1.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    CHECK(std::isinf(cgroup_quota(version1.root())));
  }
  {
    const System damaged;
    damaged.write("proc/self/cgroup", "\nnothing\n0:\n0::\n0::/a\n");
    damaged.write("sys/fs/cgroup/a/cpu.max", "many 0\n");
    CHECK(std::isinf(cgroup_quota(damaged.root())));
  }
}

void cores() {
  const System machine;  // two cores of two threads each
  const char* siblings[] = {"0,2", "1,3", "0,2", "1,3"};
  for (int i = 0; i < 4; ++i)
    machine.write("sys/devices/system/cpu/cpu" + std::to_string(i) + "/topology/thread_siblings_list", siblings[i]);
  CHECK((cores_of_processors(machine.root()) == std::vector<int>{0, 1, 0, 1}));
  CHECK(cores_of_processors(machine.root() + "nothing/").empty());
  const double unlimited = HUGE_VAL;
  CHECK((Processors{8, 4, unlimited}.useful() == 4));
  CHECK((Processors{2, 4, unlimited}.useful() == 2));
  CHECK((Processors{8, 8, 1.5}.useful() == 2));
  CHECK((Processors{8, 8, 0.25}.useful() == 1));
  CHECK(processors().useful() >= 1 && processors().cores <= processors().allowed);
}

void settings() {
  set_num_threads(5);
  CHECK(num_threads() == 5 && num_threads_reason() == "set_num_threads");
  set_num_threads(0);
  CHECK(num_threads() >= 1 && num_threads_reason() != "set_num_threads");
}

}  // namespace
}  // namespace chainrule

int main() {
  chainrule::members_and_barriers();
  chainrule::exceptions_reach_the_caller();
  chainrule::within_a_team_there_is_one_thread();
  chainrule::callers_at_once();
  chainrule::quotas();
  chainrule::cores();
  chainrule::settings();
  return check::finish("parallel");
}
