"""Hostile notebooks are marked within their limits, and no trick makes a mark.

Of `collect`, `judge_process`, `answer_process` and `line`.
"""

from __future__ import annotations

import io
import json
import os
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ppml_helpers import exercises
from ppml_helpers.anonymise import Hierarchy
from ppml_helpers.course import ROOT
from ppml_helpers.errors import ExerciseError
from ppml_helpers.exercises import collect, judge_process
from ppml_helpers.exercises.line import Gone, Line, NotPlain
from ppml_helpers.private_statistics import Budget
from ppml_helpers.sandbox import runner

SMALL = replace(collect.LIMITS, memory=3 * 2**29, processes=30, disk=16 * 2**20)
RIGHT = {"00.1": "362 / 596", "00.2": '["alb", "scoma"]', "00.3": "0.794"}
NAME = f"{Hierarchy.__module__}.Hierarchy"
kept = pytest.mark.skipif(runner.confinement() == "limits", reason="this system has neither namespaces nor Landlock")


def handed_in(path: Path, *sources: str, tags: tuple[str, ...] = ()) -> Path:
    cells = [{"cell_type": "code", "metadata": {"tags": list(tags)}, "source": source} for source in sources]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def answer(name: str, text: str) -> str:
    return f'from ppml_helpers.exercises import check\ncheck("{name}", {text})'


# What hostile notebooks do

REACHES = """
import glob, os, shutil, socket, sys
reached = []
for name, attempt in {{
    "another learner's file": lambda: open("{folder}/carl/my copy.ipynb").read(),
    "the lecturer's solutions": lambda: open("{course}/notebooks/00_start_here.ipynb").read(),
    "the tests": lambda: os.listdir("{course}/tests"),
    "the course": lambda: open("{course}/ppml_helpers/exercises/frame.py", "a"),
    "the patients": lambda: os.unlink(glob.glob("{course}/data/*.csv*")[0]),
    "the network": lambda: socket.create_connection(("127.0.0.1", {port}), 2),
}}.items():
    try:
        attempt()
    except OSError:
        continue
    reached.append(name)
for folder in ("{folder}", "{course}", os.path.expanduser("~")):
    shutil.rmtree(folder, ignore_errors=True)
"""
HUGE = """
import sys
print("x" * 50_000_000)
sys.stderr.write("x" * 50_000_000)
hog = []
while True:
    hog.append(bytearray(2**27))
"""

# A forged line for whatever channel is found, and tries at every one that could be there.
FORGERY = """
import ctypes, glob, json, os
import ppml_helpers.exercises as exercises
from ppml_helpers.exercises import frame, judge_process, store
forged = "".join(json.dumps([key, f"00.{n}", "right", "x"]) + "\\n" for key in ("", "key") for n in (1, 2, 3))
frame.Exercise.reply = lambda self, answer: frame.right("yes")
exercises.check = lambda *_, **__: print("\\u2714 Right: yes") or frame.right("yes")
exercises.check("00.1", 0.1)
store.change(lambda before: store.Saved(frozenset({"00.1", "00.2", "00.3"})))
attempts = [lambda at=at: os.write(at, forged.encode()) for at in range(1, 3)]
others = {path.split("/")[2] for path in glob.glob("/proc/[0-9]*")} - {str(os.getpid())}
for process in others | {str(os.getppid())}:
    for at in range(1, 30):
        attempts.append(lambda path=f"/proc/{process}/fd/{at}": open(path, "w").write(forged))
    attempts.append(lambda path=f"/proc/{process}/mem": open(path, "rb+"))
for place in (".", "/", "/tmp", os.environ["HOME"]):
    for name in ("stdout", "asked.json", "verdicts.json", "marks.csv", "key"):
        attempts.append(lambda path=f"{place}/{name}": open(path, "a").write(forged))
attempts.append(lambda: ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0))
for attempt in attempts:
    try:
        attempt()
    except BaseException:
        pass
"""
KILLS = "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"
LEAVES = "import os; os._exit(0)"

THIEF = """
def attack(knock):
    try:
        return knock.__defaults__[0].__closure__[0].cell_contents
    except (AttributeError, TypeError):
        return "".join(map(str, (cell.cell_contents for cell in knock.__closure__)))
"""
OPENS_THE_TOTAL = """
def total_deaths(shared, board):
    total = shared[0]
    for deaths in shared[1:]:
        total = total + deaths
    return board.open(total)
"""
RECONSTRUCTS = "import numpy as np\nreconstruct = lambda shares: shares.sum(axis=0, dtype=np.uint32).view(np.int32)"


