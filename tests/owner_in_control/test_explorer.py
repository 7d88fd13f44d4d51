"""The explorer of chapter 10: what it carries out and when, what it keeps, what it says (real attacks: elsewhere)."""

from __future__ import annotations

import dataclasses
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from desk import wait_until
from readable import assert_readable

from ppml_helpers.errors import DatasiteError, ExplorerError
from ppml_helpers.owner_in_control import Defences, ReleaseGateExplorer
from ppml_helpers.owner_in_control import explorer as widget
from ppml_helpers.owner_in_control.attack_process import Attacked
from ppml_helpers.owner_in_control.attacks import ATTACKS, Leak

ALL = dict.fromkeys(widget.NAMES, True)
ATTACK_NAMES = [attack.name for attack in ATTACKS]
AGAINST = {attack.name: attack.stopped_by for attack in ATTACKS}
WAYS = {"logs": ("stderr.txt", "stdout.txt"), "run script": ("patients_private.csv",)}


class Attacker:
    """Stands in for the real process: an attack leaks unless the defence against it is on; notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Defences | None]] = []
        self.before: Callable[[str], None] = lambda name: None

    def outcomes(
        self, names: Sequence[str], defences: Defences, meanwhile: Callable[[float, str], None]
    ) -> Iterator[tuple[str, Leak]]:
        for number, name in enumerate(names):
            meanwhile(number / len(names), name)
            yield name, self.attack(name, None if defences == Defences.off() else defences)

    def attack(self, name: str, defences: Defences | None) -> Leak:
        self.before(name)
        self.asked.append((name, defences))
        if defences is not None and getattr(defences, AGAINST[name]):
            return Leak(name, 0, 60, (), False, ("Refused by the gate.",))
        return Leak(name, 60, 60, WAYS.get(name, ("result.json",)), True, ())


@pytest.fixture
def attacker(monkeypatch: pytest.MonkeyPatch) -> Attacker:
    attacker = Attacker()
    monkeypatch.setattr(widget, "outcomes", attacker.outcomes)
    return attacker


@pytest.fixture
def explorer(attacker: Attacker) -> ReleaseGateExplorer:
    return ReleaseGateExplorer()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing where a test is about attacks or words."""
    monkeypatch.setattr(ReleaseGateExplorer, "redraw", lambda self: b"")


@pytest.mark.usefixtures("undrawn")
def test_first_six_attacks_without_a_gate_and_then_only_at_the_button(
    explorer: ReleaseGateExplorer, attacker: Attacker
) -> None:
    assert explorer.result.through == tuple(ATTACK_NAMES)
    assert attacker.asked == [(name, None) for name in ATTACK_NAMES]
    assert explorer.values["attack"] is False  # the button is up again
    attacker.asked.clear()
    assert explorer.set(**ALL).result.untried == tuple(ATTACK_NAMES)
    assert explorer.set(logs=False).result.untried == tuple(ATTACK_NAMES)
    assert attacker.asked == []
    all_but_logs = dataclasses.replace(Defences(), logs=False)
    result = explorer.set(attack=True).result
    assert attacker.asked == [(name, all_but_logs) for name in ATTACK_NAMES]
    assert (result.defences, result.through, result.stopped) == (all_but_logs, ("logs",), tuple(ATTACK_NAMES[1:]))
    stopped_by = ["stray files", "fingerprint", "run script", "sender check", "scratch copy"]
    assert [result.stopper(name) for name in result.stopped] == stopped_by


@pytest.mark.usefixtures("undrawn")
def test_every_knob_changes_result_and_sentence(explorer: ReleaseGateExplorer, attacker: Attacker) -> None:
    said = {explorer.sentence, explorer.set(**ALL, attack=True).sentence}
    for field in widget.NAMES:
        attacker.asked.clear()
        said.add(explorer.set(**dict.fromkeys(widget.NAMES, False) | {field: True}).sentence)
        result = explorer.set(attack=True).result
        assert {defences for _, defences in attacker.asked} == {dataclasses.replace(Defences.off(), **{field: True})}
        assert result.stopped == tuple(name for name in ATTACK_NAMES if AGAINST[name] == field)
        assert (field in widget.UNTESTED) is (result.stopped == ())
        said.add(explorer.sentence)
    assert len(said) == 2 + 2 * len(dataclasses.fields(Defences))


