"""The set-up's parts, and what the doctor finds: each alone, without an install."""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from front_door import doctor, environment, pip_words, places
from front_door.terminal import Progress, Stop

# ------------------------------------------------------------------------------------------------------ set-up


@pytest.mark.parametrize(
    ("said", "why", "mend"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full", "make room"),
        ("NewConnectionError(...)\nNo matching distribution", "could not reach its package index", "the connection"),
        ("ERROR: No matching distribution found for torch==2.13.0", "there is no build of it", "pip config list"),
        ("PermissionError: Permission denied: 'x'", "could not be written", "folder of your own"),
        ("ERROR: something new", "pip says 'ERROR: something new'", "read pip's lines above"),
    ],
)
def test_a_failed_install_shows_pips_lines_the_reason_and_the_mend(said: str, why: str, mend: str) -> None:
    message = pip_words.pip_failed(["earlier", *said.splitlines()])
    assert "    earlier\n" in message
    last = message.splitlines()[-1]
    assert why in last
    assert mend in last
    assert "run the same command again" in last
    assert pip_words.reason([])[0] == "pip says 'nothing'"


def test_pips_words_become_a_count() -> None:
    there = ["pip"]
    counter = pip_words.PipCounter("Installing", 3, lambda: len(there))
    shown: list[str] = []
    counter.progress.show = lambda detail, force=False: shown.append(detail)  # type: ignore[method-assign]
    for line in (
        "Ignoring colorama: markers 'sys_platform == \"win32\"' don't match your environment",
        "Collecting numpy==2.4.6 (from -r requirements.lock (line 1))",
        "Downloading numpy-2.4.6-cp311-cp311-linux.whl (16.9 MB)",
        "Requirement already satisfied: torch==2.13.0 in ./x (2.13.0)",
        "Installing collected packages: numpy",
    ):
        counter.line(line)
    there.append("numpy")
    counter.line("")
    assert counter.total == 2
    assert shown[1] == "found 1 of 2 packages, now numpy"
    assert shown[2] == "found 1 of 2 packages, Downloading numpy-2.4.6-cp311-cp311-linux.whl (16.9 MB)"
    assert shown[3] == "found 2 of 2 packages, now torch"
    assert shown[4:] == ["installed 0 of 1 packages", "installed 1 of 1 packages"]


def test_progress_in_a_log_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("Working", every=60)
    for number in range(100):
        progress.show(str(number))
    progress.end("done")
    assert capsys.readouterr().out.splitlines() == ["Working: 0 (0 s)", "Working: done (0 s)"]


@pytest.mark.parametrize("name", [".venv", ".venvs/peer"])
def test_no_room_on_the_disk_is_said_before_anything_is_made(tmp_path: Path, name: str) -> None:
    recipe = environment.Recipe("the packages", tmp_path / name, tmp_path / ".kit", ("a==1",), disk_needed=10**18)
    with pytest.raises(Stop, match=r"GB of disk and .* make room"):
        environment.ensure(recipe)
    assert not (tmp_path / name).exists()


def room(monkeypatch: pytest.MonkeyPatch, free: float) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(int(1e12), 0, int(free * 1e9)))


@pytest.mark.parametrize(("free", "said"), [(5.0, "5.0 GB of disk are free, which may be too little: CUDA."), (11, "")])
def test_little_room_is_warned_of_once_before_the_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], free: float, said: str
) -> None:
    room(monkeypatch, free)
    folder = tmp_path / ".venv"
    recipe = environment.Recipe("x", folder, tmp_path, (), None, int(3e9), int(10e9), "CUDA")
    environment._check_disk(recipe)
    assert capsys.readouterr().out.strip() == said
    folder.mkdir()
    environment._check_disk(recipe)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("system", "free", "state"),
    [
        ("linux", 2.9, "mend"),
        ("linux", 9.9, "note"),
        ("linux", 10.1, "ok"),
        ("darwin", 3.1, "ok"),
        ("win32", 2, "mend"),
    ],
)
def test_the_doctor_tells_how_much_room_the_first_set_up_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, free: float, state: str
) -> None:
    room(monkeypatch, free)
    monkeypatch.setattr(places.sys, "platform", system)
    finding = doctor.disk(tmp_path)
    assert finding.state == state
    assert ("CPU build" in finding.text) is (state == "note")
    installed = environment.python_of(tmp_path / ".venv")
    installed.parent.mkdir(parents=True)
    installed.touch()
    assert doctor.disk(tmp_path).state == "ok"


def test_the_key_follows_what_decides_and_nothing_else(tmp_path: Path) -> None:
    listed, project = tmp_path / "optional.lock", tmp_path / "pyproject.toml"
    project.write_text("one")
    recipe = environment.Recipe("x", tmp_path, tmp_path, ("a==1",), tmp_path, optional=listed)
    assert recipe.optional_pins() == {}, "a missing list is an empty one"
    keys = [recipe.key(), replace(recipe, requirements=("a==2",)).key(), replace(recipe, project=None).key()]
    for file, text in ((project, "two"), (listed, "# only a remark\n"), (listed, "b==3  # without it\n")):
        file.write_text(text)
        keys.append(recipe.key())
    assert len(set(keys)) == 6
    assert recipe.optional_pins() == {"b==3": "without it"}
    assert replace(recipe, name="y", disk_needed=9).key() == recipe.key()


