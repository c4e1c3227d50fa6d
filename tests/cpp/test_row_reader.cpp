// Rows of a RowReader: a training and a prediction read only rows that they have prepared, give the same bits as a
// matrix, and pass on exceptions of the reader and of an interrupt; the reader and the network can be used again
// afterwards.
#include <algorithm>
#include <array>
#include <atomic>
#include <stdexcept>

#include "chainrule/chainrule.hpp"
#include "support.h"

namespace chainrule::test {
namespace {

constexpr Index count = 1000, columns = 40, part_rows = 130;

// Serves the rows of a vector and records its calls. Rows that were not prepared, or were released, are NaN.
template <class T>
class Recorder final : public RowReader<T> {
 public:
  explicit Recorder(const std::vector<T>& values) : values_(values), available_(count) {}

  void prepare(const RowNumbers& rows, Index wanted) override {
    CHECK(0 < wanted && wanted <= rows.count);
    if (fails_at >= 0 && prepared_calls == fails_at) throw std::runtime_error("the disk is gone");
    ++prepared_calls;
    std::ranges::fill(available_, false);
    for (Index i = 0; i < wanted; ++i) {
      available_[static_cast<std::size_t>(rows[i])] = true;
      const Index part = rows[i] / part_rows;
      if (parts.empty() || parts.back() != part) {
        parts.push_back(part);
        announced.push_back(std::ranges::find(announced_, part) != announced_.end());
        announced_.clear();
      }
    }
  }
  void read(const RowNumbers& rows, MatrixView<T> into) const override {
    if (into.rows != rows.count || into.cols != columns || into.col_stride != 1) ++wrong_calls;
    for (Index i = 0; i < rows.count; ++i) {
      const T* from = values_.data() + rows[i] * columns;
      if (available_[static_cast<std::size_t>(rows[i])])
        std::copy_n(from, columns, into.row(i));
      else
        std::fill_n(into.row(i), columns, std::numeric_limits<T>::quiet_NaN());
    }
  }
  void expect(Index row) override { announced_.push_back(row < 0 ? -1 : row / part_rows); }
  void release() override {
    ++released;
    std::ranges::fill(available_, false);
  }

  Index fails_at = -1, prepared_calls = 0, released = 0;
  std::vector<Index> parts;     // in the order of reading
  std::vector<bool> announced;  // whether expect() has announced each while the part before it was read
  mutable std::atomic<Index> wrong_calls = 0;

 private:
  const std::vector<T>& values_;
  std::vector<char> available_;
  std::vector<Index> announced_;
};

template <class T>
struct Data {
  std::vector<T> x = random_values<T>(count * columns, 5), y = random_values<T>(count, 6);
  Recorder<T> reader{x};

