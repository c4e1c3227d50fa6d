"""Files replaced as a whole, leaving nothing beside them when killed; pipes, devices and descriptors written to."""

import os
import stat

import numpy as np
import pytest

import chainrule as cr
from chainrule import files


@pytest.fixture
def net():
    return cr.Network([3, 5, 4, 2], activation=["tanh", "relu"], loss="softmax_cross_entropy", seed=7)


# Replacing a file


def test_a_failure_leaves_the_old_file_and_nothing_else(net, tmp_path, monkeypatch):
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
    assert files.load_with_metadata(path)[1] == {"new": "content"}


def test_what_nobody_else_may_read_is_never_readable(net, tmp_path, monkeypatch):
    path = tmp_path / "model"
    net.save(path)
    path.chmod(0o600)
    sizes = []
    chmod = os.chmod
    monkeypatch.setattr(os, "chmod", lambda file, mode: (sizes.append(os.stat(file).st_size), chmod(file, mode)))
    net.save(path)
    assert sizes == [0]


def test_a_folder_that_cannot_be_flushed_has_the_file(net, tmp_path, monkeypatch):
    opened = os.open

    def refuse_folders(path, flags, *mode):
        if os.path.isdir(path):
            raise PermissionError(path)
        return opened(path, flags, *mode)

    monkeypatch.setattr(os, "open", refuse_folders)
    net.save(tmp_path / "model")
    assert np.array_equal(cr.load(tmp_path / "model").parameters, net.parameters)


@pytest.mark.parametrize("start", ["", "a", "aa"])
def test_the_longest_name(net, tmp_path, start):
    path = tmp_path / (start + "語" * 84)
    net.save(path)
    net.save(path)
    assert list(tmp_path.iterdir()) == [path]


def test_folders_are_not_replaced(net, tmp_path):
    with pytest.raises(OSError, match="is not a file"):
        net.save(tmp_path)
    with pytest.raises(FileNotFoundError):
        net.save(tmp_path / "nowhere" / "model")
