#include "net/network.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/fork.h"
#include "net/backprop.h"
#include "net/binned.h"
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

std::vector<double> default_loss_parameters(Loss loss) {
  const LossParameter& parameter = traits_of(loss).parameter;
  return parameter.name != nullptr ? std::vector{parameter.value} : std::vector<double>{};
}

std::vector<double> checked_loss_parameters(Loss loss, std::vector<double> parameters, Index outputs) {
  const LossParameter& parameter = traits_of(loss).parameter;
  const char* name = loss_names[static_cast<int>(loss)];
  require(parameters.empty() || parameter.name != nullptr, name, " has no parameters");
  if (parameters.empty()) parameters = default_loss_parameters(loss);
  const auto count = static_cast<std::size_t>(parameter.one_per_output ? outputs : 1);
  require(parameter.name == nullptr || parameters.size() == count, name, " has ", parameters.size(),
          parameters.size() == 1 ? " value for " : " values for ", parameter.name, ", expected ", count);
  if (parameter.name != nullptr) check_range(parameter.name, "", parameters, parameter.allowed);
  return parameters;
}

void check_inputs(Index columns, Index expected) {
  require(columns == expected, "X has ", columns, " columns, the network expects ", expected);
}

template <class T>
void check_inputs(const Inputs<T>& x, Index expected) {
  check_inputs(x.cols, expected);
  if (x.is_binned()) return check_binned(x.binned);
  if (!x.is_sparse()) return;
  const SparseView<T>& s = x.sparse;
  require(s.indptr[0] >= 0, "X is not in CSR form: indptr[0] is ", s.indptr[0]);
  for (Index i = 0; i < s.rows; ++i) {
    require(s.indptr[i] <= s.indptr[i + 1], "X is not in CSR form: indptr decreases after row ", i);
    std::int32_t before = -1;
    for (Index k = s.indptr[i]; k < s.indptr[i + 1]; before = s.indices[k++])
      require(s.indices[k] > before && s.indices[k] < s.cols, "X has column ", s.indices[k], " in row ", i,
              ", expected columns from 0 to ", s.cols - 1, " in ascending order");
  }
}

void check_l2(double l2) { require(l2 >= 0 && std::isfinite(l2), "l2 is ", l2, ", expected 0 or more"); }

template <class T>
void check_targets(Loss loss, const Targets<T>& targets, Index rows, Index outputs) {
  if (targets.labels != nullptr) {
    require(traits_of(loss).output == Output::softmax,
            "y holds class numbers, which need the loss softmax_cross_entropy");
    for (Index i = 0; i < rows; ++i)
      require(targets.labels[i] >= 0 && targets.labels[i] < outputs, "y[", i, "] is class ", targets.labels[i],
              ", the network has classes 0 to ", outputs - 1);
    return;
  }
  const MatrixView<const T>& y = targets.values;
  require(y.rows == rows && y.cols == outputs, "y has shape (", y.rows, ", ", y.cols, "), expected (", rows, ", ",
          outputs, ")");
  if (targets.missing) {
    require(outputs > 1 && traits_of(loss).output != Output::softmax && !traits_of(loss).parameter.one_per_output,
            "masked targets need at least two outputs and a loss that is summed over the outputs; this network has ",
            outputs, outputs == 1 ? " output" : " outputs", " and the loss ", loss_names[static_cast<int>(loss)]);
    for (Index j = 0; j < outputs; ++j) {
      Index i = 0;
      while (i < rows && std::isnan(y(i, j))) ++i;
      require(rows == 0 || i < rows, "y has no target in column ", j, ": every row is masked");
    }
  }
  const Range& allowed = traits_of(loss).targets;
  if (traits_of(loss).unit_free()) return;
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < outputs; ++j) {
      const auto value = static_cast<double>(y(i, j));
      if (std::isnan(value) || allowed.holds(value)) continue;
      require(false, "y[", i, ", ", j, "] is ", value, ", ", loss_names[static_cast<int>(loss)], " expects ",
              range_text(allowed, "y"));
    }
}

template <class T>
void check_weights(const T* weights, Index rows, bool zeros) {
  if (weights == nullptr || rows == 0) return;
  double sum = 0;
  for (Index i = 0; i < rows; ++i) {
    require(weights[i] >= 0 && std::isfinite(weights[i]), "sample_weight[", i, "] is ", weights[i],
            ", expected a non-negative number");
    sum += static_cast<double>(weights[i]);
  }
  require(zeros || sum > 0, "sample_weight is 0 for every row");
}

template <class T>
void check_examples(const Model<T>& model, const Examples<T>& examples) {
  check_inputs(examples.x, model.inputs());
  if (model.custom_loss == nullptr) check_targets(model.loss, examples.targets, examples.x.rows, model.outputs());
  check_weights(examples.weights, examples.x.rows);
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

namespace {

void check_part(const BatchPart& part, Index rows, Index hidden_layers) {
  const Index end = part.first + rows;
  require(rows > 0, "a part of a batch needs at least one row");
  require(part.first >= 0 && end <= part.batch_rows, "the part has rows ", part.first, " to ", end - 1,
          ", the batch has rows 0 to ", part.batch_rows - 1);
  const auto leaves = [](Index n) { return (n + sum_rows - 1) / sum_rows; };
  require(part.first % sum_rows == 0 && (rows % sum_rows == 0 || end == part.batch_rows) &&
              is_run(part.first / sum_rows, leaves(rows), leaves(part.batch_rows)),
          "the rows ", part.first, " to ", end - 1, " of ", part.batch_rows, " are not an aligned part: expected ",
          sum_rows,
          " * 2^j rows that begin at a multiple of their number, or the last n rows of the batch, beginning at a "
          "multiple of ",
          sum_rows, " * 2^j, where ", sum_rows, " * 2^j >= n");
  require(part.batch_weight >= 0 && std::isfinite(part.batch_weight), "total_weight is ", part.batch_weight,
          ", expected a non-negative number");
  require(part.step >= 0, "step is ", part.step, ", expected 0 or more");
  require(part.dropout.size() <= 1 || static_cast<Index>(part.dropout.size()) == hidden_layers, "dropout has ",
          part.dropout.size(), " entries, the network has ", hidden_layers, " hidden layers");
  const auto check_rate = [](const char* name, double rate) {
    require(rate >= 0 && rate < 1, name, " is ", rate, ", expected 0 <= ", name, " < 1");
  };
  check_rate("input_dropout", part.input_dropout);
  for (const double rate : part.dropout) check_rate("dropout", rate);
}

}  // namespace

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
  template void check_inputs(const Inputs<T>&, Index);                                          \
  template void check_targets(Loss, const Targets<T>&, Index, Index);                           \
  template void check_weights(const T*, Index, bool);                                           \
  template void check_examples(const Model<T>&, const Examples<T>&);                            \
  template class OneFit<T>;                                                                     \
  template class Network<T>;
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
