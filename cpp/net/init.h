// Initial weights, drawn from uniform or normal distributions whose variance keeps the signals of all layers at about
// the same size.
#pragma once

#include "chainrule/network.h"

namespace chainrule {

// Sets W (n_out x n_in, any strides) of layer number `layer`. An element depends only on seed, layer, row and column:
//   glorot_uniform: U(-r, r), r = sqrt(6 / (n_in + n_out));  glorot_normal: N(0, 2 / (n_in + n_out))
//   he_uniform:     U(-r, r), r = sqrt(6 / n_in);            he_normal:     N(0, 2 / n_in)
//   lecun_uniform:  U(-r, r), r = sqrt(3 / n_in);            lecun_normal:  N(0, 1 / n_in)
//   given:          0
template <class T>
void init_weights(Init init, std::uint64_t seed, Index layer, MatrixView<T> weights);

}  // namespace chainrule
