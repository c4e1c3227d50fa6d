// Threads. A team runs the same function; each member takes its share of the work from its rank. What a share is never
// changes a bit of the result. How a team is made is the back end's matter: parallel_openmp.cpp (the only file that
// knows OpenMP), parallel_threads.cpp (a pool of our own) or parallel_serial.cpp; CMake's CHAINRULE_THREADS chooses
// one.
#pragma once

#include <memory>
#include <type_traits>

#include "chainrule/names.h"
#include "chainrule/runtime.h"

namespace chainrule {

struct Team {
  int rank, size;
  void barrier() const;  // all members must reach it
};

// The part [begin, end) of n items that belongs to a rank, in multiples of grain.
struct Share {
  Index begin, end;
};
inline Share share(Index n, Team team, Index grain = 1) {
  const Index grains = (n + grain - 1) / grain;
  const auto edge = [&](Index rank) {
    const Index item = grains * rank / team.size * grain;
    return item < n ? item : n;
  };
  return {edge(team.rank), edge(team.rank + 1)};
}

// The threads for one call: requested, or 0 for num_threads(); fewer where each would have less than a region costs.
// operations: the arithmetic of one region, in multiply-adds and additions.
int threads_for(double operations, int requested);

// How often the system has taken the processor from the calling thread; 0 where it does not say.
long preemptions();

namespace detail {
void run_team(int threads, void (*body)(void*, Team), void* context);
}

// Calls body(team) on each of `threads` threads, or fewer if the system has no more (serially for 1), and waits. An
// exception of a body without barriers is rethrown here, the first one; a body with barriers must not throw.
template <class Body>
void parallel(int threads, Body&& body) {
  using Target = std::remove_reference_t<Body>;
  detail::run_team(
      threads, [](void* context, Team team) { (*static_cast<Target*>(context))(team); },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

}  // namespace chainrule
