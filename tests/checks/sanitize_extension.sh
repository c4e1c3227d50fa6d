#!/usr/bin/env bash
# Runs the Python suite on an extension built with AddressSanitizer and UndefinedBehaviorSanitizer. Neither may report
# anything, in any process that a test starts. Needs g++ and a Python with the extra `test`. Arguments are passed to
# pytest instead of the whole suite:
#     bash tests/checks/sanitize_extension.sh [tests/test_arrays.py ...]
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

flags="-O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined"
CXX=g++ "$python" -m pip install -q --no-deps --target "$work/site" -C build-dir="$work/build" -C cmake.build-type=None \
  -C install.strip=false -C cmake.define.CMAKE_CXX_FLAGS="$flags" .

# Leaks are not reported, because the interpreter keeps memory until it ends. With PYTHONMALLOC=malloc, the sanitizer sees
# each object as a block.
export PYTHONMALLOC=malloc PYTHONPATH="$work/site" MPLBACKEND=agg
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
preload="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so)"

# Left out are tests that build or read sources, tests that measure or limit memory, because a sanitizer uses more of it,
# and forks while another thread allocates, after which GCC's sanitizer may hang in the child, waiting for its own lock.
tests=("$@")
if [ $# -eq 0 ]; then
  tests=(tests --ignore=tests/test_codebase.py --ignore=tests/test_docs.py --ignore=tests/test_huge.py
    --ignore=tests/test_cpp_package.py --ignore=tests/test_cpp_files.py
    --deselect=tests/test_sparse.py::test_sparse_input_is_never_converted_to_dense
    --deselect=tests/test_memory.py::test_memory_of_a_fit_on_a_million_rows
    --deselect=tests/test_memory.py::test_memory_of_a_fit_of_many_parameters
    --deselect=tests/test_memory.py::test_fit_on_a_mapped_file_releases_its_pages
    --deselect=tests/test_processes.py::test_fifty_forks_while_another_thread_trains
    --deselect=tests/test_processes.py::test_memory_does_not_grow)
fi
# A report ends the process and is written to the log; in a process that a test started, the test fails.
status=0
LD_PRELOAD="$preload" "$python" -m pytest -q --numprocesses=0 --capture=sys -p no:cacheprovider "${tests[@]}" 2>&1 |
  tee "$work/log" || status=$?
reports=$(grep -c -E "runtime error:|ERROR: AddressSanitizer" "$work/log" || true)
echo "sanitize_extension: pytest ended with $status, $reports reports of the sanitizers"
[ "$status" -eq 0 ] && [ "$reports" -eq 0 ]
