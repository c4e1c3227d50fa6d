// Compares Threefry with the known answers of Random123 and a plain implementation, and tests the dropout factors.
#include <algorithm>
#include <array>

#include "support.h"

namespace chainrule::test {
namespace {

using Words = std::array<std::uint32_t, 4>;

std::uint32_t rotated(std::uint32_t x, int left) { return x << left | x >> (32 - left); }

// The algorithm of the paper: each round mixes two pairs and permutes the words; every fourth round adds a key.
Words threefry(Words x, Words key) {
  constexpr int rotations[8][2] = {{10, 26}, {11, 21}, {13, 27}, {23, 5}, {6, 20}, {17, 11}, {25, 10}, {18, 20}};
  const std::uint32_t keys[5] = {key[0], key[1], key[2], key[3], 0x1BD11BDA ^ key[0] ^ key[1] ^ key[2] ^ key[3]};
  for (unsigned i = 0; i < 4; ++i) x[i] += keys[i];
  for (unsigned round = 0; round < 20; ++round) {
    x[0] += x[1];
    x[1] = rotated(x[1], rotations[round % 8][0]) ^ x[0];
    x[2] += x[3];
    x[3] = rotated(x[3], rotations[round % 8][1]) ^ x[2];
    std::swap(x[1], x[3]);
    if (round % 4 != 3) continue;
    const unsigned four = round / 4 + 1;
    for (unsigned i = 0; i < 4; ++i) x[i] += keys[(four + i) % 5];
    x[3] += four;
  }
  return x;
}

Words kernel_words(Words counter, Words key) {
  Words words;
  const std::uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]}, k[4] = {key[0], key[1], key[2], key[3]};
  std::uint32_t w[4];
  kernels<float>().random_words(c, k, w);
  std::copy_n(w, 4, words.begin());
  return words;
}

void known_answers() {
  const Words ones{~0u, ~0u, ~0u, ~0u};
  const Words pi{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
      pi_key{0xa4093822, 0x299f31d0, 0x082efa98, 0xec4e6c89};
  const struct {
    Words counter, key, words;
  } answers[] = {{{}, {}, {0x9c6ca96a, 0xe17eae66, 0xfc10ecd4, 0x5256a7d8}},
                 {ones, ones, {0x2a881696, 0x57012287, 0xf6c7446e, 0xa16a6732}},
                 {pi, pi_key, {0x59cd1dbb, 0xb8879579, 0x86b5d00c, 0xac8b6d84}}};
  for (const auto& answer : answers) {
    CHECK(threefry(answer.counter, answer.key) == answer.words);
    CHECK(kernel_words(answer.counter, answer.key) == answer.words);
  }
}

template <class T>
T factor(const Dropout& d, Index i, Index j) {
  const auto low = [](std::uint64_t word) { return static_cast<std::uint32_t>(word); };
  const Words x = threefry(
      {low(static_cast<std::uint64_t>(j)), low(static_cast<std::uint64_t>(i / 8)), low(d.step), low(d.step >> 32)},
      {low(d.seed), low(d.seed >> 32), d.layer, 0});
  const std::uint32_t word = x[static_cast<std::size_t>(i % 8 / 2)], bits = i % 2 == 0 ? word & 0xffff : word >> 16;
  return bits < d.kept ? static_cast<T>(65536.0 / d.kept) : T(0);
}

// The kernel multiplies any part of one or two matrices by the factors and leaves the elements around it unchanged.
template <class T>
void factors() {
  const Dropout d{0x123456789abcdef0, 0xfedcba9876543210, 3, 45678};
  for (const Index m : {1, 7, 8, 9, 30})
    for (const Index n : {1, 5, 16, 37})
      for (const Index row : {0, 3, 8, 1013})
        for (const Index column : {0, 2, 32}) {
          const Index ld = n + 1;
          std::vector<T> x(static_cast<std::size_t>(m * ld), T(-1)), y(x.size(), T(3)), alone(x);
          kernels<T>().drop(d, m, n, row, column, x.data(), ld, y.data(), ld);
          kernels<T>().drop(d, m, n, row, column, alone.data(), ld, nullptr, 0);
          CHECK(alone == x, m, n, row, column);
          for (Index i = 0; i < m; ++i)
            for (Index j = 0; j < ld; ++j) {
              const auto at = static_cast<std::size_t>(i * ld + j);
              const T f = j < n ? factor<T>(d, row + i, column + j) : T(1);
              CHECK(x[at] == -f && y[at] == 3 * f, m, n, row, column, i, j);
            }
        }
}

}  // namespace
}  // namespace chainrule::test

int main() {
  using namespace chainrule::test;
  for_each_isa([] {
    known_answers();
    factors<float>();
    factors<double>();
  });
  return check::finish("random");
}
