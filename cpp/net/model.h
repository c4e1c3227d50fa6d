// A network as the arithmetic sees it: layers of weights and biases somewhere in memory, and a loss. Network and the
// array functions both become one of these; nothing is owned.
#pragma once

#include <algorithm>
#include <vector>

#include "chainrule/network.h"

namespace chainrule {

template <class T>
struct Layer {
  Index n_in, n_out;
  const T* w;             // Wᵀ (n_in, n_out), row-major: what the forward product reads as it lies
  const T* b;             // (n_out,)
  Activation activation;  // unused in the last layer: the loss decides there
  Index offset;           // of Wᵀ, and b after it, in the flat layout of Network::parameters()

  Index size() const { return n_out * (n_in + 1); }
  MatrixView<const T> transposed_weights() const { return MatrixView<const T>::contiguous(w, n_in, n_out); }
  MatrixView<const T> weights() const { return transposed_weights().transposed(); }
};

template <class T>
struct Model {
  std::vector<Layer<T>> layers;
  Loss loss;
  Precision precision = Precision::float32;  // of the products of gradients

  Index inputs() const { return layers.front().n_in; }
  Index outputs() const { return layers.back().n_out; }
  Index widest() const {
    Index width = inputs();
    for (const Layer<T>& layer : layers) width = std::max(width, layer.n_out);
    return width;
  }
  Index parameter_count() const { return layers.back().offset + layers.back().size(); }
};

// The rows of a matrix of activations, with unit column stride, for every layer.
template <class T>
using Tape = std::vector<MatrixView<T>>;

}  // namespace chainrule
