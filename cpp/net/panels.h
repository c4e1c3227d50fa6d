// How training keeps parameters, their gradients and their moments: Wᵀ of each layer in the panels that the forward
// product reads, with its biases behind it. So nothing is packed for that product, a tile of dWᵀ is written in one
// piece, and what belongs to the outputs of one thread lies together, apart from what another thread writes.
#pragma once

#include "core/gemm.h"
#include "net/model.h"

namespace chainrule {

// Some of a layer's weights: whole panels of outputs, or up to the last output, and of their inputs either all or
// some. The outputs' biases belong to their last inputs.
struct WeightBlock {
  Share outputs, inputs;
};

template <class T>
class Panels {
 public:
  Panels() = default;  // of no layers
  explicit Panels(const Model<T>& model);

  Index size() const { return size_; }  // of an array, its padding included, which begins and stays 0
  // W of a single output is one row, without panels.
  bool is_row(std::size_t l) const { return layers_[l].n_out == 1; }
  PanelView<T> weights(std::size_t l, T* array) const {
    return {array + layers_[l].weights, layers_[l].n_in, layers_[l].n_out};
  }
  Place<T> outputs(std::size_t l, Index first, T* array) const;  // where dWᵀ of the outputs from `first` on begins
  T* biases(std::size_t l, T* array) const { return array + layers_[l].biases; }
  // Calls visit(first output, elements) for the weights of each panel.
  template <class Visit>
  void for_panels(std::size_t l, const WeightBlock& block, Visit visit) const {
    const Layer& layer = layers_[l];
    const Index width = is_row(l) ? 1 : kernels<T>().tile_columns, inputs = block.inputs.end - block.inputs.begin;
    for (Index first = block.outputs.begin; first < block.outputs.end; first += width) {
      const Index step = is_row(l) ? 1 : PanelView<T>::padded(std::min(width, layer.n_out - first));
      const Index begin = layer.weights + first * layer.n_in + block.inputs.begin * step;
      visit(first, Share{begin, begin + inputs * step});
    }
  }

  // From and to the flat layout of Network::parameters().
  void load(const T* flat, T* array) const;
  void store(std::size_t l, const WeightBlock& block, const T* array, T* flat) const;
  void store(const T* array, T* flat) const;
  bool finite(const T* array) const;  // whether all numbers are; the padding is nobody's

 private:
  struct Layer {
    Index n_in, n_out, flat, weights, biases;
  };
  // Calls pair(flat, panel, count): both hold the same numbers, for a part of a row of Wᵀ or of the biases.
  template <class Pair>
  void for_rows(std::size_t l, const WeightBlock& block, Pair pair) const;
  WeightBlock all_of(std::size_t l) const { return {{0, layers_[l].n_out}, {0, layers_[l].n_in}}; }

  std::vector<Layer> layers_;
  Index size_ = 0;
};

}  // namespace chainrule
