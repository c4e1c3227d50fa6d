#include "bindings/typed_rows.h"

#include <tuple>

namespace chainrule::python {
namespace {

constexpr Index small = Index{1} << 22;  // arrays with fewer elements (16 MB of float32) are converted at once

template <class T, class From>
class TypedRows final : public RowReader<T> {
 public:
  explicit TypedRows(const py::array& array)
      : data_(static_cast<const char*>(array.data())), row_stride_(array.strides(0)) {}

  void prepare(const RowNumbers&, Index) override {}
  void read(const RowNumbers& rows, MatrixView<T> into) const override {
    constexpr Index ahead = 4, line = 64 / static_cast<Index>(sizeof(From));
    for (Index i = 0; i < rows.count; ++i) {
      if (i + ahead < rows.count)
        for (Index j = 0; j < into.cols; j += line) __builtin_prefetch(row(rows[i + ahead]) + j);
      const From* from = row(rows[i]);
      T* to = into.row(i);
      for (Index j = 0; j < into.cols; ++j) to[j] = static_cast<T>(from[j]);
    }
  }

 private:
  const From* row(Index number) const { return reinterpret_cast<const From*>(data_ + number * row_stride_); }

  const char* data_;
  Index row_stride_;
};

template <class T, class From>
bool try_type(const py::array& array, std::unique_ptr<RowReader<T>>& reader) {
  if (!py::isinstance<py::array_t<From>>(array) || array.strides(1) != static_cast<Index>(sizeof(From))) return false;
  if constexpr (!std::is_same_v<T, From>) reader = std::make_unique<TypedRows<T, From>>(array);
  return true;
}

template <class T, class... From>
std::unique_ptr<RowReader<T>> first_of(const py::array& array, std::type_identity<std::tuple<From...>>) {
  std::unique_ptr<RowReader<T>> reader;
  static_cast<void>((try_type<T, From>(array, reader) || ...));
  return reader;
}

}  // namespace

template <class T>
std::unique_ptr<RowReader<T>> typed_rows(const py::array& array) {
  if (array.ndim() != 2 || array.size() < small || !(array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_))
    return nullptr;
  using Types = std::tuple<float, double, bool, std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t,
                           std::int32_t, std::uint64_t, std::int64_t>;
  return first_of<T>(array, std::type_identity<Types>());
}

template std::unique_ptr<RowReader<float>> typed_rows(const py::array&);
template std::unique_ptr<RowReader<double>> typed_rows(const py::array&);

}  // namespace chainrule::python
