#!/usr/bin/env bash
# Tests old x86 CPUs in qemu-user, which is about fifty times slower. The C++ tests that depend on the CPU run on the first
# 64-bit CPU (only SSE2, the minimum for the library) and on Haswell (AVX2 and FMA). The arithmetic tests of the Python
# suite run on Nehalem (no AVX; the minimum for NumPy's wheels).
set -euo pipefail
cd "$(dirname "$0")/../.."
unset CI PYTHONPATH # so that tests that cannot run there are skipped
export OMP_WAIT_POLICY=passive # emulated threads that spin would block the others
# NumPy's OpenBLAS would choose its kernels by the model of the host, not by the features of the emulated CPU.
export OPENBLAS_CORETYPE=Nehalem MPLBACKEND=agg PIP_DISABLE_PIP_VERSION_CHECK=1
qemu=$(command -v qemu-x86_64) || { echo "needs qemu-x86_64 (Debian: qemu-user)"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone --quiet . "$work/clone"
python3 -m venv "$work/venv"
PATH="$work/venv/bin:$PATH"
pip install --quiet cmake ninja "$work/clone" pytest hypothesis scipy
cmake -S "$work/clone" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCHAINRULE_TESTS=ON >/dev/null
cmake --build "$work/build" >/dev/null

on() { # CPU PROGRAM [ARGUMENT ...]; drops qemu's warnings about features of the model that it does not emulate
  "$qemu" -cpu "$@" 2> >(grep -v "TCG doesn't support" >&2)
}
tests=$work/build/tests/cpp
for topic in cpu files golden kernels math_baseline network parallel random sparse; do
  on Opteron_G1 "$tests/test_$topic"
done
for topic in cpu golden kernels math_avx2; do
  on Haswell "$tests/test_$topic"
done
cd "$work/clone/tests"
on Nehalem "$(command -v python)" -m pytest -q -p no:cacheprovider -o addopts= test_activations.py test_fit.py \
  test_functional.py test_losses.py test_network.py test_notes.py
echo "old x86: 9 C++ programs with SSE2 alone, 4 with AVX2; the Python suite's arithmetic without AVX"
