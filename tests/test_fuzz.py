"""The loaders on damaged files: a fixed part of those that tests/fuzz/loaders.py generates for hours."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("safetensors")
sys.path.append(str(Path(__file__).parent / "fuzz"))
import loaders


@pytest.mark.parametrize("kind", loaders.KINDS)
def test_damaged_files_load_or_raise_value_error(kind, tmp_path):
    count, taken = loaders.fuzz(kind, tmp_path, 0, lambda count: count < 1000)
    assert 10 < taken < count == 1000  # some files are read, some refused
