"""Replaces files atomically, and writes to pipes, devices and open descriptors such as /dev/stdout.

If the system supports it (`O_TMPFILE`), a new file has no name until it is complete, so a killed program leaves nothing
behind. On other systems, and while one file replaces another, the new file has a hidden name and is locked. The next
save removes hidden files that are no longer locked.
"""

import contextlib
import os
import re
import stat
import sys
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

fcntl: Any = None  # Windows does not have it and needs no lock: an open file cannot be removed there
with contextlib.suppress(ImportError):
    import fcntl

StrPath: TypeAlias = str | os.PathLike[str]

_DESCRIPTOR = re.compile(r"/dev/fd/(\d+)|/proc/(self|thread-self|\d+)(?:/task/\d+)?/fd/(\d+)")
_MOST_LINKS = 40  # the limit of the Linux kernel for the symbolic links in a path


def write_atomically(path: StrPath, data: bytes) -> None:
    """Replace the content of a file atomically; it is on the disk when this returns. A symbolic link stays a link.

    A target that is not a file is written to instead: a pipe, a device, or an open descriptor (/dev/stdout,
    /dev/fd/3), which keeps its position and may have been opened for appending.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from chainrule._disk import write_atomically
    >>> path = pathlib.Path(tempfile.mkdtemp(), "file")
    >>> write_atomically(path, b"content")
    >>> path.read_bytes()
    b'content'
    """
    descriptor = _open_descriptor(path)
    if descriptor is not None:
        return _write_through(descriptor, data)
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise OSError(f"cannot write {target}: it is not a file")
    if target.exists() and not target.is_file():
        return _write_through(os.open(target, os.O_WRONLY), data)
    remove_leftovers(target)
    if not _replace_by_unnamed(target, data):
        _replace_by_named(target, data)
    if hasattr(os, "O_DIRECTORY"):  # syncs the folder, so that the new name is on the disk
        with contextlib.suppress(OSError):  # some systems cannot sync a folder; the file is complete anyway
            folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    return None


def remove_leftovers(path: StrPath) -> None:
    """Remove temporary files that terminated programs left when writing this path with `write_atomically`."""
    target = Path(os.path.realpath(path))
    pattern = re.compile(rf"\.{re.escape(_stem(target))}\.[0-9a-f]{{12}}\.tmp")
    with contextlib.suppress(OSError):  # raised for a folder that may be written to but not listed
        for name in filter(pattern.fullmatch, os.listdir(target.parent)):
            with contextlib.suppress(OSError):  # raised if its program still has it locked, or it is gone
                _remove_unlocked(target.with_name(name))


def _open_descriptor(path: StrPath) -> int | None:
    """Open the descriptor to which a path such as /dev/stdout refers; return None for other paths.

    Opening /dev/stdout again would write from the start of the file, even after ``>>``, and a rename would replace it.
    """
    place = os.path.abspath(path)
    for _ in range(_MOST_LINKS):
        place = os.path.join(os.path.realpath(os.path.dirname(place)), os.path.basename(place))
        if match := _DESCRIPTOR.fullmatch(place):
            own, process, number = match.groups()
            if process not in (None, "self", "thread-self", str(os.getpid())):
                return os.open(place, os.O_WRONLY | os.O_APPEND)
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError, AttributeError):  # no stream, or it has no descriptor
                    stream.flush()  # so that earlier output comes first
            try:
                return os.dup(int(own or number))
            except (OSError, OverflowError) as error:
                raise OSError(f"cannot write {os.fspath(path)}: that descriptor is not open") from error
        if not os.path.islink(place):
            return None
        place = os.path.join(os.path.dirname(place), os.readlink(place))
    return None


def _write_through(descriptor: int, data: bytes) -> None:
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(OSError):  # raised for pipes and terminals
            os.fsync(descriptor)


def _replace_by_unnamed(target: Path, data: bytes) -> bool:
    """Write a file that has no name until it is complete; return False if the system does not support that."""
    if not hasattr(os, "O_TMPFILE"):
        return False
    try:
        descriptor = os.open(target.parent, os.O_WRONLY | os.O_TMPFILE, 0o666)
    except OSError:  # not supported by this file system; any other error recurs when the named file is opened
        return False
    with open(descriptor, "wb") as file:
        _lock(file)
        _fill(file, descriptor, target, data)
        for name in (target, _temporary_name(target)):
            try:
                # src_dir_fd makes this linkat with AT_SYMLINK_FOLLOW, which gives the file itself a name
                os.link(f"/proc/self/fd/{descriptor}", name, src_dir_fd=descriptor)
            except FileExistsError:  # the target exists: only a rename can replace it
                continue
            except OSError:
                break
            if name != target:
                _rename(name, target)
            return True
    return False


def _replace_by_named(target: Path, data: bytes) -> None:
    while True:
        temporary = _temporary_name(target)
        # os.open, not tempfile: a new file gets the permissions of the user's umask
        file = open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb")  # noqa: SIM115
        with file:
            _lock(file)
            if os.name == "posix" and os.fstat(file.fileno()).st_nlink == 0:
                continue  # another program removed it as a leftover before it was locked
            try:
                _fill(file, temporary, target, data)
                if os.name != "posix":
                    file.close()  # Windows cannot rename an open file
                _rename(temporary, target)
            except BaseException:
                file.close()
                with contextlib.suppress(OSError):
                    temporary.unlink()
                raise
            return


def _fill(file: BinaryIO, name: Path | int, target: Path, data: bytes) -> None:
    if target.exists():
        os.chmod(name, stat.S_IMODE(target.stat().st_mode))  # before there is any content to read
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _rename(temporary: Path, target: Path) -> None:
    try:
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _lock(file: BinaryIO) -> None:
    """Lock a file until it is closed or the program ends."""
    if fcntl is not None:
        with contextlib.suppress(OSError):  # raised by file systems without locks; leftovers stay there
            fcntl.flock(file, fcntl.LOCK_EX)


def _remove_unlocked(leftover: Path) -> None:
    if fcntl is None:
        return leftover.unlink()
    with open(os.open(leftover, os.O_RDWR | os.O_NOFOLLOW), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        leftover.unlink()
    return None


def _temporary_name(target: Path) -> Path:
    return target.with_name(f".{_stem(target)}.{os.urandom(6).hex()}.tmp")


def _stem(target: Path) -> str:
    """Return the file's name cut to at most 100 bytes, at a character boundary, to leave room for a suffix."""
    name, end = os.fsencode(target.name), 100
    while end < len(name) and name[end] & 0xC0 == 0x80:
        end -= 1
    return os.fsdecode(name[:end])