def fill(folder: Path, port: int) -> None:
    """Notebooks of learners of many kinds, and what is no notebook at all."""
    reaches = REACHES.format(folder=folder, course=ROOT, port=port)
    told, one, two = answer("00.3", "0.794 if not reached else reached"), answer("00.1", "0.5"), answer("00.2", "[]")
    handed_in(folder / "anna" / "00_start.ipynb", answer("00.2", RIGHT["00.2"]), HUGE, reaches, told, FORGERY, KILLS)
    retyped = "from ppml_helpers.exercises import check as ok\nok( '00.1' , 362 / 596)"
    handed_in(folder / "carl" / "my copy.ipynb", "1 / 0", one, retyped, f"keep = {RIGHT['00.2']}", FORGERY)
    handed_in(folder / "=dora.ipynb", answer("00.1", RIGHT["00.1"]), one, two, LEAVES)
    handed_in(folder / "thief" / "a.ipynb", THIEF + answer("07b.2", "attack"))
    honest = [OPENS_THE_TOTAL, answer("09.4", "total_deaths"), RECONSTRUCTS]
    handed_in(folder / "honest.ipynb", *honest)
    handed_in(folder / "nobody.ipynb", "x = 1")
    handed_in(folder / ".ipynb_checkpoints" / "00_start.ipynb", "x = 1")
    for name, text in {"text": "not JSON", "list": "[1]", "deep": "[" * 200_000}.items():
        (folder / f"{name}.ipynb").write_text(text)
    with (folder / "large.ipynb").open("wb") as stream:
        stream.truncate(500 * 2**20)
    (folder / "link.ipynb").symlink_to(ROOT / "notebooks" / "00_start_here.ipynb")
    (folder / "elsewhere").symlink_to(ROOT / "notebooks")
    (folder / "packed.zip").write_bytes(b"PK")
    os.mkfifo(folder / "pipe.ipynb")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """One marking of all of them; the table is read back from its file. The secret key is known, as it never is."""
    folder = tmp_path_factory.mktemp("returned")
    with socket.create_server(("127.0.0.1", 0)) as door, pytest.MonkeyPatch.context() as patched:
        patched.setattr(collect.secrets, "token_hex", lambda size: "key")
        fill(folder, door.getsockname()[1])
        before = {path: path.lstat() for path in [folder, *folder.rglob("*"), *(ROOT / "data").glob("*")]}
        out = folder.with_name("marks.csv")
        collect.write(list(collect.marks(folder, SMALL)), out)
        # All but the time of the last access, which reading may change.
        assert {path: path.lstat()[:7] for path in before} == {path: one[:7] for path, one in before.items()}
        assert {path: path.lstat().st_mtime for path in before} == {path: one.st_mtime for path, one in before.items()}
    return pd.read_csv(out, dtype=str, keep_default_na=False).set_index(["learner", "exercise"])


@kept
@pytest.mark.parametrize(
    ("learner", "exercise", "mark", "said"),
    [
        ("anna", "00.1", "to be looked at", "ended the judge"),
        ("anna", "00.2", "right", "third day"),
        ("anna", "00.3", "right", "19.7 in 100"),
        ("carl", "00.1", "right", "362 of 596"),
        ("carl", "00.2", "right", "third day"),
        ("carl", "00.3", "open", "code cell 1 stopped with ZeroDivisionError"),
        ("'=dora", "00.1", "not yet", str(exercises.check("00.1", 0.5).text)),
        ("'=dora", "00.3", "to be looked at", "code cell 4 ended its kernel"),
        ("thief", "07b.2", "not yet", ""),
        ("honest", "09.4", "right", "One number on the board"),
        ("honest", "09.1", "right", "Any number of parties"),
    ],
)
def test_a_mark_is_what_the_answer_deserves(found, learner, exercise, mark, said):
    """Not even a forged verdict with the right key is one: the channel of the verdicts is out of reach."""
    row = found.loc[learner, exercise]
    assert (row.mark, said in row.sentence) == (mark, True), row.sentence


@kept
def test_a_file_that_is_no_notebook_has_a_sentence(found):
    told = found.xs("", level="exercise")
    assert set(told.mark) == {"to be looked at"}
    says = {"nobody": "No exercise of the course", "large": "has 500 MB", "packed": "is an archive"}
    says |= dict.fromkeys(("text", "list", "deep"), "no notebook that Jupyter")
    says |= dict.fromkeys(("link", "pipe"), "no ordinary file")
    assert set(told.index) == set(says)
    assert all(words in told.sentence[name] for name, words in says.items())


def test_a_theft_of_the_token_works_in_the_learners_own_kernel():
    """Where it lies in the closure of `knock`: so the row of the thief above is a test."""
    own: dict[str, object] = {}
    exec(THIEF, own)
    assert exercises.check("07b.2", own["attack"], record=False).right


FORKS = "import os, time\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        time.sleep(1)"


@kept
def test_what_takes_too_long_ends(tmp_path):
    handed_in(tmp_path / "00_start.ipynb", FORKS, answer("00.2", RIGHT["00.2"]))
    limits = replace(SMALL, memory=collect.LIMITS.memory)  # which counts what the forks have in common for each
    said = {mark.exercise: mark for mark in collect.marks(tmp_path, limits, cell_seconds=3.0)}
    assert {mark.mark for mark in said.values()} == {"to be looked at"}
    assert "code cell 1 took more than 3 seconds" in said["00.2"].sentence


