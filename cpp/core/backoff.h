// Decides when the caller of a step works without its team. A member that loses its processor holds its item for a
// whole time slice, which is a few milliseconds. If the caller waited so long that the team was less than 1.5 times as
// fast as one thread, the caller backs off: it works alone for 20 times as long as it has waited. So a competing
// process costs about one twentieth of the time, and need not be detected. If the first step with a team after a
// backoff has to wait again, the next backoff is at least four times as long, up to a fifth of a second.
#pragma once

#include <algorithm>
#include <chrono>

namespace chainrule::detail {

class Backoff {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = Time::duration;
  // Shorter waits are ignored: a background process that wakes briefly takes about 50 us.
  static constexpr Duration min_wait = std::chrono::microseconds(200);
  static constexpr Duration max_length = std::chrono::milliseconds(200);

  bool lasts(Time now) const { return now < end_; }
  // Call after a step of a team; waited: how long the caller waited for other members.
  void record(int threads, Time start, Time end, Duration waited) {
    const bool paid = 2 * (end - start - waited) * threads >= 3 * (end - start);
    if (paid || waited < min_wait) return;
    const bool again = end - end_ < length_;
    length_ = std::min(std::max(20 * waited, again ? 4 * length_ : Duration{}), max_length);
    end_ = end + length_;
  }

 private:
  Time end_{};
  Duration length_{};
};

}  // namespace chainrule::detail
