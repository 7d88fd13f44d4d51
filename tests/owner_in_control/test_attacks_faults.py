"""What leaves a hospital that runs a researcher's jobs: all of it with plain syft, none of it through the gate.

Every attack is a real job of syft, over the real transport, on real patients. What counts is which of them lie, every
value exact, on a researcher's disk afterwards.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tempfile
from pathlib import Path

import pytest

from ppml_helpers.errors import AttackError
from ppml_helpers.owner_in_control import Defences, OutputRule, attacks
from ppml_helpers.owner_in_control.attacks import ASKED, ATTACKS, HOME, N_PATIENTS, attack, private_patients
from ppml_helpers.sandbox import runner

#: By attack: the files by which it gets out, and what the gate says when it stops it.
SHOWN = {
    "logs": (("stderr.txt", "stdout.txt"), "traceback"),
    "stray file": (("rows.tmp",), r"Thrown away with the scratch copy: .*rows\.tmp"),
    "swapped code": (("result.json",), r"main\.py was changed .* after it was reviewed"),
    "run script": (("patients_private.csv",), "run script of 'count' has the line"),
    "planted file": (
        ("details.csv",),
        "from rita@university.example was set aside: it names carl@university.example",
    ),
    "public folder": (("notes.txt",), r"public/notes/notes\.txt"),
    "calls home": (("received.txt",), "'count' has no result, it is failed"),
}
STOPPED_BY = {plan.name: plan.stopped_by for plan in (*ATTACKS, HOME)}
#: In this one the job, and its answer, belong to a colleague who does nothing wrong.
COLLEAGUE = "planted file"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """For each attack, the patients on the way, before anybody has tidied up."""
    seen: list[set[str]] = []
    answer = attacks._answer_calls
    monkeypatch.setattr(attacks, "_answer_calls", lambda scene: (answer(scene), seen.append(on_the_way(scene))))
    return seen


def on_the_way(scene: attacks._Scene) -> set[str]:
    """Find private patients in the shared folder: in messages, packed or not, whoever they are meant for."""
    from ppml_helpers.owner_in_control.access import readable

    texts = [readable(file.read_bytes()) for file in scene.network.shared.rglob("*") if file.is_file()]
    assert len(texts) > 4, "or nobody looked"
    return {row for row in attacks._rows(scene) if any(row in one for one in texts)}


def assert_it_works(leak: attacks.Leak) -> None:
    """All patients are out, by the way that the attack is named after."""
    assert leak.leaked
    assert leak.ways == SHOWN[leak.name][0]
    assert (leak.recovered, leak.patients, leak.answered) == (N_PATIENTS, N_PATIENTS, True)


@pytest.mark.parametrize("name", STOPPED_BY)
def test_syft_alone_does_not_stop_it(name: str, seen: list[set[str]], capsys: pytest.CaptureFixture[str]) -> None:
    """Nor do encrypted messages; that the gate screens these as well is held in test_gate_messages_faults."""
    encryption = name == COLLEAGUE
    leak = attack(name, encryption=encryption)
    assert_it_works(leak)
    assert leak.refusals == ()
    found = 0 if encryption or name == HOME.name else leak.recovered
    assert [len(rows) for rows in seen] == [found], "the search of the messages finds what can be read"
    assert capsys.readouterr() == ("", ""), "a page with an attack on it shows no words of syft's"


@pytest.mark.parametrize("name", STOPPED_BY)
def test_the_gate_stops_it_says_how_and_nobody_is_even_on_the_way(name: str, seen: list[set[str]]) -> None:
    if name == HOME.name and "the network can be reached" in runner.missing(runner.confinement()):
        pytest.skip("this system does not keep the network from a job, and says so in the receipt")
    leak = attack(name, Defences())
    assert (leak.recovered, leak.ways, leak.leaked) == (0, (), False)
    if name == COLLEAGUE:
        assert leak.answered, "the colleague is not made to suffer for it"
    why = " ".join(leak.refusals) or Defences.STOPS[STOPPED_BY[name]]
    assert re.search(SHOWN[name][1], why), why
    assert tempfile.gettempdir() not in why
    assert seen == [set()]


@pytest.mark.parametrize("name", STOPPED_BY)
def test_with_its_own_defence_off_the_others_do_not_stop_it(name: str) -> None:
    assert_it_works(attack(name, dataclasses.replace(Defences(), **{STOPPED_BY[name]: False})))


def test_digits_of_an_answer_get_through_every_defence_but_not_through_an_owners_rule() -> None:
    leak = attack("hidden digits", Defences())
    assert leak.recovered == private_patients()["dzgroup"].nunique() > 4, "one patient a disease group"
    assert (leak.ways, leak.answered, leak.refusals) == (("mean_age.csv",), True, ())
    leak = attack("hidden digits", Defences(), rule=OutputRule(digits=3))
    assert (leak.recovered, leak.answered) == (0, True), "rounded by the owner, eight means carry no more"


def test_nothing_is_left_behind_when_it_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(scene: attacks._Scene) -> None:
        assert tmp_path in scene.network.shared.parents
        raise KeyboardInterrupt

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(attacks, "_answer_calls", stop)
    before = dict(os.environ)
    with pytest.raises(KeyboardInterrupt):
        attack("logs")
    assert list(tmp_path.iterdir()) == []
    assert dict(os.environ) == before


def test_only_exact_rows_count(tmp_path: Path) -> None:
    rows = frozenset(["62.84998,male,CHF,97.0,0", "60.33899,female,Coma,43.0,1"])
    (tmp_path / "near.txt").write_text("62.85,male,CHF,97.0,0\nx62.84998,male,CHF,97.0,0\n")
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)))
    assert attacks._found(ATTACKS[0], [tmp_path], rows) == {}
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "table.csv").write_text("age\r\n62.84998,male,CHF,97.0,0\r\n" * 2)
    assert attacks._found(ATTACKS[0], [tmp_path], rows) == {"table.csv": {"62.84998,male,CHF,97.0,0"}}


def test_digits_that_hide_nobody_are_no_patient() -> None:
    assert attacks._from_digits("Coma,70.010184796312") == ["101.84796,female,Coma,120.0,1"]
    assert attacks._from_digits("CHF,68.123\nmean_age\n\n,68.1062849980097\nCHF,68.106284998009x") == []


def test_the_private_patients_are_distinct_and_repeatable() -> None:
    table = private_patients()
    assert (len(table), tuple(table.columns)) == (N_PATIENTS, ASKED)
    assert not table.duplicated().any()
    assert not table.isna().any(axis=None)
    assert table.equals(private_patients())


def test_an_unknown_attack_is_refused() -> None:
    with pytest.raises(AttackError, match=r"'prints' is not on offer.*'logs'.*'calls home'.*'hidden digits'"):
        attack("prints")
