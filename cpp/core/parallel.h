// Threads. The members of a team run the same function, which is a sequence of phases. Any member may take any item of
// a phase; results stay bit-identical. A member may be late, lose its processor or never start: a phase waits only for
// the items that the member has begun. One of three backends, which CMake's CHAINRULE_THREADS selects, starts the
// threads: parallel_openmp.cpp (the only file that uses OpenMP), parallel_threads.cpp (a thread pool) or
// parallel_serial.cpp.
#pragma once

#include <algorithm>
#include <memory>
#include <type_traits>

#include "chainrule/names.h"
#include "chainrule/runtime.h"
#include "core/phases.h"

namespace chainrule {

// A member's view of its team. All members must go through the same sequence of phases, that is, of calls of each() and
// alone(). Access data that other members change only within an item, because between phases a late member may be
// behind the others.
struct Team {
  int rank, size;
  detail::Phases* phases = nullptr;  // null for a team of one

  // Calls work(i) once for each item 0..count-1, in any member, and returns when all items are done. A member takes the
  // items of its own share first, in order, because their data may still be in its cache from the last phase.
  template <class Work>
  void each(Index count, Work&& work) const {
    if (size == 1) {
      for (Index item = 0; item < count; ++item) work(item);
      return;
    }
    const Index group = (count + detail::Phases::max_items - 1) / detail::Phases::max_items;
    const Index groups = group > 1 ? (count + group - 1) / group : count;
    for (Index next; (next = phases->next(rank, groups)) >= 0;) {
      Index item = next * group;
      for (const Index end = item + group < count ? item + group : count; item < end; ++item) work(item);
    }
  }
  // The same for callers that cannot pass a function: returns the next item, or -1 when all items of the phase are
  // done. The team must have more than one member.
  Index next(Index count) const { return phases->next(rank, count); }

  // A phase that only rank 0 executes, which is the thread that called parallel().
  template <class Work>
  void alone(Work&& work) const {
    if (size == 1) return work();
    if (!phases->enter(rank)) return;
    work();
    phases->leave(rank);
  }
};

struct Share {
  Index begin, end;
};
// Part i if n is divided into `parts` equal parts whose boundaries are multiples of grain.
inline Share part(Index n, Index parts, Index i, Index grain = 1) {
  const Index grains = (n + grain - 1) / grain;
  const auto edge = [&](Index number) {
    const Index at = grains * number / parts * grain;
    return at < n ? at : n;
  };
  return {edge(i), edge(i + 1)};
}
// The part of this member of the team.
inline Share share(Index n, Team team, Index grain = 1) { return part(n, team.size, team.rank, grain); }

// The number of items into which to divide n: 1 for a team of one, otherwise several per member, so that the others can
// take items of a late member. Each item has at least min_size elements.
inline Index items_for(Index n, int team_size, Index min_size = 1) {
  constexpr Index enough = 4;
  const Index of_member = team_size == 1 ? 1 : std::clamp<Index>(n / team_size / min_size, 1, enough);
  return std::min(n, of_member * team_size);
}

// The number of threads that a call should use: at most `requested` (0: num_threads()), and fewer if another thread
// would cost more time than it saves. operations: floating-point operations of one parallel region.
int threads_for(double operations, int requested);

namespace detail {
enum class Length { any, brief };
void run_team(int threads, Length length, void (*body)(void*, Team), void* context);

template <class Body>
void run_body(int threads, Length length, Body&& body) {
  using Target = std::remove_reference_t<Body>;
  run_team(
      threads, length, [](void* context, Team team) { (*static_cast<Target*>(context))(team); },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}
}  // namespace detail

// Calls body(team) in up to `threads` threads; the calling thread is rank 0. Waits for the threads that have begun.
// After an exception in a body no further item begins; the first exception is rethrown here.
template <class Body>
void parallel(int threads, Body&& body) {
  detail::run_body(threads, detail::Length::any, body);
}

// The same for short, repeated calls such as training steps: after a member has lost its processor, the calling thread
// executes the next calls alone for a while (core/backoff.h).
template <class Body>
void parallel_step(int threads, Body&& body) {
  detail::run_body(threads, detail::Length::brief, body);
}

}  // namespace chainrule
