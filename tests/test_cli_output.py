"""Files and streams of the command line: what is written where, what is refused in advance, signals."""

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from processes import start
from tables import failure, make_table, run, train

import chainrule as cr
from chainrule.cli import _output, _train

pytestmark = pytest.mark.usefixtures("elsewhere")
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX devices and signals")

COMMAND = f"{sys.executable} -m chainrule"
TRAIN = f"{COMMAND} train houses.csv --target dear --ignore price --epochs 2"


def shell(command, **options):
    return subprocess.run(command, shell=True, capture_output=True, text=True, **options)


@pytest.fixture
def model(houses):
    train(houses, "--target", "dear", "--ignore", "price", "--epochs", 2, "--output", "m.safetensors")
    make_table().drop(columns=["dear", "price"]).to_csv("new.csv", index=False)
    return "m.safetensors"


# Output of predictions


@posix
@pytest.mark.parametrize("output", ["", "--output -", "--output /dev/stdout", "--output /dev/fd/1"])
def test_predictions_are_appended_to_a_redirected_file(model, output):
    Path("all.txt").write_text("before\n")
    done = shell(f"{COMMAND} predict {model} new.csv {output} >> all.txt")
    assert (done.returncode, done.stderr) == (0, "")
    lines = Path("all.txt").read_text().splitlines()
    assert lines[:2] == ["before", "dear"]
    assert len(lines) == 302


@pytest.mark.parametrize(("name", "read"), [
    ("p.csv", pd.read_csv),
    ("p.csv.gz", pd.read_csv),
    ("P.CSV.GZ", lambda path: pd.read_csv(path, compression="gzip")),
    ("p.tsv", lambda path: pd.read_csv(path, sep="\t")),
    ("p.tsv.gz", lambda path: pd.read_csv(path, sep="\t", compression="gzip")),
    ("p.parquet", pd.read_parquet),
])  # fmt: skip
def test_predictions_are_written_in_the_format_of_the_file_name(model, capsys, name, read):
    assert run("predict", model, "new.csv") == 0
    expected = capsys.readouterr().out.splitlines()[1:]
    for _ in range(2):
        assert run("predict", model, "new.csv", "--output", name) == 0
    table = read(name)
    assert list(table) == ["dear"]
    assert table.dear.tolist() == expected


def test_probabilities_in_parquet_are_numbers(model):
    assert run("predict", model, "new.csv", "--probabilities", "--output", "p.parquet") == 0
    table = pd.read_parquet("p.parquet")
    assert table["probability no"].dtype == "float32"
    assert (table["probability no"] + table["probability yes"]).to_numpy() == pytest.approx(1)


@pytest.mark.parametrize("name", ["p", "p.xlsx", "p.gz", "p.csv.zip", "p.parquet.gz"])
def test_unknown_suffixes_are_an_error_before_the_model_is_read(name, houses, capsys):
    message = failure(capsys, "predict", "nowhere", houses, "--output", name)
    assert f"cannot write {name}: its name should end in .csv, .tsv, .csv.gz, .tsv.gz or .parquet" in message


