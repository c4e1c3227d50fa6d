#!/usr/bin/env bash
# Fuzzes the C++ reader of model files with libFuzzer, ASan and UBSan, then the Python loaders: fuzz.sh [seconds for each].
# With KEEP=tests/fuzz/models in the environment, the few files that reach anything new are kept there.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-600}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The reader alone is instrumented: the rest of the library is not what is looked at, and takes long to build so.
cmake -S . -B "$work/build" -DCHAINRULE_THREADS=serial >"$work/log"
cmake --build "$work/build" --parallel 2 >>"$work/log" || { tail -50 "$work/log"; exit 1; }
"${CLANG:-clang++}" -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
  -DCHAINRULE_VERSION='"0"' -Icpp -Icpp/include tests/fuzz/model_reader.cpp cpp/net/{json,safetensors,model_file}.cpp \
  "$work/build/libchainrule.a" -o "$work/model_reader"

mkdir "$work/found"
cd "$work"
./model_reader -max_total_time="$seconds" -max_len=2048 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
  found "$OLDPWD/tests/fuzz/models" >fuzz.log 2>&1 || { tail -40 fuzz.log; exit 1; }  # with the file in Base64
runs=$(sed -n 's/^stat::number_of_executed_units: *//p' fuzz.log)
edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' fuzz.log | tail -1)
cd "$OLDPWD"
if [ -n "${KEEP:-}" ]; then
  "$work/model_reader" -merge=1 "$KEEP" "$work/found" >"$work/fuzz.log" 2>&1
fi

"${PYTHON:-python3}" tests/fuzz/loaders.py "$seconds"
echo "fuzz.sh: C++ reader: $runs files, $edges edges, no fault; Python loaders: above"
