#!/usr/bin/env bash
# How soon Ctrl-C ends a call: every long call of tests/children/interrupt.py twenty times, each in a process of its own,
# with a usable network after it. All in less than a second. Needs an installed chainrule:
#     bash tests/checks/interrupt.sh [times]
set -euo pipefail
cd "$(dirname "$0")/.."
"${PYTHON:-python3}" -m children interrupt.measure "[${1:-20}]"
