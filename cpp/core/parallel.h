// Threads. The members of a team run the same function, and go together through its phases: the items of a phase are
// taken by any member that is there, which never changes a bit of the result. A member may come late, lose its
// processor for a while or never come: no phase waits for more than the items that it holds. How a team is made is the
// back end's matter: parallel_openmp.cpp (the only file that knows OpenMP), parallel_threads.cpp (a pool of our own) or
// parallel_serial.cpp; CMake's CHAINRULE_THREADS chooses one.
#pragma once

#include <algorithm>
#include <memory>
#include <type_traits>

#include "chainrule/names.h"
#include "chainrule/runtime.h"
#include "core/phases.h"

namespace chainrule {

// A member's view of its team. All members make the same sequence of phases: calls of each() and alone(). What others
// may change is touched only within an item: between phases a late member is not where the others are.
struct Team {
  int rank, size;
  detail::Phases* phases = nullptr;  // of a team of more than one

  // Calls work(i) once for each of the items 0..count-1, in some member, and returns when all are done. A member's
  // first choice is its share of them, in their order, so that it finds in its cache what it had there in the last
  // phase.
  template <class Work>
  void each(Index count, Work&& work) const {
    if (size == 1) {
      for (Index item = 0; item < count; ++item) work(item);
      return;
    }
    const Index group = (count + detail::Phases::most_items - 1) / detail::Phases::most_items;
    const Index groups = group > 1 ? (count + group - 1) / group : count;
    for (Index next; (next = phases->next(rank, groups)) >= 0;) {
      Index item = next * group;
      for (const Index end = item + group < count ? item + group : count; item < end; ++item) work(item);
    }
  }
  // For code that cannot be handed a function: the next item to do, or -1 when all of the phase are done. Of a team of
  // more than one.
  Index next(Index count) const { return phases->next(rank, count); }

  // A phase of rank 0, the thread that called parallel().
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
// The i-th of so many equal parts [begin, end) of n, in multiples of grain.
inline Share part(Index n, Index parts, Index i, Index grain = 1) {
  const Index grains = (n + grain - 1) / grain;
  const auto edge = [&](Index number) {
    const Index at = grains * number / parts * grain;
    return at < n ? at : n;
  };
  return {edge(i), edge(i + 1)};
}
// The part that belongs to a rank.
inline Share share(Index n, Team team, Index grain = 1) { return part(n, team.size, team.rank, grain); }

// Into how many items a team cuts n: one for a thread alone; else some for each member, so that the others can take
// over from one that is late, but of no less than `least`.
inline Index items_for(Index n, int team_size, Index least = 1) {
  constexpr Index enough = 4;
  const Index of_member = team_size == 1 ? 1 : std::clamp<Index>(n / team_size / least, 1, enough);
  return std::min(n, of_member * team_size);
}

// The threads for one call: requested, or 0 for num_threads(); fewer where each would have less than a region costs.
// operations: the arithmetic of one region, in multiply-adds and additions.
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

// Calls body(team) on up to `threads` threads, this one being rank 0, and waits for those that have begun. The first
// exception of a body is rethrown here; no item is begun after it.
template <class Body>
void parallel(int threads, Body&& body) {
  detail::run_body(threads, detail::Length::any, body);
}

// The same for calls of some milliseconds of which many follow each other: where a member has just lost its processor,
// this thread makes some of them alone.
template <class Body>
void parallel_step(int threads, Body&& body) {
  detail::run_body(threads, detail::Length::brief, body);
}

}  // namespace chainrule
