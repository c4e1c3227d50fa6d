// A training step allocates nothing: a fit of twelve epochs makes as many allocations as one of two, except those for
// its growing history. Predicting a few rows allocates nothing either. Allocations are counted in malloc and its
// variants, so those of operator new and of the thread library are included.
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

#include "chainrule/chainrule.hpp"
#include "sanitized.h"
#include "support.h"

namespace {

std::atomic<long> allocations{0};

}  // namespace

#if defined(__GLIBC__) && !CHAINRULE_SANITIZED  // a program may replace glibc's malloc, which is also __libc_malloc
#pragma GCC visibility push(default)            // so that shared libraries call these definitions
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  ++allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) {
  ++allocations;
  return __libc_realloc(old, size);
}
void* memalign(std::size_t alignment, std::size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }
int posix_memalign(void** result, std::size_t alignment, std::size_t size) {
  *result = memalign(alignment, size);
  return *result == nullptr ? ENOMEM : 0;
}
}
#pragma GCC visibility pop
#else  // otherwise only operator new can be counted; its other forms call these two
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  ++allocations;
  void* memory = nullptr;
  if (posix_memalign(&memory, static_cast<std::size_t>(alignment), size) == 0) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
#endif

namespace chainrule::test {
namespace {

// Networks that together use every kind of training step.
struct Case {
  std::vector<Index> layer_sizes;
  Index rows, batch_size;  // 0: all
  Loss loss;
};

const Case cases[] = {
    {{2, 4, 1}, 4, 0, Loss::binary_cross_entropy},      {{32, 32, 1}, 8, 1, Loss::squared_error},
    {{20, 64, 1}, 1000, 0, Loss::binary_cross_entropy}, {{20, 64, 1}, 100, 32, Loss::squared_error},
    {{54, 256, 256, 7}, 600, 256, Loss::squared_error}, {{784, 128, 10}, 128, 128, Loss::squared_error},
    {{8, 16, 2}, 20'000, 0, Loss::squared_error},  // several slabs per batch
};

template <class T>
long allocations_of(const Case& c, FitOptions<T> options, int epochs) {
  std::vector<T> x = random_values<T>(c.rows * c.layer_sizes.front(), 1);
  std::vector<T> y = random_values<T>(c.rows * c.layer_sizes.back(), 2);
  for (T& value : y) value = value > 0;
  const Examples<T> examples{matrix(x, c.rows, c.layer_sizes.front()), {matrix(y, c.rows, c.layer_sizes.back())}};
  Network<T> network(c.layer_sizes, {.activation = Activation::tanh, .loss = c.loss, .seed = 1});
  options.batch_size = some_rows(c.batch_size);
  options.epochs = epochs;
  if (options.stop.no_improvement) options.validation = examples;
  num_threads();  // reads the system's files at most once a second: do it now, not during the fit
  const long before = allocations;
  const History history = fit(network, examples, options);
  const long counted = allocations - before;
  CHECK(history.epochs == epochs, history.epochs, epochs);
  return counted;
}

template <class T>
void steps_allocate_nothing() {
  for (const Case& c : cases) {
    const OptimizerOptions optimizers[] = {Sgd{}, Sgd{.momentum = 0.9}, Adam{}};
    for (const OptimizerOptions& optimizer : optimizers) {
      for (const int threads : {1, 2}) {
        FitOptions<T> options{.optimizer = optimizer, .threads = threads};
        options.shuffle = optimizer.index() != 0 || threads == 2;
        if (optimizer.index() != 0) options.stop.no_improvement = 1000;  // turns validation on
        allocations_of(c, options, 1);                                   // starts the team
        const long few = allocations_of(c, options, 2);
        long many = allocations_of(c, options, 12);
        constexpr long growth = 9;  // three vectors grow from 2 to 12 elements
        // A slow fit (a sanitizer, a busy machine) may read the system's files again and so allocate more: repeat it.
        for (int again = 0; many - few > growth && again < 5; ++again) many = allocations_of(c, options, 12);
        CHECK(few > 0);
        CHECK(many - few <= growth, c.layer_sizes[0], c.batch_size, optimizer.index(), threads, few, many);
      }
    }
  }
}

template <class T>
void predictions_of_few_rows_allocate_nothing() {
  for (const Case& c : cases)
    for (const Index rows : {1, 5, 50}) {
      std::vector<T> x = random_values<T>(rows * c.layer_sizes.front(), 1);
      std::vector<T> out(static_cast<std::size_t>(rows * c.layer_sizes.back()));
      const Network<T> network(c.layer_sizes, {.loss = c.loss, .seed = 1});
      const auto predict = [&] {
        const long before = allocations;
        network.predict(matrix(x, rows, c.layer_sizes.front()), matrix(out, rows, c.layer_sizes.back()), 1);
        return allocations - before;
      };
      predict();
      CHECK(predict() == 0, c.layer_sizes[0], rows);
    }
}

}  // namespace
}  // namespace chainrule::test

int main() {
  using namespace chainrule::test;
  steps_allocate_nothing<float>();
  steps_allocate_nothing<double>();
  predictions_of_few_rows_allocate_nothing<float>();
  predictions_of_few_rows_allocate_nothing<double>();
  return check::finish("test_allocations");
}
