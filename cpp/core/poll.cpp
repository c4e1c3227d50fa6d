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
  if (Clock::now() - last_ >= rest_) poll_at_once();
}

void Polling::poll_at_once() {
  last_ = Clock::now();
  ask_();
}

void poll() {
  if (current != nullptr) current->poll();
}

void poll_at_once() {
  if (current != nullptr) current->poll_at_once();
}

}  // namespace chainrule
