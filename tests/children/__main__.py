"""Call a function of a module of this folder: python -m children MODULE.FUNCTION [ARGUMENTS, a list in JSON]."""

import importlib
import json
import sys

module, _, function = sys.argv[1].partition(".")
getattr(importlib.import_module(f"children.{module}"), function)(*json.loads(sys.argv[2] if sys.argv[2:] else "[]"))
