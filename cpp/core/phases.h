// The shared state of a team's phases (Team::each): which member takes which item, and which phases have ended. A
// member that is late or loses its processor delays only the item that it has begun. Other members take the rest of its
// items, and it skips phases that have ended without it.
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
  static constexpr Index max_items = 65535;  // per phase

  // Called before the members begin, by the thread that makes the team. patience: how long a waiting member spins.
  void begin(int size, std::chrono::microseconds patience);

  // Returns a member's next item of the phase, or -1 when all `count` items are done; the call after that begins a new
  // phase.
  Index next(int rank, Index count);
  // A phase that only rank 0 executes. In rank 0, enter() returns true, and rank 0 calls leave() when it is done. In
  // other members, enter() waits for that call and returns false.
  bool enter(int rank);
  void leave(int rank) { complete(members_[rank].phase); }
  // Ends this phase and all later ones. No further item begins.
  void abandon();

  // How long rank 0 has waited for other members since begin().
  std::chrono::nanoseconds waited() const { return waited_; }

 private:
  // `range` holds the number of a phase, and the range of this member's items that have not been taken yet. If it holds
  // the number of an earlier phase, all items are still there, so a new phase needs no preparation.
  struct Member {
    alignas(64) std::atomic<std::uint64_t> range{0};
    // Only this member uses the following:
    alignas(64) std::uint32_t phase = 0;
    bool within = false;
    int from = 0;  // the member whose items it is taking
    std::uint32_t done = 0;
  };
  Index claim(int from, bool own, std::uint32_t phase, Index count);
  void complete(std::uint32_t phase);
  void wait(int rank, std::uint32_t phase);

  std::unique_ptr<Member[]> members_;
  int capacity_ = 0, size_ = 1;
  std::chrono::microseconds patience_{};
  std::chrono::nanoseconds waited_{};
  alignas(64) std::atomic<std::uint32_t> done_{0};  // finished items, counted by a member when it finds no more
  Watched completed_;                               // number of the last phase that has ended
};

}  // namespace chainrule::detail
