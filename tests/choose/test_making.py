"""Making the scoreboard: kept row by row, resumed, and made anew when the table or the code changed."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time

import pytest

from ppml_helpers.choose import making, scoreboard
from ppml_helpers.choose.ground import ground
from ppml_helpers.errors import OutcomeError
from tests.choose.test_techniques import any_split

NAMES = ["no protection: logistic regression", "minimised", "private training, epsilon 1"]


class Told:
    """Notes what is reported, and stops at a row if asked."""

    def __init__(self, stop: str = "") -> None:
        self.lines, self.stop = [], stop

    def __call__(self, fraction: float, text: str) -> None:
        self.lines.append((fraction, text))
        if self.stop and text.startswith(self.stop):
            raise KeyboardInterrupt

    @property
    def made(self) -> list[str]:
        return [text.removesuffix(" ...") for _, text in self.lines if text.endswith("...")]


def made(folder, split=None, **options) -> list[str]:
    told = Told()
    making.make(folder, split or any_split(), NAMES, progress=told, **options)
    return told.made


def test_rows_are_made_once_and_the_second_time_kept(tmp_path):
    told = Told()
    rows = making.make(tmp_path, any_split(), NAMES, progress=told)
    assert [row.technique for row in rows] == NAMES == told.made
    assert scoreboard.load(tmp_path) == sorted(rows, key=lambda row: row.technique)
    fractions = [fraction for fraction, _ in told.lines]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert made(tmp_path) == []


def test_a_stop_keeps_what_is_there_and_the_next_run_goes_on(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        making.make(tmp_path, any_split(), NAMES, progress=Told("minimised"))
    assert [row.technique for row in scoreboard.load(tmp_path)] == NAMES[:1]
    assert made(tmp_path) == NAMES[1:]


def test_another_table_other_code_a_damaged_file_or_the_wish_makes_rows_anew(tmp_path, monkeypatch):
    assert made(tmp_path) == NAMES
    assert made(tmp_path, any_split(seed=1)) == NAMES
    assert made(tmp_path, any_split(seed=1), seed=1) == NAMES
    assert made(tmp_path, any_split(seed=1), seed=1, fresh=True) == NAMES
    scoreboard.path_of("minimised", tmp_path).write_text("{")
    assert made(tmp_path, any_split(seed=1), seed=1) == ["minimised"]
    changed = tmp_path / "engine.py"
    changed.write_text("# another way to train\n")
    before = making._code
    monkeypatch.setattr(
        making, "_code", lambda name: [*before(name), *([changed] if name.startswith("private") else [])]
    )
    assert made(tmp_path, any_split(seed=1), seed=1) == NAMES[2:]


def test_a_row_that_could_not_be_measured_is_tried_again(tmp_path):
    small = any_split(24)
    (row,) = making.make(tmp_path, small, ["federated"])
    assert row.missing
    told = Told()
    making.make(tmp_path, small, ["federated"], progress=told)
    assert told.made == ["federated"]


def test_the_code_of_a_row_is_its_own_and_its_rooms(tmp_path):
    names = {path.name for path in making._code("private training, epsilon 1")}
    assert {"techniques.py", "engine.py", "membership.py", "schema.py", "requirements.lock"} <= names
    assert not names & {"explorer.py", "exercises.py", "training.py"}
    table = making._digest(ground(any_split()))
    marks = {making.fingerprint(name, table) for name in making.TECHNIQUES}
    assert len(marks) == len(making.TECHNIQUES)


def test_an_unknown_technique_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(OutcomeError, match="not on offer"):
        making.make(tmp_path, any_split(), [NAMES[0], "magic"])
    assert scoreboard.load(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_the_program_ends_in_order_when_it_is_told_to(tmp_path):
    command = [sys.executable, "-m", "ppml_helpers.choose.making", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            if "minimised ..." in line:
                break
        child.send_signal(signal.SIGINT)
        rest, began = child.stdout.read(), time.monotonic()
        assert child.wait(120) == 130
    assert "Stopped." in rest
    assert time.monotonic() - began < 120
    names = {row.technique for row in scoreboard.load(tmp_path)}
    assert "pseudonymised" in names
    assert dataclasses.is_dataclass(scoreboard.load(tmp_path)[0])
