// An array that owns its memory, aligned to cache lines. Its size is fixed at construction, and its elements are zero
// unless Uninitialized is passed.
#pragma once

#include <algorithm>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "chainrule/names.h"

namespace chainrule {

// a * b; throws std::bad_alloc on overflow.
inline Index checked_product(Index a, Index b) {
  Index product;
  if (__builtin_mul_overflow(a, b, &product) || product < 0) throw std::bad_alloc();
  return product;
}

namespace detail {
void* allocate(std::size_t bytes, bool zero);
void deallocate(void* memory, std::size_t bytes);
}  // namespace detail

template <class T>
class Buffer {
 public:
  Buffer() = default;
  struct Uninitialized {};

  explicit Buffer(Index size) : Buffer(size, true) {}
  Buffer(Index size, Uninitialized) : Buffer(size, false) {}
  Buffer(const Buffer& other) : Buffer(other.size_, Uninitialized{}) { std::copy_n(other.data(), size_, data()); }
  Buffer(Buffer&& other) noexcept : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }

  // Makes room for at least `size` elements. If the buffer has to grow, its values are lost.
  void reserve(Index size) {
    if (size > size_) *this = Buffer(size, Uninitialized{});
  }

  T* data() const { return data_.get(); }
  Index size() const { return size_; }
  T& operator[](Index i) const { return data_.get()[i]; }
  T* begin() const { return data(); }
  T* end() const { return data() + size_; }

 private:
  static_assert(std::is_arithmetic_v<T>);  // all-zero bytes represent 0
  Buffer(Index size, bool zero) : size_(size) {
    const auto bytes = static_cast<std::size_t>(checked_product(size, static_cast<Index>(sizeof(T))));
    data_ = {static_cast<T*>(detail::allocate(bytes, zero)), Free{bytes}};
  }

  struct Free {
    std::size_t bytes;
    void operator()(T* memory) const { detail::deallocate(memory, bytes); }
  };
  std::unique_ptr<T, Free> data_{nullptr, Free{0}};
  Index size_ = 0;
};

}  // namespace chainrule
