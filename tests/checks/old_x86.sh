#!/usr/bin/env bash
# Old x86: in qemu-user the C++ tests of what depends on the CPU, on the first 64-bit one (SSE2 alone, the least that the
# library needs) and on Haswell (AVX2 and FMA), and the Python suite's arithmetic on Nehalem (no AVX; the least that NumPy's
# wheels need today). An emulated CPU is some fifty times slower.
set -euo pipefail
cd "$(dirname "$0")/../.."
unset CI PYTHONPATH # what cannot run there skips
export OMP_WAIT_POLICY=passive # emulated threads that spin keep the others from their work
# NumPy's OpenBLAS would look at the host's model, not at the emulated CPU's abilities.
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

on() { # CPU PROGRAM [ARGUMENT ...]; qemu warns of features of the model that it leaves out
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
