#include "net/network.h"

#include <algorithm>

#include "core/check.h"
#include "core/fork.h"
#include "net/backprop.h"
#include "net/checks.h"
#include "net/init.h"
#include "net/predict.h"

namespace chainrule {

template <class T>
Model<T> make_model(const std::vector<Index>& sizes, const std::vector<Activation>& activations, Loss loss,
                    const std::vector<double>& loss_parameters, const T* parameters) {
  Model<T> model{{}, loss, {}};
  for (const double parameter : loss_parameters) model.loss_parameters.push_back(static_cast<T>(parameter));
  Index offset = 0;
  for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
    const T* w = parameters + offset;
    model.layers.push_back({sizes[l], sizes[l + 1], w, w + sizes[l] * sizes[l + 1],
                            l < activations.size() ? activations[l] : Activation::identity, offset});
    offset += model.layers.back().size();
  }
  return model;
}

template <class T>
struct Network<T>::State {
  std::vector<Index> sizes;
  std::vector<Activation> activations;
  Loss loss;
  std::vector<double> loss_parameters;
  Init init;
  std::uint64_t seed;
  Buffer<T> parameters;
  Model<T> model = make_model(sizes, activations, loss, loss_parameters, parameters.data());
  std::atomic<unsigned> trained_by{0};
};

namespace {

// Incremented in a forked child, because fits in other threads of the parent do not continue there.
std::atomic<unsigned> process{1};
const AtFork increment_in_child(nullptr, [] { ++process; });

}  // namespace

template <class T>
OneFit<T>::OneFit(Network<T>& network) : trained_by_(&network.state_->trained_by) {
  unsigned other = *trained_by_;
  if (other == process || !trained_by_->compare_exchange_strong(other, process))
    throw std::runtime_error("the network is being trained by another call; train a copy of it, or wait");
}

template <class T>
const Model<T>& model_of(const Network<T>& network) {
  return network.state_->model;
}

template <class T>
Model<T> model_for(const Network<T>& network, const Inputs<T>& x) {
  Model<T> model = model_of(network);
  model.sparse_inputs = x.is_sparse();
  model.reads_inputs = x.reader != nullptr;
  model.binned_inputs = x.binned.layout;
  return model;
}

template <class T>
Network<T>::Network(std::vector<Index> layer_sizes, const NetworkOptions& options, std::span<const T> parameters) {
  require(layer_sizes.size() >= 2, "layer_sizes has ", layer_sizes.size(),
          " entries, expected the number of inputs, of units in each hidden layer, and of outputs");
  Index count = 0;
  for (std::size_t l = 0; l < layer_sizes.size(); ++l) {
    require(layer_sizes[l] > 0, "layer_sizes[", l, "] is ", layer_sizes[l], ", expected at least 1");
    if (l == 0) continue;
    const Index weights = checked_product(layer_sizes[l], layer_sizes[l - 1]);
    if (__builtin_add_overflow(count, weights, &count) || __builtin_add_overflow(count, layer_sizes[l], &count))
      throw std::bad_alloc();
  }
  const std::size_t hidden = layer_sizes.size() - 2;
  std::vector<Activation> activations = options.activations;
  if (activations.empty()) activations.assign(hidden, options.activation);
  require(activations.size() == hidden, "activations has ", activations.size(), " entries, the network has ", hidden,
          " hidden layers");
  require(traits_of(options.loss).output != Output::softmax || layer_sizes.back() > 1,
          "softmax_cross_entropy needs at least 2 outputs; for two classes with one output, use binary_cross_entropy");
  require(parameters.empty() || std::ssize(parameters) == count, "parameters has ", parameters.size(),
          " entries, the network has ", count);
  std::vector<double> loss_parameters =
      checked_loss_parameters(options.loss, options.loss_parameters, layer_sizes.back());
  state_.reset(new State{std::move(layer_sizes), std::move(activations), options.loss, std::move(loss_parameters),
                         parameters.empty() ? options.init : Init::given, options.seed, Buffer<T>(count)});
  if (!parameters.empty()) {
    std::ranges::copy(parameters, state_->parameters.begin());
    return;
  }
  for (Index l = 0; l < layers(); ++l) {
    const MatrixView<T> w = weights(l);
    init_weights<T>(options.init, options.seed, l, w);
  }
}

template <class T>
Network<T>::Network(const Network& other)
    : state_(new State{other.state_->sizes, other.state_->activations, other.state_->loss,
                       other.state_->loss_parameters, other.state_->init, other.state_->seed,
                       other.state_->parameters}) {}
template <class T>
Network<T>::Network(Network&&) noexcept = default;
template <class T>
Network<T>& Network<T>::operator=(Network other) noexcept {
  state_.swap(other.state_);
  return *this;
}
template <class T>
Network<T>::~Network() = default;

template <class T>
const std::vector<Index>& Network<T>::layer_sizes() const {
  return state_->sizes;
}
template <class T>
const std::vector<Activation>& Network<T>::activations() const {
  return state_->activations;
}
template <class T>
Loss Network<T>::loss() const {
  return state_->loss;
}
template <class T>
const std::vector<double>& Network<T>::loss_parameters() const {
  return state_->loss_parameters;
}
template <class T>
Init Network<T>::init() const {
  return state_->init;
}
template <class T>
std::uint64_t Network<T>::seed() const {
  return state_->seed;
}
template <class T>
std::span<T> Network<T>::parameters() {
  return {state_->parameters.begin(), state_->parameters.end()};
}
template <class T>
std::span<const T> Network<T>::parameters() const {
  return {state_->parameters.begin(), state_->parameters.end()};
}

