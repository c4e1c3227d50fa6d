"""What a wheel may hold and need: wheel_content.py RAW REPAIRED, or --same CLONE'S RAW... for one of the same name."""

import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# Red Hat 8's, as in manylinux_2_28.
NEWEST = {"GLIBC": (2, 28), "GLIBCXX": (3, 4, 24), "CXXABI": (1, 3, 11), "GCC": (8, 0, 0)}
MOST_BYTES = 3_000_000
EXPECTED = [
    r"chainrule/(\w+/)*\w+\.py",
    r"chainrule/_core\.pyi",
    r"chainrule/_core\.[\w.-]+\.so",
    r"chainrule/py\.typed",
    r"chainrule\.libs/libgomp[\w.-]+",
    r"chainrule-[\d.]+\.dist-info/(METADATA|RECORD|WHEEL|entry_points\.txt)",
    r"chainrule-[\d.]+\.dist-info/licenses/LICENSE",
]


def too_new(extension: bytes) -> list[str]:
    """The versions of symbols that older systems lack, of those that an object takes from elsewhere."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(extension)
        file.flush()
        table = subprocess.run(["objdump", "-T", file.name], check=True, capture_output=True, text=True).stdout
    needed = re.findall(r"\*UND\*.*\(?\b(GLIBC|GLIBCXX|CXXABI|GCC)_([\d.]+)\)?\s+(\w+)", table)
    assert needed, "objdump tells of no versions"
    return [f"{symbol}@{of}_{v}" for of, v, symbol in needed if tuple(map(int, v.split("."))) > NEWEST[of]]


def check(raw: Path, repaired: Path) -> None:
    wheel = zipfile.ZipFile(repaired)
    names = wheel.namelist()
    strange = [name for name in names if not any(re.fullmatch(pattern, name) for pattern in EXPECTED)]
    assert strange == [], strange
    missing = [pattern for pattern in EXPECTED if not any(re.fullmatch(pattern, name) for name in names)]
    assert missing == [], missing
    [extension] = [name for name in zipfile.ZipFile(raw).namelist() if name.endswith(".so")]
    newer = too_new(zipfile.ZipFile(raw).read(extension))
    assert newer == [], newer
    size = repaired.stat().st_size
    assert size <= MOST_BYTES, size
    print(f"{repaired.name}: {size} bytes, {len(names)} files")


def same(of_clone: Path, *raw: Path) -> None:
    [twin] = [wheel for wheel in raw if wheel.name == of_clone.name]
    one, other = (zipfile.ZipFile(wheel) for wheel in (of_clone, twin))
    assert sorted(one.namelist()) == sorted(other.namelist())
    different = [name for name in one.namelist() if one.read(name) != other.read(name)]
    assert different == [], different


if __name__ == "__main__":
    if sys.argv[1] == "--same":
        same(*map(Path, sys.argv[2:]))
    else:
        check(*map(Path, sys.argv[1:]))
