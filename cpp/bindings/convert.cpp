#include "bindings/convert.h"

#include <type_traits>

namespace chainrule::python {
namespace {

template <class T, class From>
void convert(const char* from, Index count, T* to) {
  for (Index i = 0; i < count; ++i) to[i] = static_cast<T>(reinterpret_cast<const From*>(from)[i]);
}

// NumPy's letter for the kind of a type.
template <class F>
constexpr char kind = std::is_same_v<F, bool>       ? 'b'
                      : std::is_floating_point_v<F> ? 'f'
                      : std::is_signed_v<F>         ? 'i'
                                                    : 'u';

template <class T, class... From>
NumberType<T> first_of(const py::dtype& dtype) {
  NumberType<T> type{};
  const char order = dtype.byteorder();
  if (order != '=' && order != '|') return type;  // not the byte order of this machine
  const auto try_type = [&]<class F>(std::type_identity<F>) {
    if (dtype.kind() != kind<F> || dtype.itemsize() != static_cast<py::ssize_t>(sizeof(F))) return false;
    type.bytes = sizeof(F);
    if constexpr (!std::is_same_v<T, F>) type.convert = convert<T, F>;
    return true;
  };
  static_cast<void>((try_type(std::type_identity<From>()) || ...));
  return type;
}

}  // namespace

template <class T>
NumberType<T> number_type(const py::array& array) {
  return first_of<T, float, double, bool, std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t,
                  std::int32_t, std::uint64_t, std::int64_t>(array.dtype());
}

template NumberType<float> number_type(const py::array&);
template NumberType<double> number_type(const py::array&);

}  // namespace chainrule::python