template <class T>
MatrixView<T> Network<T>::weights(Index layer) {
  require(layer >= 0 && layer < layers(), "layer is ", layer, ", expected 0 to ", layers() - 1);
  const Layer<T>& at = model_of(*this).layers.at(static_cast<std::size_t>(layer));
  return MatrixView<T>::contiguous(parameters().data() + at.offset, at.n_in, at.n_out).transposed();
}
template <class T>
std::span<T> Network<T>::biases(Index layer) {
  const MatrixView<T> w = weights(layer);
  return {w.data + w.rows * w.cols, static_cast<std::size_t>(w.rows)};
}

namespace {

template <class T>
void checked_predict(const Model<T>& model, const Inputs<T>& x, MatrixView<T> out, bool activation, int threads) {
  check_inputs(x, model.inputs());
  require(out.rows == x.rows && out.cols == model.outputs() && (out.col_stride == 1 || out.cols == 1),
          "out has shape (", out.rows, ", ", out.cols, "), expected (", x.rows, ", ", model.outputs(),
          ") with unit column stride");
  chainrule::predict<T>(model, x, out, activation, threads);
}

template <class T>
void checked_predict(const Network<T>& network, const Inputs<T>& x, MatrixView<T> out, bool activation, int threads) {
  const bool dense = x.matrix.data != nullptr;
  const Model<T> other = dense ? Model<T>{} : model_for(network, x);
  checked_predict(dense ? model_of(network) : other, x, out, activation, threads);
}

}  // namespace

template <class T>
void Network<T>::logits(Inputs<T> x, MatrixView<T> out, int threads) const {
  checked_predict(*this, x, out, false, threads);
}
template <class T>
void Network<T>::predict(Inputs<T> x, MatrixView<T> out, int threads) const {
  checked_predict(*this, x, out, true, threads);
}
template <class T>
void Network<T>::hidden_activations(Inputs<T> x, Index layer, MatrixView<T> out, int threads) const {
  require(layers() > 1, "the network has no hidden layer");
  require(layer >= 0 && layer < layers() - 1, "layer is ", layer, ", expected 0 to ", layers() - 2);
  Model<T> model = model_for(*this, x);
  model.layers.resize(static_cast<std::size_t>(layer + 1));
  model.ends_hidden = true;
  checked_predict(model, x, out, false, threads);
}

template <class T>
double Network<T>::cost(const Examples<T>& examples, double l2, int threads) const {
  const Model<T> model = model_for(*this, examples.x);
  check_examples(model, examples);
  check_l2(l2);
  return Backprop<T>(model, examples.x.rows, false, threads).run(examples, nullptr, examples.x.rows, l2).mean;
}

template <class T>
double Network<T>::gradients(const Examples<T>& examples, std::span<T> gradients, double l2, const MatrixView<T>* dx,
                             int threads, const CustomLoss<T>* loss) const {
  Model<T> model = model_for(*this, examples.x);
  model.custom_loss = loss;
  check_examples(model, examples);
  check_l2(l2);
  require(gradients.size() == parameters().size(), "gradients has ", gradients.size(), " elements, expected ",
          parameters().size());
  require(dx == nullptr || !examples.x.is_sparse(),
          "the gradient with respect to X is not available for sparse or binned rows");
  require(dx == nullptr || (dx->rows == examples.x.rows && dx->cols == examples.x.cols && dx->col_stride == 1),
          "dx needs the shape of X and unit column stride");
  return Backprop<T>(model, examples.x.rows, true, threads, dx != nullptr)
      .run(examples, nullptr, examples.x.rows, l2, {gradients.data()}, dx)
      .mean;
}

template <class T>
std::vector<double> Network<T>::partial_gradients(const Examples<T>& examples, const BatchPart& part,
                                                  std::span<T> gradients, int threads) const {
  const Index rows = examples.x.rows;
  Model<T> model = model_for(*this, examples.x);
  check_inputs(examples.x, model.inputs());
  require(!examples.x.is_binned() || part.input_dropout == 0, "input_dropout is not available for binned rows");
  check_part(part, rows, layers() - 1);
  check_targets(model.loss, examples.targets, rows, model.outputs());
  check_weights(examples.weights, rows, true);
  require(gradients.size() == parameters().size(), "gradients has ", gradients.size(), " elements, expected ",
          parameters().size());
  StepDropout dropout(part.input_dropout, part.dropout, layers() - 1);
  dropout.begin_step(part.seed, part.step, 1);
  if (dropout.drops()) model.dropout = &dropout;
  std::vector<double> losses;
  Backprop<T> backprop(model, rows, true, threads);
  backprop.compute_part(part, losses);
  backprop.run(examples, nullptr, rows, 0, {gradients.data()});
  return losses;
}

#define CHAINRULE_INSTANTIATE(T)                                                                \
  template Model<T> make_model(const std::vector<Index>&, const std::vector<Activation>&, Loss, \
                               const std::vector<double>&, const T*);                           \
  template const Model<T>& model_of(const Network<T>&);                                         \
  template Model<T> model_for(const Network<T>&, const Inputs<T>&);                             \
  template class OneFit<T>;                                                                     \
  template class Network<T>;
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
