// Initial weights, drawn uniformly or normally with a variance that keeps the layers' signals of one size.
#pragma once

#include "chainrule/network.h"

namespace chainrule {

// W (n_out x n_in, of any strides) of layer number `layer`, a function of (seed, layer, row and column) alone:
//   glorot_uniform: U(-r, r), r = sqrt(6 / (n_in + n_out));  glorot_normal: N(0, 2 / (n_in + n_out))
//   he_uniform:     U(-r, r), r = sqrt(6 / n_in);            he_normal:     N(0, 2 / n_in)
//   lecun_uniform:  U(-r, r), r = sqrt(3 / n_in);            lecun_normal:  N(0, 1 / n_in)
//   given:          0
template <class T>
void init_weights(Init init, std::uint64_t seed, Index layer, MatrixView<T> weights);

}  // namespace chainrule
