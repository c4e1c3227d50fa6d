#!/usr/bin/env bash
# Fuzzes the C++ reader of model files with libFuzzer, ASan and UBSan, then the Python loaders: fuzz.sh [seconds for each].
# It begins with the files in tests/fuzz/models.zip; KEEP=1 replaces them with a minimal set of files that reaches the
# same code and the newly found code.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-600}
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Only the reader is instrumented: the rest of the library is not fuzzed, and would take long to build.
cmake -S . -B "$work/build" -DCHAINRULE_THREADS=serial -DCHAINRULE_C=OFF >"$work/log"
cmake --build "$work/build" --parallel 2 >>"$work/log" || { tail -50 "$work/log"; exit 1; }
"${CLANG:-clang++}" -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
  -DCHAINRULE_VERSION='"0"' -Icpp -Icpp/include tests/fuzz/model_reader.cpp cpp/files/{sha256,json,safetensors,model_file}.cpp \
  cpp/table/*.cpp \
  "$work/build/cpp/libchainrule.a" -o "$work/model_reader"

"$python" -m zipfile -e tests/fuzz/models.zip "$work/models"
mkdir "$work/found" "$work/kept"
"$work/model_reader" -max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
  -artifact_prefix="$work/" "$work/found" "$work/models" >"$work/log" 2>&1 || { tail -40 "$work/log"; exit 1; }
runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
if [ -n "${KEEP:-}" ]; then
  "$work/model_reader" -merge=1 "$work/kept" "$work/models" "$work/found" 2>"$work/log"
  rm tests/fuzz/models.zip
  "$python" -m zipfile -c tests/fuzz/models.zip "$work"/kept/*
fi

"$python" tests/fuzz/loaders.py "$seconds"
echo "fuzz.sh: C++ reader: $runs files, no fault; Python loaders: see above"