def test_parquet_output_without_pyarrow_names_the_extra(model, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert "chainrule[parquet]" in failure(capsys, "predict", model, "new.csv", "--output", "p.parquet")


def test_non_ascii_predictions_are_utf8_on_any_console(houses):
    make_table().assign(dear=["schön", "häßlich", "–"] * 100).to_csv("t.csv", index=False)
    train("t.csv", "--target", "dear", "--epochs", 1)
    done = subprocess.run(
        [*COMMAND.split(), "predict", "t.safetensors", "t.csv"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0
    assert set(done.stdout.decode().split()) <= {"dear", "schön", "häßlich", "–"}


# Output of models


@posix
@pytest.mark.parametrize("output", ["-", "/dev/stdout"])
def test_model_on_standard_output_equals_the_file(houses, output):
    assert shell(TRAIN).returncode == 0
    done = subprocess.run([*TRAIN.split(), "--output", output], capture_output=True)
    assert done.returncode == 0
    assert done.stdout == Path("houses.safetensors").read_bytes()
    assert b"model     standard output" in done.stderr


def test_model_is_not_written_to_a_terminal(houses, capsys, monkeypatch):
    monkeypatch.setattr(os, "isatty", lambda descriptor: True)
    message = failure(capsys, "train", houses, "--target", "dear", "--output", "-")
    assert message == "chainrule: a model is not text: redirect standard output, or name a file with --output\n"


@posix
def test_results_are_written_to_pipes_and_devices(model):
    os.mkfifo("pipe")
    for command in (f"{COMMAND} predict m.safetensors new.csv", TRAIN):
        with subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE) as reader:
            done = shell(f"{command} --output pipe")
            assert (done.returncode, done.stderr) == (0, "")
            received = reader.communicate()[0]
        assert len(received) > 300
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)
    assert shell(f"{COMMAND} predict m.safetensors new.csv --output /dev/null").returncode == 0
    done = shell(f"{COMMAND} predict m.safetensors new.csv --output /dev/full")
    assert (done.returncode, done.stderr) == (1, "chainrule: /dev/full: No space left on device\n")
    done = shell(f"{COMMAND} predict m.safetensors new.csv --output /dev/stderr")
    assert done.stderr.startswith("dear\n")


# Errors before the training


def unwritable():
    os.mkdir("folder")
    yield "folder", "folder: is a folder, expected a file to write"
    yield "no/m", "no such folder"
    yield "x" * 300, "File name too long"
    os.symlink("loop", "loop")
    yield "loop", "Too many levels of symbolic links"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    yield "socket", "socket: is a socket, expected a file to write"
    yield "houses.csv/m", "no such folder"


@posix
def test_unwritable_outputs_raise_before_the_table_is_read(elsewhere, capsys):
    Path("houses.csv").write_text("not read")
    for output, message in unwritable():
        assert message in failure(capsys, "train", "nowhere.csv", "--target", "dear", "--output", output), output
        assert message in failure(capsys, "predict", "nowhere", "nowhere.csv", "--output", output), output
        assert message in failure(capsys, "demo", "--output", output), output


@posix
def test_permissions_are_checked_before_training(houses, capsys, monkeypatch):
    Path("kept.csv").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root, who has every permission
    assert "kept.csv: Permission denied" in failure(capsys, "predict", "nowhere", houses, "--output", "kept.csv")


@posix
@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT])
def test_unwritable_folder_raises_before_training(houses, capsys, monkeypatch, number):
    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(_output.tempfile, "TemporaryFile", refuse)
    message = failure(capsys, "train", "nowhere.csv", "--target", "dear")
    assert message == f"chainrule: {os.getcwd()}: {os.strerror(number)}\n"


def test_output_check_changes_no_file(houses, capsys):
    Path("m.safetensors").write_bytes(b"old")
    failure(capsys, "train", houses, "--target", "nothing", "--output", "m.safetensors")
    assert Path("m.safetensors").read_bytes() == b"old"
    assert sorted(os.listdir()) == ["houses.csv", "m.safetensors"]


