#include "net/predict.h"

#include <algorithm>

#include "core/poll.h"
#include "net/pass.h"
#include "net/sums.h"

namespace chainrule {
namespace {

// The memory of one thread that computes blocks of rows.
template <class T>
struct Workspace {
  Scratch<T> scratch;
  Buffer<T> hidden[2];  // activations of odd and even layers
  Tape<T> tape;
  Buffer<T> rows;  // rows from a reader

  // Allocates only if the memory must grow.
  void prepare(const Model<T>& model, Index block_rows) {
    scratch.prepare(model, block_rows);
    for (Buffer<T>& buffer : hidden) buffer.reserve(checked_product(block_rows, padded<T>(model.widest())));
    tape.reserve(model.layers.size());
    if (model.reads_inputs) rows.reserve(checked_product(block_rows, padded<T>(model.inputs())));
  }
  // The activations of all layers for a block of rows, in the workspace `memory`, except that the last layer uses
  // `last`.
  const Tape<T>& activations(const Model<T>& model, const Workspace& memory, MatrixView<T> last) {
    tape.clear();
    for (const Layer<T>& layer : model.layers) {
      const Index stride = padded<T>(layer.n_out);
      tape.push_back(&layer == &model.layers.back()
                         ? last
                         : MatrixView<T>{memory.hidden[tape.size() % 2].data(), last.rows, layer.n_out, stride, 1});
    }
    return tape;
  }
  Index bytes() const {
    return (scratch.gemm.size() + 2 * hidden[0].size() + rows.size()) * static_cast<Index>(sizeof(T));
  }
  // Reads rows of x into the memory that prepare() has reserved.
  MatrixView<T> read(const Inputs<T>& x, Index begin, Index end) const {
    const MatrixView<T> into{rows.data(), end - begin, x.cols, padded<T>(x.cols), 1};
    x.reader->read(x.numbers(nullptr, end).between(begin, end), into);
    return into;
  }
};

constexpr Index max_reused = 1 << 22;       // bytes
constexpr Index rows_to_prepare = 8192;     // of a reader, between two polls
constexpr double operations_at_once = 1e9;  // between two polls; takes about 10 ms

}  // namespace

template <class T>
void predict(const Model<T>& model, const Inputs<T>& x, MatrixView<T> out, bool output_activation, int threads) {
  const IsaInUse isa_in_use;
  // Count only half of the operations, because a second thread does not speed up allocation and packing.
  const int team_size = threads_for(row_operations(model, false) * static_cast<double>(x.rows) / 2, threads);
  const Index max_rows = rows_at_a_time(model), block = std::min(max_rows, x.rows);
  // If there is only one block of rows, the members share the outputs instead, each with its own weights.
  const bool columns = team_size > 1 && x.rows <= max_rows;
  PackedWeights<T> packed = x.rows > max_rows ? PackedWeights<T>(model, false) : PackedWeights<T>(model);
  // A single thread reuses its workspace between calls, so that predicting a few rows allocates nothing.
  thread_local Workspace<T> reused;
  std::vector<Workspace<T>> own(static_cast<std::size_t>(team_size > 1 ? team_size : 0));
  const std::span<Workspace<T>> workspaces = team_size > 1 ? std::span(own) : std::span(&reused, 1);
  const auto rows_of = [&](Team team, Share chunk) {
    Workspace<T>& mine = workspaces[static_cast<std::size_t>(team.rank)];
    const auto activate = [&](MatrixView<T> z) {
      if (output_activation)
        kernels<T>().predict[static_cast<int>(model.loss)](z.rows, z.cols, z.data, z.row_stride, z.data, z.row_stride,
                                                           mine.scratch.loss.data());
    };
    if (chunk.begin == 0) packed.pack(model, team);
    const Index count = chunk.end - chunk.begin;
    if (columns) {
      const Tape<T>& a = mine.activations(model, workspaces[0], out);
      PassInputs<T> from(x);
      if (x.reader != nullptr) {
        team.alone([&] { workspaces[0].read(x, 0, count); });
        from = MatrixView<T>{workspaces[0].rows.data(), count, x.cols, padded<T>(x.cols), 1};
      }
      const std::size_t layers = layers_by_columns(model, team);
      forward_columns<T>(model, packed, from, a, a, layers, team, mine.scratch);
      const Index parts = narrow_items(count, team);
      return team.each(parts, [&](Index i) {
        const Share rows = part(count, parts, i);
        forward_rows<T>(model, packed, from, a, a, rows, mine.scratch, layers);
        activate(out.rows_between(rows.begin, rows.end));
      });
    }
    const Index blocks = row_items(model, count, team);
    team.each(blocks, [&](Index i) {
      const Share rows = part(count, blocks, i);
      const Index begin = chunk.begin + rows.begin, end = chunk.begin + rows.end;
      const Tape<T>& a = mine.activations(model, mine, out.rows_between(begin, end));
      PassInputs<T> from(x.rows_between(begin, end));
      if (x.reader != nullptr) from = mine.read(x, begin, end);
      forward_rows<T>(model, packed, from, a, a, {0, end - begin}, mine.scratch);
      activate(a.back());
    });
  };
  const Index at_once = std::max(
      team_size * max_rows,
      x.reader != nullptr ? rows_to_prepare : static_cast<Index>(operations_at_once / row_operations(model, false)));
  for (Index begin = 0; begin == 0 || begin < x.rows; begin += at_once) {
    if (begin > 0) poll();  // may call predict() in this thread
    for (Workspace<T>& workspace : workspaces) workspace.prepare(model, block);
    if (x.reader != nullptr)
      x.reader->prepare(x.numbers(nullptr, x.rows).between(begin, x.rows), std::min(at_once, x.rows - begin));
    parallel_step(team_size, [&](Team team) { rows_of(team, {begin, std::min(begin + at_once, x.rows)}); });
  }
  if (reused.bytes() > max_reused) reused = {};
}

template void predict(const Model<float>&, const Inputs<float>&, MatrixView<float>, bool, int);
template void predict(const Model<double>&, const Inputs<double>&, MatrixView<double>, bool, int);

}  // namespace chainrule
