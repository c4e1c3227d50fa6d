// Arguments of the kernels for sparse inputs and for dropout. A part of kernels.h.
#pragma once

#include <cstdint>

#include "chainrule/names.h"

namespace chainrule {

// Dropout of a layer in a training step (Srivastava et al. 2014, inverted: kept units are scaled up). Threefry-4x32-20
// turns the counter (j, i / 8, step) under the key (seed, layer) into four words, which hold eight numbers of 16 bits.
// Unit j of the batch's row i is kept if number i mod 8 is below `kept`. The factor of a unit is 65536 / kept if it is
// kept and 0 otherwise, so its mean is 1.
struct Dropout {
  std::uint64_t seed, step;
  std::uint32_t layer, kept;  // 1 <= kept <= 65536
};

// Dropout of the inputs of a product whose first row is row `row` of the batch. If settings is null, there is no
// dropout.
struct InputDropout {
  const Dropout* settings = nullptr;
  Index row = 0;
};

// Rows of a BinnedView (chainrule/view.h).
template <class T>
struct BinnedRows {
  const BinnedColumn* layout = nullptr;
  Index columns = 0;
  const void* codes = nullptr;
  int code_bytes = 0;  // 1 or 2: unsigned, 4: signed
  Index codes_per_row = 0;
  const T* values = nullptr;
  Index values_per_row = 0;
};

// Rows of a matrix in CSR form: row i has values[k] in column indices[k], in ascending order of columns, for indptr[r]
// <= k < indptr[r + 1], where r is rows[i], or i if rows is null. Binned rows have a layout instead of indptr.
template <class T>
struct SparseRows {
  const Index* indptr = nullptr;
  const std::int32_t* indices = nullptr;
  const T* values = nullptr;
  const Index* rows = nullptr;
  BinnedRows<T> binned{};
};

// z (m x n) = bias + X W, where row j of W holds the weights of input j. For binned X, the rows of each binned number
// in W have been replaced by their running sums: bin b with fraction f multiplies row b - 1 by 1 - f and row b by f.
template <class T>
struct SparseForward {
  Index m, n;
  SparseRows<T> x;
  InputDropout dropout;
  const T* w;
  Index ldw;
  const T* bias;
  T* z;
  Index ldz;
};

// dW = dW + Xᵀ dz, for dz (m x n), in the order of the rows. For binned X, dW = Xᵀ dz, and m <= sum_rows.
template <class T>
struct SparseGradient {
  Index m, n;
  SparseRows<T> x;
  InputDropout dropout;
  const T* dz;
  Index lddz;
  T* dw;
  Index lddw;
};

}  // namespace chainrule
