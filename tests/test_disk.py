"""Files are replaced atomically, and a kill leaves nothing behind; pipes, devices and descriptors are written to.

`cpp/test_disk.cpp` makes each system call fail in turn, and kills the program before each one.
"""

import contextlib
import errno
import os
import signal
import stat
import subprocess
import threading

import numpy as np
import pytest
from processes import command, environment, run, start

import chainrule as cr
from chainrule import model_file


@pytest.fixture
def net():
    return cr.Network([3, 5, 4, 2], activation=["tanh", "relu"], loss="softmax_cross_entropy", seed=7)


# Replacing a file


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX limits")
def test_failure_leaves_only_the_old_file(net, tmp_path):
    path = tmp_path / "model"
    net.save(path)
    before = path.read_bytes()
    assert run("disk.save_beyond_the_limit", str(path)) == f"{errno.EFBIG} {path}\n" * 2
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions and links")
def test_permissions_and_links_are_kept(net, tmp_path):
    path = tmp_path / "model"
    umask = os.umask(0o027)
    try:
        net.save(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        (tmp_path / "link").symlink_to(path)
        net.save(tmp_path / "link", {"new": "content"})
        (tmp_path / "to nothing").symlink_to("nothing yet")
        net.save(tmp_path / "to nothing")
    finally:
        os.umask(umask)
    assert (tmp_path / "link").is_symlink()
    assert not (tmp_path / "nothing yet").is_symlink()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link", "model", "nothing yet", "to nothing"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert model_file.load_with_metadata(path)[1] == {"new": "content"}


@pytest.mark.parametrize("start", ["", "a", "aa"])
def test_longest_file_name_can_be_saved(net, tmp_path, start):
    path = tmp_path / (start + "語" * 84)
    net.save(path)
    net.save(path)
    assert list(tmp_path.iterdir()) == [path]


def test_saving_over_a_folder_raises(net, tmp_path):
    with pytest.raises(IsADirectoryError) as raised:
        net.save(tmp_path)
    assert (raised.value.errno, raised.value.filename) == (errno.EISDIR, str(tmp_path))


def test_paths_that_cannot_be_opened_raise(net, tmp_path):
    for path in (tmp_path / "nowhere" / "model", ""):
        with pytest.raises(FileNotFoundError, match="No such file or directory") as raised:
            net.save(path)
        assert raised.value.filename == str(path)
    with pytest.raises(OSError, match="File name too long"):
        net.save(tmp_path / ("a" * 256))
    with pytest.raises(ValueError, match="null byte"):
        net.save("model\0")
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OSError, match="symbolic links"):
        net.save(tmp_path / "link")


# Pipes, devices and descriptors


def saved_bytes(net, tmp_path):
    net.save(tmp_path / "expected")
    return (tmp_path / "expected").read_bytes()


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="needs /dev/fd")
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1", "link"])
@pytest.mark.parametrize("mode", ["ab", "wb"])
def test_redirected_standard_output_is_written_at_its_position(net, tmp_path, mode, name):
    expected, target = saved_bytes(net, tmp_path), tmp_path / "log"
    if not os.path.exists(os.path.dirname(name)) and name != "link":
        pytest.skip(f"no {name}")
    (tmp_path / "link").symlink_to("/dev/stdout")
    target.write_bytes(b"before\n")
    inode = target.stat().st_ino
    with open(target, mode) as file:
        if mode == "wb":
            file.write(b"before\n")
            file.flush()
        subprocess.run(command("disk.save", name), env=environment(), stdout=file, check=True, cwd=tmp_path)
    assert target.read_bytes() == b"before\nprinted" + expected + b"after"
    assert target.stat().st_ino == inode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected", "link", "log"]


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="needs /dev/fd")
def test_other_descriptors_are_written_to(net, tmp_path):
    expected = saved_bytes(net, tmp_path)
    with open(tmp_path / "log", "ab") as file:
        file.write(b"before")
        file.flush()
        net.save(f"/dev/fd/{file.fileno()}")
        closed = file.fileno()
    assert (tmp_path / "log").read_bytes() == b"before" + expected
    with pytest.raises(OSError, match=f"Bad file descriptor: '/dev/fd/{closed}'"):
        net.save(f"/dev/fd/{closed}")


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc/self/fd")
def test_a_descriptor_of_another_process_is_appended_to(net, tmp_path):
    expected = saved_bytes(net, tmp_path)
    with open(tmp_path / "log", "wb") as file:
        file.write(b"before")
        file.flush()
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file) as other:
            net.save(f"/proc/{other.pid}/fd/1")
            other.stdin.close()
    assert (tmp_path / "log").read_bytes() == b"before" + expected


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX pipes")
def test_pipes_and_devices_are_written_to(net, tmp_path):
    expected, fifo = saved_bytes(net, tmp_path), tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE) as reader:
        net.save(fifo)
        assert reader.stdout.read() == expected
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    piped = subprocess.run(command("disk.save", "/dev/stdout"), env=environment(), stdout=subprocess.PIPE, check=True)
    assert piped.stdout == b"printed" + expected + b"after"
    before = os.stat("/dev/null")
    net.save("/dev/null")
    after = os.stat("/dev/null")
    assert stat.S_ISCHR(after.st_mode)
    assert after.st_ino == before.st_ino
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected", "fifo"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_device_is_an_error(net):
    with pytest.raises(OSError, match="No space left"):
        net.save("/dev/full")


