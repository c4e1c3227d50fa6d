"""`mpi.fit` on 1 to 4 ranks: the same bits as on one machine; ranks that fail, are killed or differ."""

import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import Queue

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import environment, state

import chainrule as cr
from chainrule import mpi, scale
from chainrule._executors import identity

FOLDERS = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
if importlib.util.find_spec("mpi4py"):  # the wheel of MPICH has its programs beside those of the packages' environment
    packages = Path(importlib.util.find_spec("mpi4py").origin).parents[4]
    FOLDERS = os.pathsep.join([str(packages / "bin"), FOLDERS])
MPIEXEC = shutil.which("mpiexec", path=FOLDERS) if importlib.util.find_spec("mpi4py") else None
needs_mpi = pytest.mark.skipif(MPIEXEC is None, reason="needs mpi4py and mpiexec: pip install mpi4py mpich")


def start(ranks, function, *arguments):
    """Start a function of tests/children on some ranks."""
    library = str(Path(MPIEXEC).parents[1] / "lib")
    run = [sys.executable, "-m", "mpi4py", "-m", "children", f"ranks.{function}", json.dumps(arguments)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    path = os.pathsep.join(filter(None, [os.environ.get("LD_LIBRARY_PATH"), library]))
    return subprocess.Popen([MPIEXEC, "-n", str(ranks), *run], env=environment(LD_LIBRARY_PATH=path), **options)


def finish(job, seconds=240):
    """Return the status and the output; a job that hangs is killed, and fails the test."""
    try:
        output, _ = job.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        job.kill()
        pytest.fail(f"the job hangs: {job.communicate()[0]}")
    return job.returncode, output


def assert_true_on_all_ranks(folder, ranks, function, *arguments):
    status, output = finish(start(ranks, function, str(folder), *arguments))
    assert status == 0, output
    for rank in range(ranks):
        answers = json.loads((folder / str(rank)).read_text())
        assert answers
        assert [name for name, equal in answers.items() if not equal] == []


@needs_mpi
@pytest.mark.parametrize(
    ("ranks", "how"), [(1, "even"), (2, "uneven"), (2, "none"), (3, "even"), (3, "uneven"), (4, "even"), (4, "none")]
)
def test_any_number_of_ranks_and_rows_gives_the_same_bits_as_one_machine(tmp_path, ranks, how):
    assert_true_on_all_ranks(tmp_path, ranks, "fits", how)


@needs_mpi
def test_rows_in_files_give_the_same_bits_as_arrays_on_one_machine(tmp_path):
    pytest.importorskip("pyarrow")
    assert_true_on_all_ranks(tmp_path, 3, "files")


@needs_mpi
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_resumed_training_gives_the_same_bits_as_uninterrupted_training(tmp_path, ranks):
    assert_true_on_all_ranks(tmp_path, ranks, "resume")


@needs_mpi
@pytest.mark.parametrize("ranks", [2, 3])
def test_callbacks_and_the_clock_of_rank_0_decide_for_all_ranks(tmp_path, ranks):
    assert_true_on_all_ranks(tmp_path, ranks, "callbacks")


@needs_mpi
@pytest.mark.parametrize(
    ("how", "rank", "status"),
    [("raise", 1, 1), ("raise", 0, 1), ("callback", 0, 1), ("kill", 2, 9), ("kill", 0, 9), ("interrupt", 1, 130)],
)
def test_a_rank_that_fails_ends_the_job(how, rank, status):
    """The other ranks, which would train for hours, end within about 1 s, or later on a busy machine."""
    job = start(3, "fails", how, rank)
    lines = []
    for line in job.stdout:
        lines.append(line)
        if line.startswith("fails, the ranks are "):
            break
    found, output = finish(job, seconds=60)
    assert found == status, "".join([*lines, output])
    ranks = json.loads(lines[-1].removeprefix("fails, the ranks are "))
    assert len(set(ranks)) == 3
    limit = time.monotonic() + 60
    while any(map(is_running, ranks)):  # mpiexec may end shortly before them
        assert time.monotonic() < limit
        time.sleep(0.01)


def is_running(pid):
    return state(pid) not in ("", "Z")


@needs_mpi
@pytest.mark.parametrize(
    ("how", "own", "others"),
    [
        ("labels", "ValueError: y[0] is ", "RuntimeError: rank 2 failed: ValueError: y[0] is "),
        ("setting", "ValueError: all ranks need the same setting l2: rank 2 has 0.5, rank 0 has 0.0", None),
        ("seed", "ValueError: all ranks need the same parameters: rank 2 has ", None),
        ("form", "ValueError: X of rank 2 is sparse, that of another rank is dense", None),
        ("dask", "TypeError: X is a Dask collection", "RuntimeError: rank 2 failed: TypeError: X is a Dask"),
        ("dtype", "ValueError: all ranks need the same dtype: rank 2 has float64, rank 0 has float32", None),
        ("version", "ValueError: all ranks need the same chainrule: rank 2 has another, rank 0 has ", None),
        ("isa", "ValueError: all ranks need the same fused multiply-add: rank 2 has no, rank 0 has yes", None),
        ("caught", "ValueError: no more disk", "RuntimeError: rank 2 failed: ValueError: no more disk"),
    ],
)
def test_every_rank_learns_which_rank_failed_and_why(how, own, others):
    if how == "isa" and (identity()["fused multiply-add"] == "no" or platform.machine() in ("aarch64", "arm64")):
        pytest.skip("every instruction set here has, or every one lacks, fused multiply-add")
    if how == "dask":
        pytest.importorskip("dask.array", reason="the extra dask is not installed")
    status, output = finish(start(3, "fails", how, 2), seconds=60)
    assert status == 0, output  # each rank has caught the exception
    for rank in range(3):
        expected = own if rank == 2 or others is None else others
        assert f"rank {rank}: {expected}" in output
    if how != "caught":
        assert output.count("unchanged True") == 3


@needs_mpi
def test_ctrl_c_ends_all_ranks():
    job = start(2, "endless")
    assert job.stdout.readline() == "begun\n"
    job.send_signal(signal.SIGINT)
    status, _ = finish(job, seconds=60)
    assert status != 0


@settings(max_examples=100)
@given(rows=st.integers(1, 60_000), ranks=st.integers(1, 13))
def test_shares_are_aligned_even_and_complete(rows, ranks):
    parts = [part for own in mpi.shares(rows, ranks) for part in own]
    assert [start for start, _ in parts[1:]] == [stop for _, stop in parts[:-1]]
    assert (parts[0][0], parts[-1][1]) == (0, rows)
    scale.combine(scale.PartialGradients(*part, rows, 1.0, np.zeros(1), np.zeros(1)) for part in parts)
    most = max(sum(stop - start for start, stop in own) for own in mpi.shares(rows, ranks))
    assert most <= 1.25 * rows / ranks + scale.LEAF


class Queues:
    """The MPI calls that the all-reduce uses, between threads."""

    def __init__(self, rank, boxes):
        self.rank, self.boxes = rank, boxes

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return len(self.boxes)

    def Send(self, values, dest):
        self.boxes[dest][self.rank].put(values.copy())

    def Recv(self, values, source):
        values[...] = self.boxes[self.rank][source].get(timeout=30)

    def Sendrecv(self, values, dest, recvbuf, source):
        self.Send(values, dest)
        self.Recv(recvbuf, source)


@pytest.mark.parametrize("size", [1, 2, 5, 97])
@pytest.mark.parametrize("ranks", range(1, 10))
def test_the_all_reduce_adds_in_the_order_of_the_tree(ranks, size):
    for rows in (1, 700, 5000, 9 * 512, 20_011):
        random = np.random.default_rng(rows)
        parts = [
            [
                scale.PartialGradients(*part, rows, 1.0, random.normal(size=size).astype("float32"), np.zeros(1))
                for part in own
            ]
            for own in mpi.shares(rows, ranks)
        ]
        expected = scale.combine(part for own in parts for part in own).gradient
        boxes = [[Queue() for _ in range(ranks)] for _ in range(ranks)]
        found = [None] * ranks

        def work(rank, parts=parts, boxes=boxes, found=found, rows=rows, like=expected):
            found[rank] = mpi.all_reduce(Queues(rank, boxes), parts[rank], rows, like)

        threads = [threading.Thread(target=work, args=(rank,)) for rank in range(ranks)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(one.tobytes() == expected.tobytes() for one in found)


def test_without_mpi4py_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.delitem(sys.modules, "mpi4py.MPI", raising=False)
    net = cr.Network([1, 1], loss="squared_error", seed=0)
    with pytest.raises(ImportError, match=re.escape('pip install "chainrule[mpi]"')):
        mpi.fit(net, [[0.0]], [0.0])