def test_what_an_environment_does_not_hold(tmp_path: Path) -> None:
    here, local = importlib.metadata.version("numpy"), importlib.metadata.version("torch")
    fine = ["NumPy", f"numpy=={here}", f"torch=={local.split('+')[0]}", "nowhere==1 ; sys_platform == 'none'", "x://y"]
    missing = ["nowhere==1", "nowhere==2 ; python_version > '3'", "numpy==0.1"]
    prefix = Path(sys.prefix)
    assert environment.absent(prefix, [*fine, *missing]) == missing
    assert environment.absent(tmp_path, fine) == fine, "there is no Python"


@pytest.mark.skipif(os.name == "nt", reason="commands as on Linux and macOS")
@pytest.mark.parametrize("name", ["moved", "moved né"])
def test_commands_follow_a_move_also_to_where_a_first_line_cannot_name_them(tmp_path: Path, name: str) -> None:
    before, now = tmp_path / "before" / ".venv", tmp_path / name / ".venv"
    commands = now / "bin"
    commands.mkdir(parents=True)
    (commands / "python").symlink_to(getattr(sys, "_base_executable", sys.executable))
    (now / "pyvenv.cfg").write_text(f"home = /usr/bin\ncommand = /usr/bin/python3 -m venv {before}\n")
    heads = {
        "plain": f"#!{before}/bin/python\n",
        "shell": f"#!/bin/sh\n'''exec' \"{before}/bin/python\" \"$0\"\n' '''\n",
    }
    for file, head in heads.items():
        (commands / file).write_text(head + "print('it runs')\n")
        (commands / file).chmod(0o755)
    for _ in range(2):
        environment._follow_a_move(now)
        for file in heads:
            done = subprocess.run([str(commands / file)], capture_output=True, text=True, check=True)
            assert done.stdout == "it runs\n"
    assert str(before) not in (now / "pyvenv.cfg").read_text()


# ------------------------------------------------------------------------------------------------------ doctor


def test_the_doctor_works_where_nothing_is_installed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.doctor(tmp_path) == 1
    told = capsys.readouterr().out
    for word in (
        ".venv is not ready: it has not been made yet",
        "SHA256SUMS is missing",
        "00_start_here.ipynb is",
        "to",
    ):
        assert word in told
    assert "Traceback" not in told


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    content = b"age,hospdead\n60,1\n"
    (tmp_path / "data" / "support2.csv.gz").write_bytes(gzip.compress(content))
    (tmp_path / "data" / "SHA256SUMS").write_text(f"{hashlib.sha256(content).hexdigest()}  support2.csv\n")
    return tmp_path


@pytest.mark.parametrize(
    ("harm", "word"),
    [
        (lambda file: file.unlink(), "missing"),
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), "damaged"),
        (lambda file: file.write_bytes(b"not gzip"), "damaged"),
        (lambda file: file.write_bytes(gzip.compress(b"age\n61\n")), "not the published one"),
        (lambda file: (file.parent / "SHA256SUMS").write_text("x"), "damaged"),
    ],
    ids=["gone", "cut short", "not gzip", "changed", "sums changed"],
)
def test_the_doctor_names_a_bad_table_and_the_mend(table: Path, harm, word: str) -> None:
    assert doctor.data(table).state == "ok"
    harm(table / "data" / "support2.csv.gz")
    finding = doctor.data(table)
    assert finding.state == "mend"
    assert word in finding.text
    assert "git checkout data" in finding.mend


def test_the_doctor_reports_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    assert doctor.writable(tmp_path).state == "ok"
    assert doctor.writable(tmp_path / "absent").state == "mend"


@pytest.mark.skipif(os.name == "nt", reason="permissions as on Linux and macOS")
def test_the_doctor_reports_temporary_files_from_which_no_program_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor.temporary(tmp_path).state == "ok"
    monkeypatch.setattr(Path, "chmod", lambda path, mode: None)  # as on a disk that is mounted so
    finding = doctor.temporary(tmp_path)
    assert finding.state == "mend"
    assert "TMPDIR" in finding.mend


def test_no_variable_of_another_program_reaches_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONWARNINGS", "VIRTUAL_ENV", "JUPYTERLAB_DIR", "JUPYTER_PATH")
    names += ("MPLBACKEND", "MATPLOTLIBRC", "ALL_PROXY", "all_proxy")
    for name in names:
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("PYTHONUTF8", "1")
    values = places.jupyter_environment()
    assert [name for name in names if name in values] == []
    assert values["PYTHONNOUSERSITE"] == values["PYTHONUTF8"] == "1"
    assert values["HTTPS_PROXY"] == "http://proxy:3128"