@pytest.mark.usefixtures("undrawn")
def test_what_is_known_is_not_carried_out_again(explorer: ReleaseGateExplorer, attacker: Attacker) -> None:
    explorer.set(**ALL, attack=True)
    first = explorer.sentence
    explorer.set(quarantine=False)
    assert explorer.set(quarantine=True).sentence == first
    explorer.set(attack=True)
    assert len(attacker.asked) == 6
    explorer.set(budget=False, attack=True)  # another set of defences, though no attack tries this one
    assert len(attacker.asked) == 12
    explorer.forget()
    assert explorer.set(budget=True).result.untried == tuple(ATTACK_NAMES)
    explorer.set(attack=True)
    assert len(attacker.asked) == 18


@pytest.mark.usefixtures("undrawn")
def test_a_knob_that_is_not_there_is_refused_before_any_is_turned(explorer: ReleaseGateExplorer) -> None:
    before = explorer.values
    with pytest.raises(ExplorerError, match="no knob 'log'; it has logs, stray_files"):
        explorer.set(logs=True, log=True)
    assert explorer.values == before


@pytest.mark.usefixtures("undrawn")
def test_by_hand_a_switch_attacks_nothing_and_releasing_the_button_is_no_change(
    explorer: ReleaseGateExplorer, attacker: Attacker
) -> None:
    explorer.set()
    attacker.asked.clear()
    shown: list[tuple[bool, ...]] = []
    say = explorer.say
    explorer.say = lambda result: shown.append(dataclasses.astuple(result.defences)) or say(result)
    explorer._controls["logs"].value = True
    wait_until(lambda: explorer._worker is None and shown)
    assert attacker.asked == []
    explorer._controls["attack"].value = True
    wait_until(lambda: explorer._worker is None and len(shown) == 2)
    assert len(attacker.asked) == 6
    assert explorer._controls["attack"].value is False
    explorer._controls["sender_check"].value = False
    explorer._controls["sender_check"].value = True
    wait_until(lambda: explorer._worker is None and len(shown) > 2)
    assert len(attacker.asked) == 6


def test_stop_keeps_what_is_done_and_shows_it(explorer: ReleaseGateExplorer, attacker: Attacker) -> None:
    explorer.set(**ALL)
    waiting, go = threading.Event(), threading.Event()

    def third_waits(name: str) -> None:
        if name == ATTACK_NAMES[2]:
            waiting.set()
            assert go.wait(30)

    attacker.before = third_waits
    explorer._controls["attack"].value = True
    assert waiting.wait(30)
    explorer._on_stop()
    go.set()
    wait_until(lambda: explorer._worker is None)
    assert explorer.result.stopped == tuple(ATTACK_NAMES[:3])  # the third was over before it could be told
    assert "not carried out yet: run script, planted file and public folder" in explorer.sentence
    assert explorer._figure.axes[0].get_title("left") == "8 of 8 defences on: 0 of 3 attacks got patients out"
    assert explorer._controls["attack"].value is False
    explorer.set(attack=True)
    assert [name for name, _ in attacker.asked] == ATTACK_NAMES
    assert explorer.result.untried == ()


def test_on_windows_it_says_one_sentence_and_the_rest_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    explorer = ReleaseGateExplorer()
    result = explorer.result
    assert result.unavailable == explorer.sentence
    assert "WSL" in explorer.sentence
    assert re.search(r"\.\s", explorer.sentence) is None  # one sentence
    assert result.untried == tuple(ATTACK_NAMES)
    assert_readable(explorer)
    assert explorer.set(**ALL).result.unavailable == ""
    assert "WSL" in explorer.set(attack=True).sentence  # asked again, said again


