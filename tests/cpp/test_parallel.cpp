// Tests teams on the compiled backend: phases and the distribution of their items, late or absent members, exceptions,
// nesting, concurrent callers, backoffs. Also tests the number of threads that the system allows, which is read from
// folders that imitate /proc and /sys.
#include <atomic>
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "core/backoff.h"
#include "core/parallel.h"
#include "core/processors.h"
#include "folder.h"

namespace chainrule {
namespace {

// Every item is processed once in every phase, by teams that grow and shrink and may have more members than processors.
// Each phase reads the results of the one before.
void items_are_taken_once() {
  for (const int threads : {1, 2, 7, 3, 16, 1, 2}) {
    constexpr Index count = 37;
    std::vector<int> phase_of(count), next(count);
    std::atomic<int> wrong{0}, members{0}, size{0};
    parallel(threads, [&](Team team) {
      ++members;
      size = team.size;
      for (int phase = 1; phase <= 500; ++phase) {
        team.each(count, [&](Index item) {
          wrong += phase_of[static_cast<std::size_t>(item)] != phase - 1;
          next[static_cast<std::size_t>(item)]++;
        });
        team.each(phase % 3, [&](Index item) {  // fewer items than members
          for (Index i = item; i < count; i += phase % 3)
            phase_of[static_cast<std::size_t>(i)] = next[static_cast<std::size_t>(i)];
        });
        if (phase % 3 == 0) team.each(1, [&](Index) { phase_of = next; });
      }
    });
    CHECK(members >= 1 && members <= size && size <= threads, members.load(), size.load(), threads);
    CHECK(size == threads || thread_backend() == "serial", size.load(), threads);
    CHECK(wrong == 0 && phase_of == std::vector<int>(count, 500), wrong.load(), threads);
  }
  std::vector<int> times(200003);  // more items than a phase can count
  parallel(3, [&](Team team) {
    team.each(std::ssize(times), [&](Index item) { ++times[static_cast<std::size_t>(item)]; });
  });
  CHECK(times == std::vector<int>(times.size(), 1));
}

void short_phases_follow_each_other() {
  for (const int threads : {2, 16}) {
    const int phases = threads == 2 ? 20000 : 2000;
    std::vector<int> done(16);
    parallel(threads, [&](Team team) {
      for (int phase = 0; phase < phases; ++phase)
        team.each(std::ssize(done), [&](Index item) { ++done[static_cast<std::size_t>(item)]; });
    });
    CHECK(done == std::vector<int>(done.size(), phases), threads);
    Index calls = 0;
    for (int call = 0; call < phases; ++call)
      parallel(threads, [&](Team team) { team.each(1, [&](Index) { ++calls; }); });
    CHECK(calls == phases, calls, threads);
  }
}

// While one member is busy with an item, the other members process the remaining ones.
void a_blocked_item_blocks_no_other() {
  std::atomic<int> others{0};
  parallel(4, [&](Team team) {
    if (team.size == 1) return;
    for (const Index held : {0, 5, 19}) {
      team.alone([&] { others = 0; });
      team.each(20, [&](Index item) {
        if (item != held)
          ++others;
        else
          while (others < 19) std::this_thread::yield();
      });
    }
  });
}

// Some members never reach the phases, and some arrive after all phases have ended.
void phases_do_not_wait_for_absent_members() {
  for (const bool late : {false, true}) {
    std::atomic<bool> ended{false};
    std::atomic<int> by_others{0};
    std::vector<int> done(50);
    parallel(4, [&](Team team) {
      if (team.rank > 0 && !late) return;
      while (team.rank > 0 && !ended) std::this_thread::yield();
      for (int phase = 0; phase < 10; ++phase) {
        team.each(std::ssize(done), [&](Index item) {
          by_others += team.rank > 0;
          ++done[static_cast<std::size_t>(item)];
        });
        team.alone([&] { by_others += team.rank > 0; });
      }
      ended = true;
    });
    CHECK(by_others == 0 && done == std::vector<int>(done.size(), 10), by_others.load(), late);
  }
}

void alone_runs_in_the_calling_thread() {
  for (const int threads : {1, 2, 5}) {
    const std::thread::id caller = std::this_thread::get_id();
    int calls = 0, seen = 0;
    std::atomic<int> wrong{0};
    parallel(threads, [&](Team team) {
      for (int phase = 1; phase <= 200; ++phase) {
        team.alone([&] {
          wrong += std::this_thread::get_id() != caller;
          ++calls;
        });
        team.each(5, [&](Index item) {
          wrong += calls != phase;
          if (item == 0) ++seen;
        });
      }
    });
    CHECK(wrong == 0 && calls == 200 && seen == 200, wrong.load(), calls, seen, threads);
  }
}

// The first exception is rethrown; no item begins after it, and no member waits for items that never begin.
void exceptions_reach_the_caller() {
  for (const int threads : {1, 2, 5})
    for (const char* where : {"body", "item", "alone"}) {
      std::atomic<int> later{0};
      std::string caught;
      try {
        parallel(threads, [&](Team team) {
          if (team.rank == 0 && where == std::string("body")) throw std::runtime_error(where);
          team.alone([&] {
            if (where == std::string("alone")) throw std::runtime_error(where);
          });
          team.each(20, [&](Index item) {
            if (item == 13) throw std::runtime_error("item");
          });
          team.each(20, [&](Index) { ++later; });
          team.alone([&] { ++later; });
        });
      } catch (const std::runtime_error& error) {
        caught = error.what();
      }
      CHECK(caught == where && later == 0, caught.c_str(), where, later.load(), threads);
      int after = 0;
      parallel(threads, [&](Team team) { team.each(1, [&](Index) { ++after; }); });
      CHECK(after == 1, after);
    }
}

void nested_teams_have_one_member() {
  const double much = 1e12;
  CHECK(threads_for(much, 4) == 4, threads_for(much, 4));
  CHECK(threads_for(1, 4) == 1);
  std::atomic<int> max_threads{0}, members{0}, inner{0};
  parallel(3, [&](Team team) {
    if (team.size == 1) return;
    ++members;
    const int threads = threads_for(much, 4);
    if (threads > max_threads) max_threads = threads;
    parallel(threads, [&](Team nested) { inner += nested.size; });
  });
  CHECK(members == 0 || (max_threads == 1 && inner == members), max_threads.load(), inner.load(), members.load());
}

void concurrent_callers() {
  constexpr int callers = 8, calls = 300;
  std::atomic<long> done{0};
  std::vector<std::thread> threads;
  for (int caller = 0; caller < callers; ++caller)
    threads.emplace_back([&] {
      for (int call = 0; call < calls; ++call) {
        std::vector<int> seen(3);
        parallel(3, [&](Team team) {
          for (int phase = 0; phase < 3; ++phase)
            team.each(3, [&](Index item) { ++seen[static_cast<std::size_t>(item)]; });
        });
        done += seen == std::vector<int>{3, 3, 3};
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
    const System version2;  // the group has no quota, its parent has one
    version2.write("proc/self/cgroup", "0::/pods/pod/container\n");
    version2.write("sys/fs/cgroup/pods/cpu.max", "400000 100000\n");
    version2.write("sys/fs/cgroup/pods/pod/cpu.max", "150000 100000\n");
    version2.write("sys/fs/cgroup/pods/pod/container/cpu.max", "max 100000\n");
    CHECK(cgroup_quota(version2.root()) == 1.5, cgroup_quota(version2.root()));
  }
  {
    const System container;  // sees its own group as the root
    container.write("proc/self/cgroup", "0::/\n");
    container.write("sys/fs/cgroup/cpu.max", "300000 100000\n");
    CHECK(cgroup_quota(container.root()) == 3, cgroup_quota(container.root()));
  }
  {
    const System version1;  // the path of the group begins outside of the mounted tree
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

// Uses a simulated clock, which starts late enough that no backoff has just ended.
void backoffs() {
  using detail::Backoff;
  using std::chrono::microseconds, std::chrono::milliseconds;
  const Backoff::Time start{std::chrono::hours(1)};
  const auto record = [&](Backoff& backoff, Backoff::Time begin, Backoff::Duration step, Backoff::Duration waited) {
    backoff.record(2, begin, begin + step, waited);
    return begin + step;
  };
  Backoff quick;
  record(quick, start, milliseconds(4), milliseconds(1));  // 1.5 times as fast as one thread
  CHECK(!quick.lasts(start + milliseconds(4)));
  record(quick, start, microseconds(200), microseconds(199));
  CHECK(!quick.lasts(start + microseconds(200)));  // a wait too short to matter

  Backoff backoff;
  Backoff::Time now = record(backoff, start, milliseconds(4), milliseconds(2));
  CHECK(backoff.lasts(now) && backoff.lasts(now + milliseconds(40) - microseconds(1)));
  now += milliseconds(40);
  CHECK(!backoff.lasts(now));
  now = record(backoff, now, milliseconds(4), milliseconds(2));  // again soon after: four times as long
  CHECK(backoff.lasts(now + milliseconds(160) - microseconds(1)) && !backoff.lasts(now + milliseconds(160)));
  now = record(backoff, now + milliseconds(160), milliseconds(4), milliseconds(2));
  CHECK(backoff.lasts(now + milliseconds(200) - microseconds(1)) &&
        !backoff.lasts(now + milliseconds(200)));                                    // the longest
  now = record(backoff, now + milliseconds(600), milliseconds(4), milliseconds(2));  // long after: like the first
  CHECK(backoff.lasts(now + milliseconds(40) - microseconds(1)) && !backoff.lasts(now + milliseconds(40)));
}

// After a team has waited for a member, the calling thread continues alone.
void a_stall_is_followed_by_a_backoff() {
  if (thread_backend() == "serial") return;
  using Clock = std::chrono::steady_clock;
  int alone = 0;
  for (int stalls = 0; stalls < 50 && alone == 0; ++stalls) {
    std::atomic<bool> held{false};
    parallel_step(2, [&](Team team) {
      team.each(2, [&](Index) {
        const auto spin = [](auto done) {
          for (const auto begin = Clock::now(); !done() && Clock::now() - begin < std::chrono::milliseconds(20);)
            continue;
        };
        if (team.rank == 1) {
          held = true;
          spin([] { return false; });
        } else {
          spin([&] { return held.load(); });
        }
      });
    });
    if (held) parallel_step(2, [&](Team team) { alone += team.size == 1; });  // skipped if the system delayed us
  }
  CHECK(alone > 0);
}

}  // namespace
}  // namespace chainrule

int main() {
  chainrule::items_are_taken_once();
  chainrule::short_phases_follow_each_other();
  chainrule::a_blocked_item_blocks_no_other();
  chainrule::phases_do_not_wait_for_absent_members();
  chainrule::alone_runs_in_the_calling_thread();
  chainrule::exceptions_reach_the_caller();
  chainrule::nested_teams_have_one_member();
  chainrule::concurrent_callers();
  chainrule::backoffs();
  chainrule::a_stall_is_followed_by_a_backoff();
  chainrule::quotas();
  chainrule::cores();
  chainrule::settings();
  return check::finish("parallel");
}
