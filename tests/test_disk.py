"""Files are replaced atomically, and a kill leaves nothing behind; pipes, devices and descriptors are written to."""

import os
import stat
import subprocess
import time

import numpy as np
import pytest
from processes import command, environment, start

import chainrule as cr
from chainrule import model_file


@pytest.fixture
def net():
    return cr.Network([3, 5, 4, 2], activation=["tanh", "relu"], loss="softmax_cross_entropy", seed=7)


@pytest.fixture(params=["unnamed", "named"])
def how(request, monkeypatch):
    """Test both ways of writing a new file on every system."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)


# Replacing a file


@pytest.mark.usefixtures("how")
def test_failure_leaves_only_the_old_file(net, tmp_path, monkeypatch):
    path = tmp_path / "model"
    net.save(path)
    before = path.read_bytes()
    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, lambda *_: (_ for _ in ()).throw(OSError("disk full")))
            with pytest.raises(OSError, match="disk full"):
                net.save(path, {"new": "content"})
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("how")
@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_and_links_are_kept(net, tmp_path):
    path = tmp_path / "model"
    umask = os.umask(0o027)
    try:
        net.save(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        (tmp_path / "link").symlink_to(path)
        net.save(tmp_path / "link", {"new": "content"})
    finally:
        os.umask(umask)
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert model_file.load_with_metadata(path)[1] == {"new": "content"}


@pytest.mark.usefixtures("how")
def test_private_file_is_never_readable_by_others(net, tmp_path, monkeypatch):
    path = tmp_path / "model"
    net.save(path)
    path.chmod(0o600)
    sizes = []
    chmod = os.chmod
    monkeypatch.setattr(os, "chmod", lambda file, mode: (sizes.append(os.stat(file).st_size), chmod(file, mode)))
    net.save(path)
    assert sizes == [0]


def test_file_is_written_if_the_folder_cannot_be_flushed(net, tmp_path, monkeypatch):
    opened = os.open

    def refuse_folders(path, flags, *mode):
        if os.path.isdir(path):
            raise PermissionError(path)
        return opened(path, flags, *mode)

    monkeypatch.setattr(os, "open", refuse_folders)
    net.save(tmp_path / "model")
    assert np.array_equal(cr.load(tmp_path / "model").parameters, net.parameters)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("start", ["", "a", "aa"])
def test_longest_file_name_can_be_saved(net, tmp_path, start):
    path = tmp_path / (start + "語" * 84)
    net.save(path)
    net.save(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("how")
def test_saving_over_a_folder_raises(net, tmp_path):
    with pytest.raises(OSError, match="is not a file"):
        net.save(tmp_path)
    with pytest.raises(FileNotFoundError):
        net.save(tmp_path / "nowhere" / "model")


# Pipes, devices and descriptors


def saved_bytes(net, tmp_path):
    net.save(tmp_path / "expected")
    return (tmp_path / "expected").read_bytes()


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="descriptors as files")
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
    assert target.read_bytes() == b"before\nsaid" + expected + b"after"
    assert target.stat().st_ino == inode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected", "link", "log"]


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="descriptors as files")
def test_other_descriptors_are_written_to(net, tmp_path):
    expected = saved_bytes(net, tmp_path)
    with open(tmp_path / "log", "ab") as file:
        file.write(b"before")
        file.flush()
        net.save(f"/dev/fd/{file.fileno()}")
        closed = file.fileno()
    assert (tmp_path / "log").read_bytes() == b"before" + expected
    with pytest.raises(OSError, match=f"cannot write /dev/fd/{closed}: that descriptor is not open"):
        net.save(f"/dev/fd/{closed}")


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="descriptors of other processes")
def test_a_descriptor_of_another_process_is_appended_to(net, tmp_path):
    expected = saved_bytes(net, tmp_path)
    with open(tmp_path / "log", "wb") as file:
        file.write(b"before")
        file.flush()
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file) as other:
            net.save(f"/proc/{other.pid}/fd/1")
            other.stdin.close()
    assert (tmp_path / "log").read_bytes() == b"before" + expected


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_pipes_and_devices_are_written_to(net, tmp_path):
    expected, fifo = saved_bytes(net, tmp_path), tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE) as reader:
        net.save(fifo)
        assert reader.stdout.read() == expected
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    piped = subprocess.run(command("disk.save", "/dev/stdout"), env=environment(), stdout=subprocess.PIPE, check=True)
    assert piped.stdout == b"said" + expected + b"after"
    before = os.stat("/dev/null")
    net.save("/dev/null")
    after = os.stat("/dev/null")
    assert stat.S_ISCHR(after.st_mode)
    assert after.st_ino == before.st_ino
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected", "fifo"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is full")
def test_a_full_device_is_an_error(net):
    with pytest.raises(OSError, match="No space left"):
        net.save("/dev/full")


def test_checkpoints_are_written_to_descriptors(net, tmp_path):
    """Checkpoints and the log of a training too."""
    read, write = os.pipe()
    history = net.fit(np.ones((2, 3)), [0, 1], epochs=1, keep_state=True)
    cr.save_checkpoint(tmp_path / "checkpoint", net, history.state)
    cr.save_checkpoint(f"/dev/fd/{write}", net, history.state)
    os.close(write)
    with open(read, "rb") as pipe:
        assert pipe.read() == (tmp_path / "checkpoint").read_bytes()


# Leftovers of killed programs

EXPECTED = [cr.Network([200, 500, 1], loss="squared_error", seed=seed).parameters.tobytes() for seed in range(2)]


def kill_while_saving(path, how, names):
    with start("disk.save_until_killed", str(path), how, names) as child:
        line = child.stdout.readline()
        time.sleep(np.random.default_rng().uniform(0.01, 0.06))  # at a random moment
        child.kill()
    assert line == "ready\n"


@pytest.mark.parametrize("how", ["unnamed", "named"])
def test_killed_save_leaves_whole_files_and_a_removable_leftover(net, tmp_path, how):
    path = tmp_path / "model"
    for _ in range(10):
        kill_while_saving(path, how, "one")
        if path.exists():
            assert cr.load(path).parameters.tobytes() in EXPECTED
        leftovers = [file for file in tmp_path.iterdir() if file != path]
        assert len(leftovers) <= 1
        if how == "unnamed" and can_write_unnamed(tmp_path):
            assert all(cr.load(file).parameters.tobytes() in EXPECTED for file in leftovers)
    net.save(path)
    assert list(tmp_path.iterdir()) == [path]


def test_killed_save_of_a_new_file_leaves_nothing(tmp_path):
    if not can_write_unnamed(tmp_path):
        pytest.skip("no files without a name")
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        kill_while_saving(folder / "model", "unnamed", "many")
        assert [file.name for file in folder.iterdir() if file.name.startswith(".")] == []
        assert all(cr.load(file).parameters.tobytes() in EXPECTED for file in folder.iterdir())


def can_write_unnamed(folder):
    try:
        os.close(os.open(folder, os.O_WRONLY | os.O_TMPFILE))
    except (AttributeError, OSError):
        return False
    return True


@pytest.mark.usefixtures("how")
def test_leftovers_are_removed_unless_another_program_writes_them(net, tmp_path, monkeypatch):
    path, other = tmp_path / "model", tmp_path / ".models.0123456789ab.tmp"
    path.write_bytes(b"replaced")
    leftovers = [tmp_path / f".model.{digit * 12}.tmp" for digit in "0a"]
    for file in (*leftovers, other):
        file.write_bytes(b"half")
    seen = []
    replace = os.replace

    def replace_while_another_saves(temporary, target):
        if not seen:
            seen.append(temporary)
            cr.Network([2, 1], loss="squared_error").save(path)  # removes leftovers, but not ours
            assert os.path.exists(temporary)
        replace(temporary, target)

    monkeypatch.setattr(os, "replace", replace_while_another_saves)
    net.save(path)
    assert seen
    assert repr(cr.load(path)) == repr(net)
    assert sorted(tmp_path.iterdir()) == sorted([path, other])


@pytest.mark.usefixtures("how")
def test_file_removed_before_it_is_locked_is_rewritten(net, tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    flock, taken = fcntl.flock, []

    def removed_first(file, operation):
        if operation == fcntl.LOCK_EX and not taken:
            taken.extend(tmp_path.iterdir())
            for name in taken:
                name.unlink()
        return flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    net.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]
    assert np.array_equal(cr.load(tmp_path / "model").parameters, net.parameters)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize("failing", ["link", "flock", "listdir"])
def test_saving_works_without_links_locks_or_directory_listing(net, tmp_path, monkeypatch, failing):
    fcntl = pytest.importorskip("fcntl")

    def fail(*_, **__):
        raise OSError("not here")

    monkeypatch.setattr(fcntl if failing == "flock" else os, failing, fail)
    for _ in range(2):
        net.save(tmp_path / "model")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]
    assert np.array_equal(cr.load(tmp_path / "model").parameters, net.parameters)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="a folder that may not be written to")
def test_a_folder_that_cannot_be_written_to_is_named(net, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match=tmp_path.name):
        net.save(tmp_path / "model")