@pytest.mark.usefixtures("undrawn")
def test_a_failure_that_is_mended_is_not_remembered(explorer: ReleaseGateExplorer, attacker: Attacker) -> None:
    def no_folder(name: str) -> None:
        if name == ATTACK_NAMES[1]:
            raise DatasiteError("No folder can be made.")

    attacker.before = no_folder
    explorer.set(**ALL, attack=True)
    assert explorer.sentence == "No folder can be made."
    assert explorer.result.stopped == ("logs",)
    attacker.before = lambda name: None
    assert explorer.set(attack=True).result.stopped == tuple(ATTACK_NAMES)
    assert len(attacker.asked) == 6


@pytest.mark.usefixtures("undrawn")
def test_the_sentence_says_what_got_through_and_what_stopped_the_others(explorer: ReleaseGateExplorer) -> None:
    assert "Without a gate, 6 of 6 attacks got patients out of the hospital: logs, stray file, " in explorer.sentence
    explorer.set(**ALL, attack=True)
    assert "With every defence on, 6 of 6 attacks stopped: logs (by logs), stray file (by " in explorer.sentence
    explorer.set(logs=False, attack=True)
    assert (
        "quarantine and budget on, 1 of 6 attacks got patients out of the hospital: logs, all 60; 5 of 6 "
        in explorer.sentence
    )
    leaks = dict.fromkeys(ATTACK_NAMES) | {
        "logs": Leak("logs", 8, 60, ("a",), True, ()),
        "stray file": Leak("stray file", 60, 60, ("a",), True, ()),
        "swapped code": Leak("swapped code", 0, 60, (), True, ()),
        "run script": Leak("run script", 0, 60, (), True, ("The message was set aside.", "And another.")),
    }
    rare = Attacked(Defences.off(), leaks)
    said = explorer.say(rare)
    assert "2 of 6 attacks got patients out of the hospital: logs 8 of 60 and stray file 60 of 60;" in said
    assert "swapped code (by nothing: it failed by itself) and run script (by The message was set aside. And" in said


def test_the_picture_shows_each_outcome_by_a_mark_of_its_own(explorer: ReleaseGateExplorer, attacker: Attacker) -> None:
    def stop(name: str) -> None:
        if name == "public folder":
            raise DatasiteError("Enough.")

    attacker.before = stop
    explorer.set(**ALL | {"run_script": False, "logs": False}, attack=True)
    axis = explorer._figure.axes[0]
    marks = [(line.get_marker(), *line.get_xydata()[0]) for line in axis.lines]
    assert marks == [("D", 60, 0), ("o", 0, 1), ("o", 0, 2), ("D", 60, 3), ("o", 0, 4), ("x", 0, 5)]
    assert [bar.get_width() for bar in axis.patches] == [60, 60]
    assert {bar.get_hatch() for bar in axis.patches} == {"///"}
    assert [text.get_text() for text in axis.texts] == [
        "60 of 60, in stderr.txt and stdout.txt",
        "0 of 60, stopped by stray files",
        "0 of 60, stopped by fingerprint",
        "60 of 60, in patients_private.csv",
        "0 of 60, stopped by sender check",
        "not tried",
    ]
    assert [label.get_text() for label in axis.get_yticklabels()] == ATTACK_NAMES


def test_every_picture_can_be_read_and_says_that_it_is_simulated(explorer: ReleaseGateExplorer) -> None:
    for knobs in (
        {"logs": False},
        {"attack": True},
        ALL | {"attack": True},
        dict.fromkeys(widget.NAMES, False) | dict.fromkeys(("sender_check", "scratch_copy", "stray_files"), True),
        {"attack": True},
    ):
        explorer.set(**knobs)
        assert_readable(explorer)
        [written] = [text.get_text() for text in explorer._figure.texts]
        assert "None of the six tries\nquarantine or budget" in written
        assert "simulated, the private patients are real ones of SUPPORT2" in written
        assert "hides patients in its answer passes the gate." in written
