#!/usr/bin/env bash
# Measures how soon Ctrl-C ends a call. Each long call of tests/children/interrupt.py is interrupted twenty times, each
# time in a new process. It must end in less than a second and leave a usable network. Needs an installed chainrule:
#     bash tests/checks/interrupt.sh [times]
set -euo pipefail
cd "$(dirname "$0")/.."
"${PYTHON:-python3}" -m children interrupt.measure "[${1:-20}]"
