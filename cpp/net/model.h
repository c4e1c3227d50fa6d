// A network as the arithmetic sees it: layers of weights and biases somewhere in memory, and a loss. Network and the
// array functions both become one of these; nothing is owned.
#pragma once

#include <algorithm>
#include <vector>

#include "chainrule/network.h"
#include "kernels/kernels.h"
#include "net/dropout.h"

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
  std::vector<T> loss_parameters;
  const CustomLoss<T>* custom_loss = nullptr;  // in the place of the loss
  Precision precision = Precision::float32;    // of the products of gradients
  bool sparse_inputs = false;
  const StepDropout* dropout = nullptr;  // of the present step of a training, or null

  // What that drops of the inputs (0) or of hidden layer l (l + 1); null: nothing.
  const Dropout* dropout_of(std::size_t place) const { return dropout != nullptr ? dropout->of(place) : nullptr; }

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

// The inputs of the rows of a pass, the first of which is row `first` of the batch: a matrix of any strides, or rows of
// a sparse one.
template <class T>
struct PassInputs {
  MatrixView<const T> matrix{};
  SparseRows<T> sparse{};
  Index rows = 0, first = 0;

  PassInputs(MatrixView<const T> m, Index first_row = 0) : matrix(m), rows(m.rows), first(first_row) {}
  PassInputs(MatrixView<T> m, Index first_row = 0) : PassInputs(MatrixView<const T>(m), first_row) {}
  PassInputs(SparseRows<T> s, Index count, Index first_row = 0) : sparse(s), rows(count), first(first_row) {}
  PassInputs(const Inputs<T>& x) : matrix(x.matrix), rows(x.rows) {
    if (x.is_sparse()) sparse = {x.sparse.indptr, x.sparse.indices, x.sparse.values, nullptr};
  }

  bool is_sparse() const { return sparse.indptr != nullptr; }
  PassInputs rows_between(Index begin, Index end) const {
    if (!is_sparse()) return {matrix.rows_between(begin, end), first + begin};
    SparseRows<T> part = sparse;
    (part.rows != nullptr ? part.rows : part.indptr) += begin;
    return {part, end - begin, first + begin};
  }
};

// The rows of a matrix of activations, with unit column stride, for every layer.
template <class T>
using Tape = std::vector<MatrixView<T>>;

}  // namespace chainrule
