#include "core/poll.h"

#include <utility>

namespace chainrule {
namespace {

thread_local Polling* current = nullptr;

}  // namespace

Polling::Polling(std::function<void()> check, double seconds)
    : check_(std::move(check)), interval_(seconds), outer_(std::exchange(current, this)) {}

Polling::~Polling() { current = outer_; }

void Polling::poll() {
  if (Clock::now() - last_check_ >= interval_) poll_at_once();
}

void Polling::poll_at_once() {
  last_check_ = Clock::now();
  check_();
}

void poll() {
  if (current != nullptr) current->poll();
}

void poll_at_once() {
  if (current != nullptr) current->poll_at_once();
}

}  // namespace chainrule
