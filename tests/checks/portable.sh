#!/usr/bin/env bash
# Compiles the library and the C++ tests of arithmetic for macOS, Windows and static musl, with the compiler of the package
# ziglang, the library's own threads, and warnings as errors. The programs for musl are run, those for aarch64 in qemu-user.
# No function may use more than a quarter of the 128 KiB of stack that a thread has under musl. Arguments select targets:
#     bash tests/checks/portable.sh [x86_64-linux-musl ...]
set -euo pipefail
cd "$(dirname "$0")/../.."
export PIP_DISABLE_PIP_VERSION_CHECK=1
targets=("$@")
if [ $# -eq 0 ]; then
  targets=(x86_64-linux-musl aarch64-linux-musl x86_64-macos aarch64-macos x86_64-windows-gnu)
fi
topics=(bf16 caches cpu gemm golden kernels math_baseline network random schedules sparse)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone --quiet . "$work/clone"
python3 -m venv "$work/venv"
PATH="$work/venv/bin:$PATH"
pip install --quiet cmake ninja ziglang

for target in "${targets[@]}"; do
  folder=$work/$target
  mkdir "$folder"
  for tool in c++ ar ranlib; do
    command="exec python3 -m ziglang $tool"
    if [ $tool = c++ ]; then command+=" -target $target"; fi
    printf '#!/bin/sh\n%s "$@"\n' "$command" >"$folder/$tool"
    chmod +x "$folder/$tool"
  done
  system=Linux flags="-static -Wframe-larger-than=32768"
  case $target in
    *macos) system=Darwin flags=${flags#-static } ;;
    *windows*) system=Windows ;;
  esac
  emulator=
  if [ "$target" = aarch64-linux-musl ]; then emulator=qemu-aarch64; fi
  cmake -S "$work/clone" -B "$folder/build" -G Ninja -DCMAKE_SYSTEM_NAME=$system -DCMAKE_SYSTEM_PROCESSOR="${target%%-*}" \
    -DCMAKE_CXX_COMPILER="$folder/c++" -DCMAKE_AR="$folder/ar" -DCMAKE_RANLIB="$folder/ranlib" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_CXX_FLAGS="$flags" -DCMAKE_CROSSCOMPILING_EMULATOR="$emulator" -DCHAINRULE_THREADS=threads -DCHAINRULE_TESTS=ON \
    -DCHAINRULE_WERROR=ON >"$folder/log" || { cat "$folder/log"; exit 1; }
  cmake --build "$folder/build" --target chainrule "${topics[@]/#/test_}" >"$folder/log" || { cat "$folder/log"; exit 1; }
  tests=compiled
  if [ $system = Linux ]; then
    for topic in "${topics[@]}"; do
      ctest --test-dir "$folder/build" --tests-regex "^test_$topic\$" --no-tests=error --output-on-failure --timeout 3600
    done
    tests="compiled, tests passed"
  fi
  echo "$target: $tests"
done
echo "portable: ${#targets[@]} targets"