  Examples<T> in_memory() { return {matrix(x, count, columns), {matrix(y, count, 1)}, nullptr}; }
  Examples<T> read() { return {Inputs<T>(reader, count, columns), {matrix(y, count, 1)}, nullptr}; }
};

template <class T>
Network<T> network(bool large) {
  const std::vector<Index> sizes = large ? std::vector<Index>{columns, 300, 200, 1} : std::vector<Index>{columns, 8, 1};
  return Network<T>(sizes, {.activation = Activation::tanh, .seed = 3});
}

template <class T>
std::vector<T> parameters_of(const Network<T>& net) {
  return {net.parameters().begin(), net.parameters().end()};
}

// Small networks are trained by another schedule than large ones.
template <class T>
void same_bits(bool large, int threads) {
  Data<T> data;
  for (const Shuffle& shuffle : {Shuffle(WithinParts{part_rows}), Shuffle(false), Shuffle(true)})
    for (const Index batch : {Index{0}, Index{50}, Index{600}}) {
      FitOptions<T> options{.batch_size = some_rows(batch), .epochs = 2, .shuffle = shuffle, .threads = threads};
      options.seed = 1;
      Network<T> expected = network<T>(large), found = network<T>(large);
      const History from_matrix = fit(expected, data.in_memory(), options);
      const History from_reader = fit(found, data.read(), options);
      CHECK(parameters_of(found) == parameters_of(expected), large, threads, batch);
      CHECK(from_reader.loss == from_matrix.loss, large, threads, batch);
      std::vector<T> a(count), b(count);
      expected.predict(data.in_memory().x, matrix(a, count, 1), threads);
      found.predict(data.read().x, matrix(b, count, 1), threads);
      CHECK(a == b, large, threads, batch);
      CHECK(found.cost(data.read()) == expected.cost(data.in_memory()), large, threads, batch);
    }
  CHECK(data.reader.wrong_calls == 0);
}

// Each part is read once an epoch. All but the first are announced, also the first one of the next epoch; without
// parts, rows are read consecutively, and only the start of the next epoch is announced.
template <class T>
void parts_are_announced() {
  for (const bool in_order : {false, true}) {
    Data<T> data;
    Network<T> net = network<T>(true);
    const Shuffle shuffle = in_order ? Shuffle(false) : Shuffle(WithinParts{part_rows});
    fit(net, data.read(), FitOptions<T>{.batch_size = 10, .epochs = 3, .shuffle = shuffle});
    const std::vector<Index>& parts = data.reader.parts;
    constexpr Index of_epoch = (count + part_rows - 1) / part_rows;
    // One part less if an epoch begins with the part that ended the one before.
    CHECK(std::ssize(parts) <= 3 * of_epoch && std::ssize(parts) >= 3 * of_epoch - 2, std::ssize(parts));
    for (std::size_t i = 1; i < parts.size(); ++i)
      CHECK(data.reader.announced[i] || (in_order && parts[i] == parts[i - 1] + 1), i, parts[i]);
  }
}

template <class T>
void validation_releases() {
  Data<T> data;
  Network<T> expected = network<T>(true), found = network<T>(true);
  std::vector<Index> train, held;
  for (Index i = 0; i < count; ++i) (i % 4 == 0 ? held : train).push_back(i);
  FitOptions<T> options{.batch_size = 50, .epochs = 3, .shuffle = WithinParts{part_rows}};
  options.rows = train;
  options.validation_rows = held;
  options.validation = data.in_memory();
  const History in_memory = fit(expected, data.in_memory(), options);
  options.validation = data.read();
  const History read = fit(found, data.read(), options);
  CHECK(parameters_of(found) == parameters_of(expected) && read.validation == in_memory.validation);
  CHECK(data.reader.released == 2 * 3, data.reader.released);
}

// The network keeps its last complete step, and both it and the reader can be used again.
template <class T>
void errors_reach_the_caller(bool large) {
  const FitOptions<T> options{.batch_size = 50, .epochs = 2, .shuffle = WithinParts{part_rows}};
  for (const bool interrupted : {false, true}) {
    Data<T> data;
    Network<T> net = network<T>(large);
    const std::vector<T> before = parameters_of(net);
    FitOptions<T> own = options;
    if (interrupted) {
      own.poll = [] { throw std::runtime_error("the user has interrupted"); };
      own.poll_seconds = 0;
    } else {
      data.reader.fails_at = 1;
    }
    std::string message;
    try {
      fit(net, data.read(), own);
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
    CHECK(message == (interrupted ? "the user has interrupted" : "the disk is gone"), large);
    CHECK(data.reader.prepared_calls < 10, data.reader.prepared_calls);
    const std::vector<T> after = parameters_of(net);
    CHECK(std::ranges::all_of(after, [](T value) { return std::isfinite(value); }) && after != before, large);
    data.reader.fails_at = data.reader.prepared_calls;
    std::vector<T> out(count);
    bool thrown = false;
    try {
      net.predict(data.read().x, matrix(out, count, 1));
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    CHECK(thrown == true);
    data.reader.fails_at = -1;
    Network<T> copy = net;
    fit(net, data.read(), options);
    fit(copy, data.in_memory(), options);
    CHECK(parameters_of(net) == parameters_of(copy), large, interrupted);
  }
}

template <class T>
void all() {
  for (const bool large : {false, true}) {
    for (const int threads : {1, 2}) same_bits<T>(large, threads);
    errors_reach_the_caller<T>(large);
  }
  parts_are_announced<T>();
  validation_releases<T>();
}

}  // namespace
}  // namespace chainrule::test

int main() {
  chainrule::test::for_each_isa([] {
    chainrule::test::all<float>();
    chainrule::test::all<double>();
  });
  return check::finish("test_row_reader");
}
