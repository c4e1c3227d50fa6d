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
Share Panels<T>::weights_of(std::size_t l, Share outputs) const {
  const Layer& layer = layers_[l];
  const Index width = is_row(l) ? 1 : PanelView<T>::padded(outputs.end) - outputs.begin;
  const Index begin = layer.weights + outputs.begin * layer.n_in;
  return {begin, begin + width * layer.n_in};
}

template <class T>
Share Panels<T>::biases_of(std::size_t l, Share outputs) const {
  return {layers_[l].biases + outputs.begin, layers_[l].biases + outputs.end};
}

template <class T>
template <class Pair>
void Panels<T>::for_rows(std::size_t l, Share outputs, Pair pair) const {
  const Layer& layer = layers_[l];
  const Index width = kernels<T>().tile_columns;
  for (Index first = outputs.begin; first < outputs.end; first += width) {
    const Index count = std::min(width, layer.n_out - first), step = is_row(l) ? 1 : PanelView<T>::padded(count);
    for (Index p = 0; p < layer.n_in; ++p)
      pair(layer.flat + p * layer.n_out + first, layer.weights + first * layer.n_in + p * step, count);
  }
  pair(layer.flat + layer.n_in * layer.n_out + outputs.begin, layer.biases + outputs.begin,
       outputs.end - outputs.begin);
}

template <class T>
void Panels<T>::load(const T* flat, T* array) const {
  for (std::size_t l = 0; l < layers_.size(); ++l)
    for_rows(l, {0, layers_[l].n_out},
             [&](Index from, Index to, Index count) { std::copy_n(flat + from, count, array + to); });
}

template <class T>
void Panels<T>::store(std::size_t l, Share outputs, const T* array, T* flat) const {
  for_rows(l, outputs, [&](Index to, Index from, Index count) { std::copy_n(array + from, count, flat + to); });
}

template <class T>
void Panels<T>::store(const T* array, T* flat) const {
  for (std::size_t l = 0; l < layers_.size(); ++l) store(l, {0, layers_[l].n_out}, array, flat);
}

template <class T>
bool Panels<T>::finite(const T* array) const {
  double squares = 0;
  for (std::size_t l = 0; l < layers_.size(); ++l)
    for_rows(l, {0, layers_[l].n_out},
             [&](Index, Index at, Index count) { squares += kernels<T>().sum_of_squares(count, array + at); });
  return std::isfinite(squares);
}

template class Panels<float>;
template class Panels<double>;

}  // namespace chainrule
