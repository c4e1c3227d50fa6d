#include "core/dispatch.h"

#include <atomic>
#include <cstdlib>

#include "core/caches.h"
#include "core/check.h"
#include "core/cpu.h"
#include "core/fork.h"

namespace chainrule {
namespace {

struct Isa {
  const char* name;
  bool (*supported)();
  const Kernels<float>* float32;
  const Kernels<double>* float64;
  const Bf16Kernels<float>* (*bf16)() = [] { return static_cast<const Bf16Kernels<float>*>(nullptr); };
};

const Isa isas[] = {
#if defined(__x86_64__)
    {"avx512", [] { return this_cpu().avx512; }, &avx512::kernels_float32, &avx512::kernels_float64,
     [] { return this_cpu().avx512_bf16 ? &avx512_bf16::kernels_bf16 : nullptr; }},
    {"avx2", [] { return this_cpu().avx2; }, &avx2::kernels_float32, &avx2::kernels_float64},
#endif
    {"baseline", [] { return true; }, &baseline::kernels_float32, &baseline::kernels_float64},
};

std::string names_of_available() {
  std::string names;
  for (const std::string& name : available_isas()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

const Isa& find(std::string_view name) {
  for (const Isa& isa : isas)
    if (isa.name == name && isa.supported()) return isa;
  throw std::invalid_argument(
      text_of("instruction set '", name, "' is not available; this CPU and build have ", names_of_available()));
}

const Isa& initial_isa() {
  if (const char* name = std::getenv("CHAINRULE_ISA"); name != nullptr && *name != '\0') return find(name);
  return find(available_isas().front());
}

std::atomic<const Isa*> chosen{nullptr};
constexpr int changing = -1;
std::atomic<int> users{0};  // the number of running computations, or `changing`
thread_local int users_of_thread = 0;
const AtFork reset_in_child(nullptr, [] { users = users_of_thread; });

const Isa& active() {
  const Isa* isa = chosen.load(std::memory_order_acquire);
  if (isa == nullptr) {
    const Isa* first = &initial_isa();
    if (chosen.compare_exchange_strong(isa, first)) return *first;  // otherwise another thread has set it
  }
  return *isa;
}

}  // namespace

std::vector<std::string> compiled_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : isas) names.emplace_back(isa.name);
  return names;
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : isas)
    if (isa.supported()) names.emplace_back(isa.name);
  return names;
}

std::string active_isa() { return active().name; }

void set_isa(std::string_view name) {
  const Isa& isa = find(name);
  if (&isa == &active()) return;
  const RuntimeChange change("the instruction set");
  chosen.store(&isa, std::memory_order_release);
}

RuntimeChange::RuntimeChange(const char* what) {
  int none = 0;
  if (!users.compare_exchange_strong(none, changing))
    throw std::runtime_error(text_of("cannot change ", what, " while a computation is running"));
}
RuntimeChange::~RuntimeChange() { users = 0; }

IsaInUse::IsaInUse() {
  active();
  caches();
  ++users_of_thread;
  for (int others = 0; !users.compare_exchange_weak(others, others + 1);)
    if (others == changing) others = 0;
}
IsaInUse::~IsaInUse() {
  --users_of_thread;
  --users;
}

template <>
const Kernels<float>& kernels<float>() {
  return *active().float32;
}
template <>
const Kernels<double>& kernels<double>() {
  return *active().float64;
}

template <>
const Bf16Kernels<float>* bf16_kernels<float>() {
  return active().bf16();
}
template <>
const Bf16Kernels<double>* bf16_kernels<double>() {
  return nullptr;
}

}  // namespace chainrule
