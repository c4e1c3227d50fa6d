// What the members of a team share of the phases they go through (Team::each): who takes which item, and how far the
// team is. A member that comes late or loses its processor delays the item that it holds and nothing else; what it has
// not begun is taken by the others, and phases that have ended without it are passed by.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include "chainrule/names.h"
#include "core/wait.h"

namespace chainrule::detail {

class Phases {
 public:
  static constexpr Index most_items = 65535;  // of a phase

  // Before the members begin, by the thread that makes the team. patience: of members that wait for others.
  void begin(int size, std::chrono::microseconds patience);

  // An item of the phase for a member, or -1 once all `count` have been done; the next call then begins a phase.
  Index next(int rank, Index count);
  // A phase of rank 0 alone: true for it, which calls leave() at the end; false for the others once it has.
  bool enter(int rank);
  void leave(int rank) { complete(members_[rank].phase); }
  // Ends all phases, those to come too: no further item is begun.
  void abandon();

  std::chrono::nanoseconds waited() const { return waited_; }  // by rank 0, for others, since begin()

 private:
  // `range` is the phase, the first and the end of the items that nobody has taken of those that are this member's
  // first choice. That of an earlier phase means that all still are there, so nothing has to be set up for a phase.
  struct Member {
    alignas(64) std::atomic<std::uint64_t> range{0};
    // The member's own:
    alignas(64) std::uint32_t phase = 0;
    bool within = false;
    int from = 0;  // whose items it takes
    std::uint32_t done = 0;
  };
  Index claim(int from, bool own, std::uint32_t phase, Index count);
  void complete(std::uint32_t phase);
  void wait(int rank, std::uint32_t phase);

  std::unique_ptr<Member[]> members_;
  int capacity_ = 0, size_ = 1;
  std::chrono::microseconds patience_{};
  std::chrono::nanoseconds waited_{};
  alignas(64) std::atomic<std::uint32_t> done_{0};  // items of the phase, by members who have found no more
  Watched completed_;                               // the last phase that has ended
};

}  // namespace chainrule::detail