def test_checkpoints_are_written_to_descriptors(net, tmp_path):
    read, write = os.pipe()
    history = net.fit(np.ones((2, 3)), [0, 1], epochs=1, keep_state=True)
    cr.save_checkpoint(tmp_path / "checkpoint", net, history.state)
    cr.save_checkpoint(f"/dev/fd/{write}", net, history.state)
    os.close(write)
    with open(read, "rb") as pipe:
        assert pipe.read() == (tmp_path / "checkpoint").read_bytes()


@pytest.fixture
def full_pipe():
    """A pipe that has no room for a byte: writing to it waits."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    size = 0
    while True:
        try:
            size += os.write(write, bytes(4096))
        except BlockingIOError:
            break
    os.set_blocking(write, True)
    yield read, write, size
    os.close(read)
    os.close(write)


@contextlib.contextmanager
def alarm(handler):
    """Send SIGALRM soon, and handle it in this way."""
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        yield
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_writing_to_a_pipe_continues_after_a_signal(net, tmp_path, full_pipe):
    read, write, size = full_pipe
    expected, found = saved_bytes(net, tmp_path), []

    def read_all():
        while sum(map(len, found)) < size + len(expected):
            found.append(os.read(read, 1 << 16))

    reader = threading.Thread(target=read_all)
    with alarm(lambda *_: reader.start()):
        net.save(f"/dev/fd/{write}")
    reader.join()
    assert b"".join(found)[size:] == expected


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_exception_of_a_signal_handler_ends_the_writing_to_a_pipe(net, full_pipe):
    def fail(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), alarm(fail):
        net.save(f"/dev/fd/{full_pipe[1]}")


# Leftovers of killed programs


def test_killed_save_leaves_whole_files_and_a_removable_leftover(net, tmp_path):
    path = tmp_path / "model"
    expected = [cr.Network([200, 500, 1], loss="squared_error", seed=seed).parameters.tobytes() for seed in range(2)]
    for n_saves in range(1, 11):
        with start("disk.save_until_killed", str(path)) as child:
            for _ in range(n_saves):
                assert child.stdout.readline() == "saved\n"
            child.kill()  # during one of the next saves
        assert cr.load(path).parameters.tobytes() in expected
        assert len([file for file in tmp_path.iterdir() if file != path]) <= 1
    net.save(path)
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_are_removed_unless_another_program_has_locked_them(net, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    path, other, locked = (tmp_path / name for name in ("model", ".models.0123456789ab.tmp", ".model.ba9876543210.tmp"))
    for file in (path, other, locked, *[tmp_path / f".model.{digit * 12}.tmp" for digit in "0a"]):
        file.write_bytes(b"half")
    with open(locked, "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        net.save(path)
    assert repr(cr.load(path)) == repr(net)
    assert sorted(tmp_path.iterdir()) == sorted([path, other, locked])


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a read-only folder")
def test_a_folder_that_cannot_be_written_to_is_named(net, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match=tmp_path.name):
        net.save(tmp_path / "model")
