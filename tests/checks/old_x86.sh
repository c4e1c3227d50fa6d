#!/usr/bin/env bash
# Old x86: in qemu-user every C++ test on the first 64-bit CPU (SSE2 alone, the least that the library needs), those of kernels
# and bits on Haswell (AVX2 and FMA), and the Python suite on Nehalem (no AVX; the least that NumPy's wheels need today).
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
programs=0
for program in "$tests"/test_*; do
  case $program in *.cmake | *_avx2 | *_avx512) continue ;; esac
  on Opteron_G1 "$program"
  programs=$((programs + 1))
done
for topic in cpu golden kernels gemm math_avx2; do
  on Haswell "$tests/test_$topic"
done
cd "$work/clone/tests"
on Nehalem "$(command -v python)" -m pytest -q -p no:cacheprovider -o addopts= test_activations.py test_arrays.py \
  test_dropout.py test_fit.py test_fit_many.py test_functional.py test_invariance.py test_losses.py test_metrics.py \
  test_network.py test_notes.py test_optimizers.py test_precision.py test_resume.py test_sparse.py test_stop.py
echo "old x86: $programs C++ programs with SSE2 alone, 5 with AVX2; the Python suite's arithmetic without AVX"
