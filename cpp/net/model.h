// A network as the arithmetic sees it: layers of weights and biases somewhere in memory, and a loss. Network and the
// array functions both become one of these; nothing is owned.
#pragma once

#include <algorithm>
#include <vector>

#include "chainrule/network.h"
#include "kernels/kernels.h"

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
  bool sparse_inputs = false;

  Index inputs() const { return layers.front().n_in; }
  Index outputs() const { return layers.back().n_out; }
  // Of the matrices that a row goes through, without those that are sparse.
  Index widest() const {
    Index width = sparse_inputs ? 0 : inputs();
    for (const Layer<T>& layer : layers) width = std::max(width, layer.n_out);
    return width;
  }
  Index parameter_count() const { return layers.back().offset + layers.back().size(); }
};

// The inputs of the rows of a pass: a matrix of any strides, or rows of a sparse one; and what is dropped of the
// latter.
template <class T>
struct PassInputs {
  MatrixView<const T> matrix{};
  SparseRows<T> sparse{};
  InputDropout dropout{};
  Index rows = 0;

  PassInputs(MatrixView<const T> m) : matrix(m), rows(m.rows) {}
  PassInputs(MatrixView<T> m) : PassInputs(MatrixView<const T>(m)) {}
  PassInputs(SparseRows<T> s, Index count, InputDropout d = {}) : sparse(s), dropout(d), rows(count) {}
  PassInputs(const Inputs<T>& x) : matrix(x.matrix), rows(x.rows) {
    if (x.is_sparse()) sparse = {x.sparse.indptr, x.sparse.indices, x.sparse.values, nullptr};
  }

  bool is_sparse() const { return sparse.indptr != nullptr; }
  PassInputs rows_between(Index begin, Index end) const {
    if (!is_sparse()) return matrix.rows_between(begin, end);
    SparseRows<T> part = sparse;
    (part.rows != nullptr ? part.rows : part.indptr) += begin;
    return {part, end - begin, {dropout.settings, dropout.row + begin}};
  }
};

// The rows of a matrix of activations, with unit column stride, for every layer.
template <class T>
using Tape = std::vector<MatrixView<T>>;

}  // namespace chainrule
