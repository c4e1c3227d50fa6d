// A network as views of weights and biases in the caller's memory, and a loss. Network and the array functions both
// compute with a Model, which owns no memory.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "chainrule/network.h"
#include "kernels/kernels.h"
#include "net/dropout.h"

namespace chainrule {

template <class T>
struct Layer {
  Index n_in, n_out;
  const T* w;             // Wᵀ (n_in, n_out), row-major: the right operand of the forward product
  const T* b;             // (n_out,)
  Activation activation;  // unused in the last layer, where the loss determines the output activation
  Index offset;           // position of Wᵀ in Network::parameters(); b follows it

  Index size() const { return n_out * (n_in + 1); }
  MatrixView<const T> transposed_weights() const { return MatrixView<const T>::contiguous(w, n_in, n_out); }
  MatrixView<const T> weights() const { return transposed_weights().transposed(); }
};

template <class T>
struct Model {
  std::vector<Layer<T>> layers;
  Loss loss;
  std::vector<T> loss_parameters;
  const CustomLoss<T>* custom_loss = nullptr;     // replaces the loss
  Precision precision = Precision::float32;       // of the matrix products in training
  bool sparse_inputs = false;                     // true for binned inputs, too
  std::span<const BinnedColumn> binned_inputs{};  // their layout; empty for other inputs
  const StepDropout* dropout = nullptr;           // of the current training step, or null
  bool saves_slopes = false;                      // see saves_slope()
  bool reads_inputs = false;                      // true if the inputs come from a RowReader
  bool missing_targets = false;                   // see Targets::missing
  bool ends_hidden = false;                       // true if the last layer is a hidden one of a larger network

  // The dropout of the inputs (place 0) or of hidden layer l (place l + 1); null if nothing is dropped.
  const Dropout* dropout_of(std::size_t place) const { return dropout != nullptr ? dropout->of(place) : nullptr; }

  // True if the forward pass of hidden layer l saves g'(z), times the factors of dropout, for the backward pass instead
  // of z or a. It does so if the layer has dropout and, in training, also if g' is computed from z, because g and g'
  // then have terms in common.
  bool saves_slope(std::size_t l) const {
    return dropout_of(l + 1) != nullptr || (saves_slopes && slope_reads_z(layers[l].activation));
  }

  bool is_output(std::size_t l) const { return l + 1 == layers.size() && !ends_hidden; }
  Index inputs() const { return layers.front().n_in; }
  Index outputs() const { return layers.back().n_out; }
  // Number of columns of the widest matrix of a pass, except for sparse inputs.
  Index widest() const {
    Index width = sparse_inputs ? 0 : inputs();
    for (const Layer<T>& layer : layers) width = std::max(width, layer.n_out);
    return width;
  }
  Index parameter_count() const { return layers.back().offset + layers.back().size(); }
};

// The rows of sparse or binned inputs; empty for a matrix.
template <class T>
SparseRows<T> sparse_rows(const Inputs<T>& x, const Index* rows = nullptr) {
  const BinnedView<T>& b = x.binned;
  if (x.is_binned())
    return {
        nullptr,
        nullptr,
        nullptr,
        rows,
        {b.layout.data(), std::ssize(b.layout), b.codes, b.code_bytes, b.codes_per_row, b.values, b.values_per_row}};
  return {x.sparse.indptr, x.sparse.indices, x.sparse.values, rows};
}

// The inputs of a pass: a matrix with any strides, or sparse or binned rows. Row 0 is row `first` of the batch.
template <class T>
struct PassInputs {
  MatrixView<const T> matrix{};
  SparseRows<T> sparse{};
  Index rows = 0, first = 0;

  PassInputs(MatrixView<const T> m, Index first_row = 0) : matrix(m), rows(m.rows), first(first_row) {}
  PassInputs(MatrixView<T> m, Index first_row = 0) : PassInputs(MatrixView<const T>(m), first_row) {}
  PassInputs(SparseRows<T> s, Index count, Index first_row = 0) : sparse(s), rows(count), first(first_row) {}
  PassInputs(const Inputs<T>& x) : matrix(x.matrix), sparse(sparse_rows(x)), rows(x.rows) {}

  bool is_binned() const { return sparse.binned.layout != nullptr; }
  bool is_sparse() const { return sparse.indptr != nullptr || is_binned(); }
  PassInputs rows_between(Index begin, Index end) const {
    if (!is_sparse()) return {matrix.rows_between(begin, end), first + begin};
    SparseRows<T> part = sparse;
    if (part.rows != nullptr) {
      part.rows += begin;
    } else if (BinnedRows<T>& binned = part.binned; binned.layout != nullptr) {
      binned.codes = static_cast<const std::uint8_t*>(binned.codes) + begin * binned.codes_per_row * binned.code_bytes;
      binned.values += begin * binned.values_per_row;
    } else {
      part.indptr += begin;
    }
    return {part, end - begin, first + begin};
  }
};

// One matrix per layer (activations or their gradients), with unit column stride.
template <class T>
using Tape = std::vector<MatrixView<T>>;

}  // namespace chainrule
