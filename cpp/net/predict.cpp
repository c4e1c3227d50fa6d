#include "net/predict.h"

#include <algorithm>

#include "net/pass.h"

namespace chainrule {

template <class T>
void predict(const Model<T>& model, MatrixView<const T> x, MatrixView<T> out, bool output_activation, int threads) {
  const IsaInUse isa_in_use;
  // Allocation and packing take their part of a call: half of the operations may count for a second thread.
  const int team_size = threads_for(row_operations(model, false) * static_cast<double>(x.rows) / 2, threads);
  PackedWeights<T> packed;
  const Index most = rows_at_a_time(model), block = std::min(most, x.rows);
  if (x.rows > most) packed = PackedWeights<T>(model, false);
  std::vector<Scratch<T>> scratch = team_scratch(model, x.rows, team_size);
  std::vector<Buffer<T>> hidden(static_cast<std::size_t>(2 * team_size),
                                Buffer<T>(checked_product(block, padded<T>(model.widest()))));
  const auto tape = [&](int rank, MatrixView<T> last) {
    Tape<T> a;
    for (std::size_t l = 0; l + 1 < model.layers.size(); ++l)
      a.push_back({hidden[static_cast<std::size_t>(2 * rank) + l % 2].data(), last.rows, model.layers[l].n_out,
                   padded<T>(model.layers[l].n_out), 1});
    a.push_back(last);
    return a;
  };
  parallel(team_size, [&](Team team) {
    Scratch<T>& mine = scratch[static_cast<std::size_t>(team.rank)];
    const auto activate = [&](MatrixView<T> z) {
      if (output_activation)
        kernels<T>().predict[static_cast<int>(model.loss)](z.rows, z.cols, z.data, z.row_stride, z.data, z.row_stride,
                                                     mine.loss.data());
    };
    packed.pack(model, team);
    team.barrier();
    const Share rows = share(x.rows, team);
    if (by_columns(model, x.rows, team)) {
      const Tape<T> a = tape(0, out);
      forward_columns<T>(model, packed, x, a, a, team, mine);
      activate(out.rows_between(rows.begin, rows.end));
      return;
    }
    for (Index begin = rows.begin; begin < rows.end; begin += most) {
      const Index end = std::min(begin + most, rows.end);
      const Tape<T> a = tape(team.rank, out.rows_between(begin, end));
      forward_rows<T>(model, packed, x.rows_between(begin, end), a, a, {0, end - begin}, mine);
      activate(a.back());
    }
  });
}

template void predict(const Model<float>&, MatrixView<const float>, MatrixView<float>, bool, int);
template void predict(const Model<double>&, MatrixView<const double>, MatrixView<double>, bool, int);

}  // namespace chainrule