@pytest.mark.parametrize("options", [[], ["--effort", "accurate"], ["--hidden", "300,300"]])
def test_full_disk_raises_before_training(houses, capsys, monkeypatch, options):
    train(houses, "--target", "dear", *options, "--time-limit", 1e-3, "--output", "m.safetensors")
    size = cr.load("m.safetensors").network_.parameters.nbytes
    monkeypatch.setattr(_output.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": size - 1}))
    message = failure(capsys, "train", houses, "--target", "dear", *options)
    assert f"houses.safetensors: the model needs {size:,} bytes, the disk has {size - 1:,}" in message


# Consoles


@posix
def test_characters_missing_on_the_console_are_escaped(houses):
    make_table().rename(columns={"dear": "größe–"}).to_csv("t.csv", index=False)
    command = [*COMMAND.split(), "train", "t.csv", "--target", "größe–", "--epochs", "1"]
    for encoding, shown in {"ascii": b"gr\\xf6\\xdfe\\u2013", "latin-1": b"gr\xf6\xdfe\\u2013"}.items():
        done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding})
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"target    " + shown in done.stdout
    done = subprocess.run(
        [*command, "--ignore", "–"], capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert done.returncode == 1
    assert b"'\\u2013'" in done.stderr


@posix
@pytest.mark.parametrize(("redirect", "message"), [
    (">&-", "standard output: it is closed"),
    ("> /dev/full", "standard output: No space left on device"),
    ("| true", "standard output: Broken pipe"),
])  # fmt: skip
def test_model_is_saved_when_standard_output_fails(houses, redirect, message):
    done = shell(f"set -o pipefail; {TRAIN} {redirect}", executable="/bin/bash")
    assert (done.returncode, done.stderr) == (1, f"chainrule: {message}; the model is saved in houses.safetensors\n")
    cr.load("houses.safetensors")


@posix
def test_quiet_needs_no_standard_output(houses):
    done = shell(f"{TRAIN} --quiet >&-")
    assert (done.returncode, done.stderr) == (0, "")
    done = shell(f"{TRAIN} --quiet >&- 2>&-")
    assert (done.returncode, done.stderr) == (0, "")


@posix
def test_closed_standard_error_does_not_redirect_messages(houses):
    done = shell(f"{COMMAND} info nowhere 2>&-")
    assert (done.returncode, done.stdout) == (1, "")


@posix
@pytest.mark.parametrize("command", ["predict m.safetensors new.csv", "info m.safetensors", "info"])
@pytest.mark.parametrize(("redirect", "message"), [(">&-", "it is closed"), ("> /dev/full", "No space left on device")])
def test_other_commands_report_failing_standard_output(model, command, redirect, message):
    done = shell(f"{COMMAND} {command} {redirect}")
    assert (done.returncode, done.stderr) == (1, f"chainrule: standard output: {message}\n")


# Signals

LONG = ["--target", "price", "--ignore", "dear", "--hidden", "1024,1024", "--learning-rate", "1e-6"]


@posix
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_terminated_training_saves_the_model(houses, name, code):
    with start("cli.report_epochs", "train", houses, *LONG, "--epochs", "1000000") as process:
        for line in process.stdout:
            if line.startswith("epoch"):
                break
        process.send_signal(getattr(signal, name))
        out, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (code, "chainrule: terminated\n"), out
    assert "model     houses.safetensors" in out
    cr.load("houses.safetensors")


@posix
def test_main_restores_the_signal_handlers(model):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)]
    assert run("info", model) == 0
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)] == before


# The penalty


def test_the_penalty_does_not_depend_on_a_batch_size_larger_than_the_number_of_rows(houses, capsys):
    contents = []
    for batch in (216, 1000, 1_000_000):  # the training part has 216 rows
        options = ["--batch-size", batch, "--epochs", 3, "--l2", 0.5]
        assert run("train", houses, "--target", "dear", *options) == 0
        assert "batches of 216, l2 0.5," in capsys.readouterr().out
        contents.append(Path("houses.safetensors").read_bytes())
    assert contents[0] == contents[1] == contents[2]


@posix
@pytest.mark.parametrize("module", ["numpy", "numpy._core.multiarray", "chainrule.cli._parser", "pandas", "narwhals"])
def test_ctrl_c_during_imports_prints_one_line(model, module):
    process = start("cli.interrupt_an_import", module)
    assert (*process.communicate(), process.returncode) == ("", "chainrule: interrupted\n", 1)


@posix
def test_importing_the_package_keeps_the_signal_handler(houses):
    code = "import signal, chainrule; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    for command in (["-c", code], ["-c", code, "chainrule"]):
        assert subprocess.run([sys.executable, *command]).returncode == 0
    Path("program.py").write_text(code)
    for command in (["program.py"], ["-m", "program"]):
        assert subprocess.run([sys.executable, *command], cwd=os.getcwd()).returncode == 0


@posix
@pytest.mark.parametrize("presses", [1, 2])
def test_second_interruption_keeps_the_model_and_third_discards_it(houses, capsys, monkeypatch, presses):
    score = _train._score

    def pressed_again(*arguments):
        for _ in range(presses):
            os.kill(os.getpid(), signal.SIGINT)
        return score(*arguments)

    monkeypatch.setattr(_train, "_score", pressed_again)
    assert run("train", houses, "--target", "dear", "--epochs", 2) == 1
    printed = capsys.readouterr()
    assert ("model     houses.safetensors" in printed.out) == (presses == 1)
    assert printed.err == "chainrule: interrupted\n"
    assert Path("houses.safetensors").exists() == (presses == 1)
