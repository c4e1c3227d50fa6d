// The layout of parameters, gradients and moments during training: Wᵀ of each layer in the panels that the forward
// product reads, followed by the biases. So the forward product needs no packing, a tile of dWᵀ is contiguous, and
// threads write to different cache lines.
#pragma once

#include "core/gemm.h"
#include "net/model.h"

namespace chainrule {

// A block of a layer's weights: whole panels of outputs (the last may be partial) and a range of inputs. The biases
// belong to the block with the last inputs.
struct WeightBlock {
  Share outputs, inputs;
};

template <class T>
class Panels {
 public:
  Panels() = default;  // has no layers
  explicit Panels(const Model<T>& model);

  Index size() const { return size_; }  // elements of an array, including its padding, which is always 0
  // True if the layer has one output: W is one row, without panels.
  bool is_row(std::size_t l) const { return layers_[l].n_out == 1; }
  PanelView<T> weights(std::size_t l, T* array) const {
    return {array + layers_[l].weights, layers_[l].n_in, layers_[l].n_out};
  }
  Place<T> outputs(std::size_t l, Index first, T* array) const;  // the place of dWᵀ from output `first` on
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

  // load() copies from the flat layout of Network::parameters(), store() copies back to it.
  void load(const T* flat, T* array) const;
  void store(std::size_t l, const WeightBlock& block, const T* array, T* flat) const;
  void store(const T* array, T* flat) const;
  bool finite(const T* array) const;  // true if all elements except the padding are finite

 private:
  struct Layer {
    Index n_in, n_out, flat, weights, biases;
  };
  // Calls pair(flat, panel, count) for each piece of a row of Wᵀ, or of the biases: the positions of the same `count`
  // parameters in both layouts.
  template <class Pair>
  void for_rows(std::size_t l, const WeightBlock& block, Pair pair) const;
  WeightBlock all_of(std::size_t l) const { return {{0, layers_[l].n_out}, {0, layers_[l].n_in}}; }

  std::vector<Layer> layers_;
  Index size_ = 0;
};

}  // namespace chainrule
