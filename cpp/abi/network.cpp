// The functions of chainrule.h for networks.
#include <algorithm>
#include <variant>
#include <vector>

#include "abi/handles.h"
#include "abi/settings.h"
#include "chainrule/files.h"
#include "core/check.h"
#include "files/model_file.h"

struct chainrule_network {
  chainrule::AnyNetwork network;
};

namespace chainrule {
namespace {

template <class T>
MatrixView<T> matrix(T* data, std::int64_t rows, std::int64_t columns, std::int64_t stride, const char* what) {
  require(rows >= 0, "the number of rows is ", rows, ", expected 0 or more");
  require(rows <= PTRDIFF_MAX / 8 / std::max(columns, stride), "the number of rows is ", rows,
          ", more than memory can hold");
  require(stride == 0 || stride >= columns, "the stride of ", what, " is ", stride, ", expected 0 or at least ",
          columns);
  require(data != nullptr || rows == 0, what, " is NULL");
  return {data, static_cast<Index>(rows), static_cast<Index>(columns),
          static_cast<Index>(stride == 0 ? columns : stride), 1};
}

// Copies a matrix to one of another type.
template <class From, class To>
void convert(MatrixView<From> from, MatrixView<To> to) {
  for (Index i = 0; i < from.rows; ++i)
    for (Index j = 0; j < from.cols; ++j) to(i, j) = static_cast<To>(from(i, j));
}

template <class T>
int predict(const chainrule_network* handle, const T* x, std::int64_t rows, std::int64_t x_stride, T* out,
            std::int64_t out_stride, int threads) {
  return guarded([&] {
    require_not_null(handle, "network");
    std::visit(
        [&]<class Own>(const Network<Own>& network) {
          const Index inputs = network.layer_sizes().front(), outputs = network.layer_sizes().back();
          const auto from = matrix(x, rows, inputs, x_stride, "x");
          const auto to = matrix(out, rows, outputs, out_stride, "out");
          if constexpr (std::is_same_v<T, Own>) {
            network.predict(from, to, threads);
          } else {
            std::vector<Own> own_x(static_cast<std::size_t>(rows * inputs));
            std::vector<Own> own_out(static_cast<std::size_t>(rows * outputs));
            const MatrixView<Own> own_from(own_x.data(), from.rows, inputs), own_to(own_out.data(), from.rows, outputs);
            convert(from, own_from);
            network.predict(own_from, own_to, threads);
            convert(own_to, to);
          }
        },
        handle->network);
  });
}

template <class T, class Rows>
Examples<T> examples_of(const Rows& rows, const Network<T>& network) {
  const Index outputs = network.layer_sizes().back();
  Examples<T> examples;
  examples.x = matrix(rows.x, rows.rows, network.layer_sizes().front(), rows.x_stride, "x");
  examples.weights = rows.weights;
  if (rows.labels != nullptr) {
    require(rows.y == nullptr, "y and labels are both given, expected one of them");
    examples.targets.labels = rows.labels;
    return examples;
  }
  const bool shared = traits_of(network.loss()).parameter.one_per_output;  // all outputs have one target
  const auto y = matrix(rows.y, rows.rows, shared ? 1 : outputs, rows.y_stride, "y");
  examples.targets.values = shared ? y.repeated_column(outputs) : y;
  return examples;
}

template <class T, class Rows>
int train(chainrule_network* handle, const Rows* examples, const Rows* validation, const char* settings,
          char** history) {
  return guarded([&] {
    require_not_null(handle, "network");
    require_not_null(examples, "examples");
    auto* network = std::get_if<Network<T>>(&handle->network);
    require(network != nullptr, "the network has dtype ", sizeof(T) == 4 ? "float64" : "float32",
            ": use chainrule_network_fit_", sizeof(T) == 4 ? "double" : "float");
    FitOptions<T> options = settings == nullptr ? FitOptions<T>() : read_settings<T>(settings);
    if (validation != nullptr) options.validation = examples_of<T>(*validation, *network);
    const History result = fit(*network, examples_of<T>(*examples, *network), options);
    if (history != nullptr) *history = new_text(write_history(result));
  });
}

}  // namespace
}  // namespace chainrule

using namespace chainrule;

int chainrule_network_create(const char* configuration, chainrule_network** network) {
  return guarded([&] {
    require_not_null(configuration, "configuration");
    require_not_null(network, "network");
    *network = new chainrule_network{with_prefix("configuration", [&] { return new_network(configuration); })};
  });
}

int chainrule_network_load(const char* path, chainrule_network** network) {
  return guarded([&] {
    require_not_null(path, "path");
    require_not_null(network, "network");
    *network = new chainrule_network{load_any(path_of(path))};
  });
}

int chainrule_network_save(const chainrule_network* network, const char* path) {
  return guarded([&] {
    require_not_null(network, "network");
    require_not_null(path, "path");
    std::visit([&](const auto& n) { save(n, path_of(path)); }, network->network);
  });
}

void chainrule_network_free(chainrule_network* network) { delete network; }

int64_t chainrule_network_inputs(const chainrule_network* network) {
  return std::visit([](const auto& n) { return static_cast<int64_t>(n.layer_sizes().front()); }, network->network);
}

int64_t chainrule_network_outputs(const chainrule_network* network) {
  return std::visit([](const auto& n) { return static_cast<int64_t>(n.layer_sizes().back()); }, network->network);
}

const char* chainrule_network_dtype(const chainrule_network* network) {
  return std::holds_alternative<Network<float>>(network->network) ? "float32" : "float64";
}

int chainrule_network_predict_float(const chainrule_network* network, const float* x, int64_t rows, int64_t x_stride,
                                    float* out, int64_t out_stride, int threads) {
  return predict(network, x, rows, x_stride, out, out_stride, threads);
}

int chainrule_network_predict_double(const chainrule_network* network, const double* x, int64_t rows, int64_t x_stride,
                                     double* out, int64_t out_stride, int threads) {
  return predict(network, x, rows, x_stride, out, out_stride, threads);
}

int chainrule_network_fit_float(chainrule_network* network, const chainrule_examples_float* examples,
                                const chainrule_examples_float* validation, const char* settings, char** history) {
  return train<float>(network, examples, validation, settings, history);
}

int chainrule_network_fit_double(chainrule_network* network, const chainrule_examples_double* examples,
                                 const chainrule_examples_double* validation, const char* settings, char** history) {
  return train<double>(network, examples, validation, settings, history);
}
