#include "core/poll.h"

#include <utility>

namespace chainrule {
namespace {

thread_local Polling* current = nullptr;

}  // namespace

Polling::Polling(std::function<void()> ask, double seconds)
    : ask_(std::move(ask)), rest_(seconds), outer_(std::exchange(current, this)) {}

Polling::~Polling() { current = outer_; }

void Polling::poll() {
  const Clock::time_point now = Clock::now();
  if (now - last_ < rest_) return;
  last_ = now;
  ask_();
}

void poll() {
  if (current != nullptr) current->poll();
}

}  // namespace chainrule
