// Compares the detected CPU features with those that the compiler's builtin reports.
#include "core/cpu.h"
#include "support.h"

int main() {
  const chainrule::Cpu cpu = chainrule::this_cpu();
#if defined(__x86_64__) && defined(__GLIBC__)
  const auto expect = [](bool got, bool expected) { CHECK(got == expected, got, expected); };
  const bool fma = __builtin_cpu_supports("fma");
  const bool avx512 = fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  expect(cpu.avx2, fma && __builtin_cpu_supports("avx2"));
  expect(cpu.avx512, avx512);
  expect(cpu.avx512_bf16, avx512 && __builtin_cpu_supports("avx512bf16"));
#endif
  CHECK(cpu.avx512 || !cpu.avx512_bf16);
  std::printf("avx2 %d, avx512 %d, avx512_bf16 %d\n", cpu.avx2, cpu.avx512, cpu.avx512_bf16);
  return check::finish("cpu");
}
