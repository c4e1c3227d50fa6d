"""Checks what a wheel contains and needs: wheel_content.py repaired WHEEL | symbols WHEEL | same WHEEL WHEEL."""

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
    r"chainrule-[\d.]+\.dist-info/(METADATA|RECORD|WHEEL|entry_points\.txt)",
    r"chainrule-[\d.]+\.dist-info/licenses/LICENSE",
]
SBOM = r"chainrule-[\d.]+\.dist-info/sboms/auditwheel\.cdx\.json"  # auditwheel may add it


def listed(path: Path, *command: str) -> str:
    """Return the output of a binutils command for the extension."""
    wheel = zipfile.ZipFile(path)
    [extension] = [name for name in wheel.namelist() if re.fullmatch(r"chainrule/_core\.[\w.-]+\.so", name)]
    with tempfile.NamedTemporaryFile() as file:
        file.write(wheel.read(extension))
        file.flush()
        return subprocess.run([*command, file.name], check=True, capture_output=True, text=True).stdout


def repaired(path: Path) -> None:
    """Check that the wheel is small and contains exactly the expected files."""
    names = [name for name in zipfile.ZipFile(path).namelist() if not name.endswith("/")]
    strange = [name for name in names if not any(re.fullmatch(pattern, name) for pattern in [*EXPECTED, SBOM])]
    assert strange == [], strange
    missing = [pattern for pattern in EXPECTED if not any(re.fullmatch(pattern, name) for name in names)]
    assert missing == [], missing
    size = path.stat().st_size
    assert size <= MOST_BYTES, size
    print(f"{path.name}: {size} bytes, {len(names)} files")


def symbols(path: Path) -> None:
    """Check that no symbol that the extension imports has a version that older systems lack."""
    needed = re.findall(r"\*UND\*.*?\b(GLIBC|GLIBCXX|CXXABI|GCC)_([\d.]+)\)?\s+(\w+)", listed(path, "objdump", "-T"))
    assert needed, "objdump lists no symbol versions"
    newer = [f"{symbol}@{of}_{v}" for of, v, symbol in needed if tuple(map(int, v.split("."))) > NEWEST[of]]
    assert newer == [], newer
    newest = {of: max((tuple(map(int, v.split("."))) for name, v, _ in needed if name == of)) for of, _, _ in needed}
    print(f"{path.name}: needs at most", *(f"{of}_{'.'.join(map(str, v))}" for of, v in sorted(newest.items())))


def same(one: Path, other: Path) -> None:
    """Check that two wheels contain the same files, byte for byte."""
    wheels = [zipfile.ZipFile(path) for path in (one, other)]
    assert one.name == other.name
    assert sorted(wheels[0].namelist()) == sorted(wheels[1].namelist())
    different = [name for name in wheels[0].namelist() if wheels[0].read(name) != wheels[1].read(name)]
    assert different == [], different


if __name__ == "__main__":
    {"repaired": repaired, "symbols": symbols, "same": same}[sys.argv[1]](*map(Path, sys.argv[2:]))