@kept
def test_an_answer_that_is_data_is_judged_where_no_code_of_the_learner_has_run():
    """And so may be read and written what a judge beside that code may not."""
    packed = {"00.1": 362 / 596, "00.2": Line(io.BytesIO(), io.BytesIO()).pack(["age"]), "00.3": {"kind": "x"}}
    asked = {"room": "ppml_helpers.start_here.exercises", "seconds": 100, "cells": [], "variables": RIGHT}
    told = collect._told({**asked, "apart": packed}, SMALL, None)
    assert [told[name].mark for name in RIGHT] == ["right", "wrong", "look"]


@pytest.mark.parametrize(
    ("event", "details"),
    [
        ("open", ("/tmp/x", "r", 0)),
        ("open", ("/dev/shm/x", "r", 0)),
        ("open", (f"{ROOT}/data/support2.csv.gz", "w", os.O_WRONLY)),
        ("subprocess.Popen", ()),
        ("socket.connect", ()),
    ],
)
def test_a_judge_trusts_no_file_beside_a_learners_code(event, details):
    judge_process._forbid("open", (f"{ROOT}/data/support2.csv.gz", "r", 0))
    with pytest.raises(NotPlain):
        judge_process._forbid(event, details)


# The line


def sent(value: object, takes: tuple[str, ...] = (), trusting: bool = False) -> object:
    line = Line(io.BytesIO(), io.BytesIO(), trusting=trusting)
    line.takes = takes
    return line.unpack(json.loads(json.dumps(line.pack(value))))


@pytest.mark.parametrize(
    "value",
    [
        [1, "x", None, 2.5, (True, {3}), {"a": b"x", 2: ...}, range(3)],
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.array(["x", None], dtype=object),
        np.uint8(3),
        pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=[5, 6]),
        pd.Series([1.5, 2.5], name="s", index=["p", "q"]),
        pd.Series([1, 2], pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["k", "l"])),
        pd.Timestamp("1993-04-01"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_data_arrive_as_they_were(value):
    arrived = sent(value)
    expected = [*value[:-1], [0, 1, 2]] if isinstance(value, list) else value
    assert type(arrived) is type(expected)
    if isinstance(value, pd.DataFrame | pd.Series):
        assert arrived.equals(value)
        assert arrived.axes[0].equals(value.axes[0])
    else:
        np.testing.assert_equal(arrived, expected)


def test_the_kits_own_objects_arrive_where_they_are_expected():
    groups, budget = Hierarchy([["a", "b", "c"], ["x", "x", "y"], ["*"] * 3], "letters"), Budget(1.0)
    budget.spend(0.25, what="patients")
    assert sent(groups, (NAME,)).levels == groups.levels
    assert sent(budget, trusting=True).left == budget.left
    with pytest.raises(NotPlain, match="Hierarchy"):
        sent(groups)
    with pytest.raises(NotPlain, match="Reply"):  # else a function could return a verdict
        sent(exercises.check("00.1", 0.5, record=False), (NAME,))
    torn = [["a", "b", "c"], ["x", "x", "y"], ["*", "-", "*"]]  # no nested levels: the class itself looks at them
    packed = {"kind": "kit", "of": [NAME, {"kind": "dict", "of": ["levels", json_list(torn), "name", None]}, None]}
    line = Line(io.BytesIO(), io.BytesIO())
    line.takes = (NAME,)
    with pytest.raises(Gone):
        line.unpack(packed)


def json_list(values: list[list[str]]) -> dict[str, object]:
    return {"kind": "list", "of": [{"kind": "list", "of": list(row)} for row in values]}


def test_objects_do_not_travel_and_nonsense_ends_the_line():
    nested: list[object] = []
    nested.append(nested)
    masked = np.ma.masked_array([1.0], [True])
    for value in (object(), [socket.socket], np.array([object()]), nested, masked, pd.DataFrame({"a": [object()]})):
        with pytest.raises(NotPlain):
            sent(value)
    pickled = {"kind": "array", "of": ["|O", [1], {"kind": "bytes", "of": "gAN9cQAu"}, False]}
    texts = (pickled, {"kind": "list", "of": 3}, {"of": []}, [], {"kind": "dict", "of": [[], 1]}, {"kind": "date"})
    for text in texts:
        with pytest.raises(Gone):
            Line(io.BytesIO(), io.BytesIO()).unpack(text)


# The command


def test_a_system_without_a_sandbox_is_refused_unless_it_is_typed(tmp_path, monkeypatch, capsys):
    handed_in(tmp_path / "in" / "nobody.ipynb", "x = 1")
    monkeypatch.setattr(runner, "confinement", lambda: "limits")
    assert collect.main([str(tmp_path / "in")]) == 2
    assert "say --no-isolation" in capsys.readouterr().err
    assert collect.main([str(tmp_path / "in"), "--no-isolation"]) == 0
    assert "does not keep from a notebook's code: other files can be read" in capsys.readouterr().out
    assert collect.main([str(tmp_path / "none")]) == 2
    assert collect.main([str(tmp_path / "in"), "--out", str(tmp_path / "in" / "nobody.ipynb")]) == 2
    with pytest.raises(ExerciseError, match="no notebook"):
        next(collect.marks(tmp_path / "none"))
