// Random matrices, a loop over the instruction sets of the machine, and the caches of other machines.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chainrule/runtime.h"
#include "chainrule/view.h"
#include "check.h"
#include "core/caches.h"
#include "core/dispatch.h"

namespace chainrule::test {

// FitOptions::batch_size for this number of rows; 0: all rows.
inline std::optional<Index> some_rows(Index rows) { return rows > 0 ? std::optional(rows) : std::nullopt; }

// Deterministic numbers in [-1, 1).
template <class T>
std::vector<T> random_values(Index n, std::uint64_t seed = 1) {
  std::vector<T> values(static_cast<std::size_t>(n));
  std::uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (T& value : values) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    value = static_cast<T>(static_cast<double>(state >> 11) * 0x1p-52 - 1);
  }
  return values;
}

template <class T>
MatrixView<T> matrix(std::vector<T>& values, Index rows, Index cols) {
  return MatrixView<T>::contiguous(values.data(), rows, cols);
}

// With fused multiply-add, bits must be equal; on x86 without it, a few roundings may differ.
inline bool fused() {
#if defined(__x86_64__)
  return active_isa() != "baseline";
#else
  return true;
#endif
}
template <class T>
bool agree(T got, T expected, double terms) {
  if (fused()) return got == expected || (std::isnan(got) && std::isnan(expected));
  const double epsilon = sizeof(T) == 4 ? 0x1p-23 : 0x1p-52;
  return std::abs(static_cast<double>(got) - static_cast<double>(expected)) <= epsilon * (terms + 2);
}

// Arguments for set_caches. Block sizes depend on them, but no bit may. The first selects the caches of this machine;
// the last are smaller than those of any machine, so that small matrices have many blocks.
inline constexpr const char* some_caches[] = {"",
                                              "32K:8,256K:8,32M:16",
                                              "32K:8,512K:8,32M:16",
                                              "48K:12,1M:16,32M:16",
                                              "32K:8,1M:8,32M:16",
                                              "48K:12,2M:16,32M:16",
                                              "8K:2,64K:4"};

template <class Visit>
void for_each_isa(Visit visit) {
  for (const std::string& isa : available_isas()) {
    set_isa(isa);
    const long before = check::failures;
    visit();
    std::printf("%-9s %s\n", isa.c_str(), check::failures == before ? "ok" : "FAILED");
  }
}

}  // namespace chainrule::test
