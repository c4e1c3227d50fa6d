#include "net/predict.h"

#include <algorithm>

#include "net/pass.h"

namespace chainrule {

template <class T>
void predict(const Model<T>& model, MatrixView<const T> x, MatrixView<T> out, bool output_activation, int threads) {
  const IsaInUse isa_in_use;
  const Kernels<T>& kernel = kernels<T>();
  const int team_size = threads_for(row_operations(model, false) * static_cast<double>(x.rows), threads);
  const Index block = std::min(block_rows, x.rows);
  PackedWeights<T> packed;
  if (x.rows > kernel.few_rows || x.col_stride != 1) packed = PackedWeights<T>(model, false);
  std::vector<Scratch<T>> scratch = team_scratch(model, x.rows, team_size);
  std::vector<Buffer<T>> hidden(static_cast<std::size_t>(2 * team_size),
                                Buffer<T>(checked_product(block, padded<T>(model.widest()))));
  parallel(team_size, [&](Team team) {
    packed.pack(model, team);
    team.barrier();
    const auto rank = static_cast<std::size_t>(team.rank);
    const Share mine = share(x.rows, team);
    for (Index begin = mine.begin; begin < mine.end; begin += block_rows) {
      const Share rows{0, std::min(block_rows, mine.end - begin)};
      Tape<T> a;
      for (std::size_t l = 0; l + 1 < model.layers.size(); ++l)
        a.push_back(
            {hidden[2 * rank + l % 2].data(), rows.end, model.layers[l].n_out, padded<T>(model.layers[l].n_out), 1});
      a.push_back(out.rows_between(begin, begin + rows.end));
      forward_rows<T>(model, packed, x.rows_between(begin, begin + rows.end), a, a, rows, scratch[rank]);
      if (output_activation)
        kernel.predict[static_cast<int>(model.loss)](rows.end, out.cols, out.row(begin), out.row_stride, out.row(begin),
                                                     out.row_stride, scratch[rank].loss.data());
    }
  });
}

template void predict(const Model<float>&, MatrixView<const float>, MatrixView<float>, bool, int);
template void predict(const Model<double>&, MatrixView<const double>, MatrixView<double>, bool, int);

}  // namespace chainrule
