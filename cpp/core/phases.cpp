#include "core/phases.h"

#include <limits>

namespace chainrule::detail {
namespace {

constexpr std::uint32_t abandoned = std::numeric_limits<std::uint32_t>::max();

constexpr std::uint64_t range_of(std::uint32_t phase, std::uint64_t begin, std::uint64_t end) {
  return std::uint64_t{phase} << 32 | begin << 16 | end;
}

}  // namespace

void Phases::begin(int size, std::chrono::microseconds patience) {
  if (size > capacity_) {
    members_.reset(new Member[static_cast<std::size_t>(size)]);
    capacity_ = size;
  } else {
    for (int rank = 0; rank < size_; ++rank) {
      members_[rank].range.store(0, std::memory_order_relaxed);
      members_[rank].phase = 0;
      members_[rank].within = false;
    }
  }
  size_ = size;
  patience_ = patience;
  waited_ = {};
  done_.store(0, std::memory_order_relaxed);
  completed_.set(0);
}

// A member takes its own items from the first one on, and those of other members from the last one on, so that the two
// rarely compete for the same item.
Index Phases::claim(int from, bool own, std::uint32_t phase, Index count) {
  std::atomic<std::uint64_t>& range = members_[from].range;
  // Relaxed order suffices here: done_ and completed_ order memory, as an item begins after all earlier phases have
  // ended.
  std::uint64_t now = range.load(std::memory_order_relaxed);
  for (;;) {
    const auto of_phase = static_cast<std::uint32_t>(now >> 32);
    if (of_phase > phase) return -1;
    auto begin = (now >> 16) & 0xffff, end = now & 0xffff;
    if (of_phase < phase) {
      begin = static_cast<std::uint64_t>(count * from / size_);
      end = static_cast<std::uint64_t>(count * (from + 1) / size_);
    }
    if (begin >= end) return -1;
    const std::uint64_t left = own ? range_of(phase, begin + 1, end) : range_of(phase, begin, end - 1);
    if (range.compare_exchange_weak(now, left, std::memory_order_relaxed))
      return static_cast<Index>(own ? begin : end - 1);
  }
}

Index Phases::next(int rank, Index count) {
  Member& me = members_[rank];
  if (me.within) {
    ++me.done;
  } else {
    if (count == 0) return -1;
    ++me.phase;
    if (completed_.load() >= me.phase) return -1;
    me.within = true;
    me.from = rank;
    me.done = 0;
  }
  for (int tried = 0; tried < size_; ++tried) {
    const Index item = claim(me.from, me.from == rank, me.phase, count);
    if (item >= 0) return item;
    if (++me.from == size_) me.from = 0;
  }
  me.within = false;
  if (me.done > 0 && done_.fetch_add(me.done, std::memory_order_acq_rel) + me.done == count)
    complete(me.phase);
  else
    wait(rank, me.phase);
  return -1;
}

bool Phases::enter(int rank) {
  const std::uint32_t phase = ++members_[rank].phase;
  if (completed_.load() >= phase) return false;
  if (rank == 0) return true;
  wait(rank, phase);
  return false;
}

// Marks the phase as ended, unless abandon() has been called.
void Phases::complete(std::uint32_t phase) {
  done_.store(0, std::memory_order_relaxed);
  completed_.change([phase](std::atomic<std::uint32_t>& completed) {
    std::uint32_t before = phase - 1;
    return completed.compare_exchange_strong(before, phase);
  });
}

void Phases::wait(int rank, std::uint32_t phase) {
  completed_.wait(
      patience_, [phase](std::uint32_t completed) { return completed >= phase; }, rank == 0 ? &waited_ : nullptr);
}

void Phases::abandon() { completed_.set(abandoned); }

}  // namespace chainrule::detail
