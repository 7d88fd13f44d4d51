"""Attacks in a process of their own: carried out, stopped, broken off, and nothing is left behind."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ppml_helpers.errors import AttackError, DatasiteError
from ppml_helpers.owner_in_control import Defences, attack_process
from ppml_helpers.owner_in_control.attack_process import Attacked, outcomes
from ppml_helpers.owner_in_control.attacks import Leak


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the temporary files of this test go, so that others do not mix in."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield tmp_path
    tempfile.tempdir = None


def test_real_attacks_in_a_process_of_their_own(own_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One gets through without the defence made for it, the other is stopped; and nothing is left behind."""
    environment, told = dict(os.environ), []
    but_one = dataclasses.replace(Defences(), fingerprint=False)
    names = ["swapped code", "run script"]
    leaks = dict(outcomes(names, but_one, lambda share, what: told.append((share, what))))
    assert [leak.recovered for leak in leaks.values()] == [60, 0]
    result = Attacked(but_one, leaks)
    assert (result.through, result.stopped, result.untried) == (("swapped code",), ("run script",), ())
    assert (result.patients, result.stopper("run script")) == (60, "run script")
    assert "run script" in " ".join(leaks["run script"].refusals)
    assert list(dict.fromkeys(told)) == [(0.0, "attack 1 of 2: swapped code"), (0.5, "attack 2 of 2: run script")]
    assert dict(os.environ) == environment
    assert capfd.readouterr() == ("", "")
    assert list(own_folder.iterdir()) == []


def test_stop_ends_a_real_attack_at_once_and_clears_up(own_folder: Path) -> None:
    class Enough(Exception):
        pass

    def stop_once_there_is_a_network(*_: object) -> None:
        if list(own_folder.glob("ppml-datasite-*/shared")):
            raise Enough

    with pytest.raises(Enough):
        next(outcomes(["logs"], Defences(), stop_once_there_is_a_network))
    assert multiprocessing.active_children() == []
    assert list(own_folder.iterdir()) == []


def test_a_process_that_ends_early_is_told_of(own_folder: Path) -> None:
    def kill(*_: object) -> None:
        for child in multiprocessing.active_children():
            child.kill()

    with pytest.raises(AttackError, match="'logs' ended early, with code -9: try once more"):
        next(outcomes(["logs"], Defences(), kill))


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        (DatasiteError("No syft."), DatasiteError, "No syft."),
        (AttackError("No patients."), AttackError, "No patients."),
        (OSError("disk full"), AttackError, "'logs' could not be carried out (OSError: disk full)"),
    ],
)
def test_what_goes_wrong_in_the_process_arrives(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, kind: type[Exception], words: str
) -> None:
    def fails(name: str, defences: Defences | None) -> Leak:
        raise failure

    monkeypatch.setattr(attack_process, "attack", fails)
    answer = attack_process._outcome("logs", None)
    assert type(answer) is kind
    assert words in str(answer)
