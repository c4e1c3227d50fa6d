#include "bindings/typed_rows.h"

#include "bindings/convert.h"

namespace chainrule::python {
namespace {

constexpr Index small = Index{1} << 22;  // arrays with fewer elements (16 MB of float32) are converted at once

template <class T>
class TypedRows final : public RowReader<T> {
 public:
  TypedRows(const py::array& array, NumberType<T> type)
      : data_(static_cast<const char*>(array.data())), row_stride_(array.strides(0)), type_(type) {}

  void prepare(const RowNumbers&, Index) override {}
  void read(const RowNumbers& rows, MatrixView<T> into) const override {
    constexpr Index ahead = 4, line = 64;
    for (Index i = 0; i < rows.count; ++i) {
      if (i + ahead < rows.count)
        for (Index at = 0; at < into.cols * type_.bytes; at += line) __builtin_prefetch(row(rows[i + ahead]) + at);
      type_.convert(row(rows[i]), into.cols, into.row(i));
    }
  }

 private:
  const char* row(Index number) const { return data_ + number * row_stride_; }

  const char* data_;
  Index row_stride_;
  NumberType<T> type_;
};

}  // namespace

template <class T>
std::unique_ptr<RowReader<T>> typed_rows(const py::array& array) {
  if (array.ndim() != 2 || array.size() < small || !(array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_))
    return nullptr;
  const NumberType<T> type = number_type<T>(array);
  if (type.convert == nullptr || array.strides(1) != type.bytes) return nullptr;
  return std::make_unique<TypedRows<T>>(array, type);
}

template std::unique_ptr<RowReader<float>> typed_rows(const py::array&);
template std::unique_ptr<RowReader<double>> typed_rows(const py::array&);

}  // namespace chainrule::python
