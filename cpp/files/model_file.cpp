#include "files/model_file.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>

#include "core/buffer.h"
#include "core/check.h"
#include "files/json.h"
#include "files/safetensors.h"
#include "net/checks.h"
#include "net/network.h"

namespace chainrule {
namespace {

constexpr std::uint64_t format = 1;
constexpr const char* metadata_key = "chainrule";         // metadata entry of the configuration
constexpr const char* checksum_key = "chainrule.sha256";  // files from before the first release have none
constexpr const char* dtype_names[] = {"float32", "float64"};
constexpr const char* tensor_dtypes[] = {"F32", "F64"};

template <class T>
constexpr int type_number = sizeof(T) == 4 ? 0 : 1;

std::string weights_name(std::size_t layer) { return "weights." + std::to_string(layer); }
std::string biases_name(std::size_t layer) { return "biases." + std::to_string(layer); }

// All properties of a network except its parameters.
struct Configuration {
  std::vector<Index> sizes;
  NetworkOptions options;
  int dtype = 0;  // index into the lists above
};

// Rejects files of a later format version before anything else in them is read.
void check_format(const std::string& path, const std::string& configuration) {
  std::uint64_t version = 0;
  std::string writer = "?";
  JsonReader json(configuration);
  json.object([&](const std::string& name) {
    if (name == "format") {
      version = json.whole_number();
    } else if (name == "version" && json.next_is('"')) {
      writer = json.string();
    } else {
      json.skip();
    }
  });
  json.end();
  require(version > 0, "its configuration has no format version");
  if (version > format)
    throw FileError(text_of(path, " has format ", version, " (written by chainrule ", beginning(writer, 20),
                            "), but chainrule ", CHAINRULE_VERSION, " reads only up to format ", format,
                            ": upgrade chainrule"));
}

// partial: only layer_sizes is required, but unknown entries are rejected.
Configuration read_configuration(std::string_view text, bool partial) {
  Configuration c;
  NetworkOptions& o = c.options;
  JsonReader json(text);
  std::map<std::string, std::function<void()>> fields = {
      {"layer_sizes",
       [&] { json.array([&] { c.sizes.push_back(static_cast<Index>(json.whole_number(PTRDIFF_MAX))); }); }},
      {"activations",
       [&] {
         json.array(
             [&] { o.activations.push_back(from_name<Activation>(json.string(), activation_names, "activation")); });
       }},
      {"loss", [&] { o.loss = from_name<Loss>(json.string(), loss_names, "loss"); }},
      {"loss_parameters", [&] { json.array([&] { o.loss_parameters.push_back(json.number()); }); }},
      {"init", [&] { o.init = from_name<Init>(json.string(), init_names, "init"); }},
      {"seed", [&] { o.seed = json.whole_number(); }},
      {"dtype", [&] { c.dtype = from_name<int>(json.string(), dtype_names, "dtype"); }},
  };
  json.object([&](const std::string& name) {
    const auto field = fields.find(name);
    if (field == fields.end()) {
      require(!partial, "'", beginning(name, 100), "' is unknown");
      return json.skip();
    }
    field->second();
    fields.erase(field);
  });
  json.end();
  fields.erase("loss_parameters");  // optional: only some losses have parameters
  if (partial) {
    require(!fields.contains("layer_sizes"), "it lacks layer_sizes");
    return c;
  }
  require(fields.empty(), "its configuration lacks ", fields.empty() ? "" : fields.begin()->first);
  require(c.sizes.size() >= 2 && o.activations.size() == c.sizes.size() - 2, "it has ", o.activations.size(),
          " activations for ", c.sizes.size(), " layer sizes");
  return c;
}

void check_tensors(const Configuration& c, const Tensors& tensors, bool with_state) {
  const auto check = [&](const std::string& name, const std::vector<Index>& shape) {
    const auto tensor = tensors.find(name);
    require(tensor != tensors.end(), "it lacks tensor ", name);
    require(tensor->second.shape == shape, name, " has a shape that does not match layer_sizes");
    require(tensor->second.dtype == tensor_dtypes[c.dtype], name, " is ", tensor->second.dtype, ", expected ",
            tensor_dtypes[c.dtype]);
  };
  const std::size_t layers = c.sizes.size() - 1;
  for (std::size_t l = 0; l < layers; ++l) {
    check(weights_name(l), {c.sizes[l + 1], c.sizes[l]});
    check(biases_name(l), {c.sizes[l + 1]});
  }
  require(with_state || tensors.size() == 2 * layers, "it has ", tensors.size(), " tensors, expected ", 2 * layers);
}

// A model with NaN or infinite parameters predicts only NaN, or wrong numbers.
template <class T>
void require_finite(const Network<T>& network, const char* what) {
  for (const T value : network.parameters())
    require(std::isfinite(value), what, " hold NaN or infinity, expected finite numbers");
}

// A file stores W row-major, a network column-major.
template <class T>
Network<T> make_network(const Configuration& c, const Tensors& tensors) {
  Network<T> network(c.sizes, c.options);
  for (Index l = 0; l < network.layers(); ++l) {
    const MatrixView<T> w = network.weights(l);
    const char* from = tensors.at(weights_name(static_cast<std::size_t>(l))).bytes.data();
    for (Index i = 0; i < w.rows; ++i)
      for (Index j = 0; j < w.cols; ++j, from += sizeof(T)) std::memcpy(&w(i, j), from, sizeof(T));
    const std::string_view biases = tensors.at(biases_name(static_cast<std::size_t>(l))).bytes;
    std::memcpy(network.biases(l).data(), biases.data(), biases.size());
  }
  require_finite(network, "its weights or biases");
  return network;
}

template <class T>
std::string configuration_of(const Network<T>& network) {
  std::string text = text_of("{\"format\": ", format, ", \"version\": ", json_string(CHAINRULE_VERSION));
  const auto list = [&](const char* key, const auto& values, auto write) {
    text += text_of(", \"", key, "\": [");
    for (const char* comma = ""; const auto& value : values) text += std::exchange(comma, ", ") + write(value);
    text += "]";
  };
  list("layer_sizes", network.layer_sizes(), [](Index size) { return std::to_string(size); });
  list("activations", network.activations(),
       [](Activation a) { return json_string(activation_names[static_cast<int>(a)]); });
  text += ", \"loss\": " + json_string(loss_names[static_cast<int>(network.loss())]);
  if (network.loss_parameters() != default_loss_parameters(network.loss()))
    list("loss_parameters", network.loss_parameters(), json_number);
  text += ", \"init\": " + json_string(init_names[static_cast<int>(network.init())]);
  text += ", \"seed\": " + std::to_string(network.seed());
  return text + ", \"dtype\": " + json_string(dtype_names[type_number<T>]) + "}";
}

}  // namespace

AnyNetwork read_model(const std::string& path, std::string_view file, Metadata* metadata, Tensors* state) {
  Container container;
  try {
    container = read_container(file);
  } catch (const std::invalid_argument& error) {
    throw FileError(path + " is not a safetensors file that can be read: " + error.what());
  }
  const auto checksum = container.metadata.extract(checksum_key);
  if (!checksum.empty() && checksum.mapped() != checksum_of(container))
    throw FileError(text_of(path,
                            " is damaged: its content does not have the checksum that it was saved with (a program "
                            "that changes a model must remove the metadata entry '",
                            checksum_key, "')"));
  const auto configuration = container.metadata.extract(metadata_key);
  if (configuration.empty())
    throw FileError(text_of(path, " is not a chainrule model: its metadata has no entry '", metadata_key, "'"));
  try {
    check_format(path, configuration.mapped());
    const Configuration c = read_configuration(configuration.mapped(), false);
    check_tensors(c, container.tensors, state != nullptr);
    AnyNetwork network = c.dtype == 0 ? AnyNetwork(make_network<float>(c, container.tensors))
                                      : AnyNetwork(make_network<double>(c, container.tensors));
    if (metadata != nullptr) *metadata = std::move(container.metadata);
    if (state != nullptr) {
      for (std::size_t l = 0; l + 1 < c.sizes.size(); ++l)
        for (const std::string& name : {weights_name(l), biases_name(l)}) container.tensors.erase(name);
      *state = std::move(container.tensors);
    }
    return network;
  } catch (const std::invalid_argument& error) {
    throw FileError(path + " is a damaged chainrule model: " + error.what());
  }
}

AnyNetwork new_network(std::string_view configuration) {
  const Configuration c = read_configuration(configuration, true);
  return c.dtype == 0 ? AnyNetwork(Network<float>(c.sizes, c.options))
                      : AnyNetwork(Network<double>(c.sizes, c.options));
}

template <class T>
std::string write_model(const Network<T>& network, const Metadata& metadata, const Tensors& state) {
  Container container{metadata, state};
  for (const auto& [key, text] : metadata) require(is_utf8(key) && is_utf8(text), "the metadata is not UTF-8");
  for (const auto& [name, tensor] : state) require(is_utf8(name), "a name of the state is not UTF-8");
  for (const char* key : {metadata_key, checksum_key})
    require(!metadata.contains(key), "the metadata key '", key, "' is reserved: choose another name");
  require_finite(network, "the network's parameters");
  container.metadata[metadata_key] = configuration_of(network);

  const Model<T>& model = model_of(network);
  const auto bytes = [](const T* values, Index count) {
    return std::string_view(reinterpret_cast<const char*>(values), static_cast<std::size_t>(count) * sizeof(T));
  };
  const std::string dtype = tensor_dtypes[type_number<T>];
  std::vector<Buffer<T>> rows;  // of W
  rows.reserve(model.layers.size());
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    const Layer<T>& layer = model.layers[l];
    const Index inputs = layer.n_in, outputs = layer.n_out;
    T* to = rows.emplace_back(inputs * outputs).data();
    for (Index i = 0; i < outputs; ++i)
      for (Index j = 0; j < inputs; ++j) *to++ = layer.weights()(i, j);
    container.tensors[weights_name(l)] = {dtype, {outputs, inputs}, bytes(rows.back().data(), inputs * outputs)};
    container.tensors[biases_name(l)] = {dtype, {outputs}, bytes(layer.b, outputs)};
  }
  container.metadata[checksum_key] = checksum_of(container);
  return write_container(container);
}

template std::string write_model(const Network<float>&, const Metadata&, const Tensors&);
template std::string write_model(const Network<double>&, const Metadata&, const Tensors&);

}  // namespace chainrule
