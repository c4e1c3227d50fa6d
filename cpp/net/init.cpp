#include "net/init.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/dispatch.h"
#include "core/random.h"

namespace chainrule {
namespace {

// A pair of standard normal numbers by the polar method (Marsaglia & Bray 1964). It needs no sine or cosine, which
// differ between C libraries, and uses the logarithm of the kernels. Attempts are numbered, so each pair is a function
// of its index.
std::array<double, 2> normal_pair(std::uint64_t seed, std::uint32_t layer, std::uint64_t index) {
  for (std::uint64_t attempt = 0;; ++attempt) {
    const auto words = philox64(seed, Stream::init, layer, index << 8 | attempt);
    const double u = 2 * to_unit(words[0]) - 1, v = 2 * to_unit(words[1]) - 1;
    const double s = u * u + v * v;
    if (s >= 1 || s == 0) continue;
    double log_s = 0;
    kernels<double>().log(1, &s, &log_s);
    const double factor = std::sqrt(-2 * log_s / s);
    return {u * factor, v * factor};
  }
}

}  // namespace

template <class T>
void init_weights(Init init, std::uint64_t seed, Index layer, MatrixView<T> weights) {
  const Index n_in = weights.cols, n_out = weights.rows, count = n_in * n_out;
  if (init == Init::given) {
    for (Index j = 0; j < count; ++j) weights(j / n_in, j % n_in) = 0;
    return;
  }
  const bool glorot = init == Init::glorot_uniform || init == Init::glorot_normal;
  const bool he = init == Init::he_uniform || init == Init::he_normal;
  const double fan = static_cast<double>(glorot ? n_in + n_out : 2 * n_in) / 2;  // the variance is 1/fan or 2/fan
  const double variance = (he ? 2.0 : 1.0) / fan;
  const bool normal = init == Init::glorot_normal || init == Init::he_normal || init == Init::lecun_normal;
  const double scale = std::sqrt(normal ? variance : 3 * variance);
  for (Index i = 0; i < count; i += 2) {
    const auto number = static_cast<std::uint64_t>(i / 2);
    std::array<double, 2> pair;
    if (normal) {
      pair = normal_pair(seed, static_cast<std::uint32_t>(layer), number);
    } else {
      const auto words = philox64(seed, Stream::init, static_cast<std::uint32_t>(layer), number);
      pair = {2 * to_unit(words[0]) - 1, 2 * to_unit(words[1]) - 1};
    }
    for (Index j = i; j < std::min(i + 2, count); ++j)
      weights(j / n_in, j % n_in) = static_cast<T>(scale * pair[static_cast<std::size_t>(j - i)]);
  }
}

template void init_weights(Init, std::uint64_t, Index, MatrixView<float>);
template void init_weights(Init, std::uint64_t, Index, MatrixView<double>);

}  // namespace chainrule
