#include "net/panels.h"

#include <algorithm>
#include <cmath>

namespace chainrule {
namespace {

Index whole_lines(Index n) { return (n + 15) / 16 * 16; }

}  // namespace

template <class T>
Panels<T>::Panels(const Model<T>& model) {
  for (const auto& layer : model.layers) {
    const bool row = layer.n_out == 1;
    const Index weights = size_;
    const Index biases = weights + whole_lines(row ? layer.n_in : PanelView<T>::size(layer.n_in, layer.n_out));
    layers_.push_back({layer.n_in, layer.n_out, layer.offset, weights, biases});
    size_ = biases + whole_lines(layer.n_out);
  }
}

template <class T>
Place<T> Panels<T>::outputs(std::size_t l, Index first, T* array) const {
  T* weights = array + layers_[l].weights;
  return is_row(l) ? Place<T>{weights, 1} : Place<T>{weights + first * layers_[l].n_in, 0, layers_[l].n_in};
}

template <class T>
template <class Pair>
void Panels<T>::for_rows(std::size_t l, const WeightBlock& block, Pair pair) const {
  const Layer& layer = layers_[l];
  const auto [outputs, inputs] = block;
  for_panels(l, block, [&](Index first, Share weights) {
    const Index count = std::min<Index>(kernels<T>().tile_columns, layer.n_out - first);
    const Index step = (weights.end - weights.begin) / (inputs.end - inputs.begin);
    for (Index p = inputs.begin; p < inputs.end; ++p, weights.begin += step)
      pair(layer.flat + p * layer.n_out + first, weights.begin, count);
  });
  if (inputs.end == layer.n_in)
    pair(layer.flat + layer.n_in * layer.n_out + outputs.begin, layer.biases + outputs.begin,
         outputs.end - outputs.begin);
}

template <class T>
void Panels<T>::load(const T* flat, T* array) const {
  for (std::size_t l = 0; l < layers_.size(); ++l)
    for_rows(l, all_of(l), [&](Index from, Index to, Index count) { std::copy_n(flat + from, count, array + to); });
}

template <class T>
void Panels<T>::store(std::size_t l, const WeightBlock& block, const T* array, T* flat) const {
  for_rows(l, block, [&](Index to, Index from, Index count) { std::copy_n(array + from, count, flat + to); });
}

template <class T>
void Panels<T>::store(const T* array, T* flat) const {
  for (std::size_t l = 0; l < layers_.size(); ++l) store(l, all_of(l), array, flat);
}

template <class T>
bool Panels<T>::finite(const T* array) const {
  double squares = 0;
  for (std::size_t l = 0; l < layers_.size(); ++l)
    for_rows(l, all_of(l),
             [&](Index, Index at, Index count) { squares += kernels<T>().sum_of_squares(count, array + at); });
  return std::isfinite(squares);
}

template class Panels<float>;
template class Panels<double>;

}  // namespace chainrule
