#include "net/scratch.h"

namespace chainrule {

template <class T>
void Scratch<T>::prepare(const Model<T>& model, Index rows) {
  gemm.reserve(gemm_scratch<T>(rows, model.widest()));
  loss.reserve(checked_product(2 * model.outputs(), kernels<T>().lanes));
  if (model.precision == Precision::bf16 && bf16.size() == 0) bf16 = bf16_scratch();
}

template <class T>
std::span<const std::int32_t> Columns::find(const SparseRows<T>& x, Index rows) const {
  Index count = 0;
  for (Index i = 0; i < rows; ++i) {
    const Index row = x.rows != nullptr ? x.rows[i] : i;
    for (Index k = x.indptr[row]; k < x.indptr[row + 1]; ++k)
      if (std::uint8_t& seen = seen_[x.indices[k]]; seen == 0) {
        seen = 1;
        found_[count++] = x.indices[k];
      }
  }
  const std::span<const std::int32_t> found{found_.data(), static_cast<std::size_t>(count)};
  for (const std::int32_t column : found) seen_[column] = 0;
  return found;
}

#define CHAINRULE_INSTANTIATE(T) \
  template struct Scratch<T>;    \
  template std::span<const std::int32_t> Columns::find(const SparseRows<T>&, Index) const;
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE

}  // namespace chainrule
