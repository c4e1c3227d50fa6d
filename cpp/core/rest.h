// When a thread goes on alone instead of with its team. A member that the system takes from its processor keeps its
// item for a whole time slice, some milliseconds. Where the caller of a step waited so much that the team was not half
// as fast again as one thread, it makes the next steps alone, for 20 times as long as it waited: so a busy neighbor
// costs a twentieth, without a guess whether there is one. Where that happens again as soon as the rest is over, the
// next one is four times as long, up to a fifth of a second.
#pragma once

#include <algorithm>
#include <chrono>

namespace chainrule::detail {

class Rest {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = Time::duration;
  static constexpr Duration least_wait = std::chrono::microseconds(200);  // a process that merely wakes takes 50 or so
  static constexpr Duration longest = std::chrono::milliseconds(200);

  bool lasts(Time now) const { return now < end_; }
  // After a step of a team, in which the caller waited for others so long.
  void note(int threads, Time start, Time end, Duration waited) {
    const bool paid = 2 * (end - start - waited) * threads >= 3 * (end - start);
    if (paid || waited < least_wait) return;
    const bool again = end - end_ < length_;
    length_ = std::min(std::max(20 * waited, again ? 4 * length_ : Duration{}), longest);
    end_ = end + length_;
  }

 private:
  Time end_{};
  Duration length_{};
};

}  // namespace chainrule::detail
