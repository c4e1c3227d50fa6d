// A minimal test harness: CHECK counts and reports, and main returns finish().
#pragma once

#include <concepts>
#include <cstdio>

namespace check {

inline long checks = 0, failures = 0;

inline void print(const char* text) { std::printf(" %s", text); }
template <std::floating_point T>
void print(T value) {
  std::printf(" %.17Lg", static_cast<long double>(value));
}
template <std::integral T>
void print(T value) {
  std::printf(" %lld", static_cast<long long>(value));
}

// True if the check passed. Only the first 50 failures are printed.
template <class... Value>
bool expect(bool passed, const char* condition, const char* file, int line, const Value&... values) {
  ++checks;
  if (passed) return true;
  if (++failures <= 50) {
    std::printf("%s:%d: failed: %s", file, line, condition);
    if constexpr (sizeof...(values) > 0) std::printf("; values:");
    (print(values), ...);
    std::printf("\n");
  }
  return false;
}

// The exit status: 0 if nothing failed and something was checked.
inline int finish(const char* name) {
  std::printf("%s: %ld checks, %ld failed\n", name, checks, failures);
  return failures == 0 && checks > 0 ? 0 : 1;
}

}  // namespace check

// CHECK(condition, values to print if it fails...)
#define CHECK(condition, ...) \
  ::check::expect(static_cast<bool>(condition), #condition, __FILE__, __LINE__ __VA_OPT__(, ) __VA_ARGS__)
