"""What leaves a hospital that runs a researcher's jobs: all of it with plain syft, none of it through the gate.

Every attack is a real job of syft, over the real transport, on real patients. What counts is which of them lie, every
value exact, on a researcher's disk afterwards.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import socket
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from ppml_helpers.errors import AttackError
from ppml_helpers.owner_in_control import attacks as datasite
from ppml_helpers.owner_in_control.attacks import (
    ATTACKS,
    COLUMNS,
    JAM,
    RESIDUAL,
    Attack,
    attack,
    attack_all,
    private_patients,
)
from ppml_helpers.owner_in_control.gate import Defences

pytestmark = pytest.mark.skipif(os.name == "nt", reason="PySyft 0.10 cannot be imported on Windows")

STOPPABLE = (*ATTACKS, JAM)
N = 24

WAYS = {
    "logs": ("stderr.txt", "stdout.txt"),
    "stray file": ("rows.tmp",),
    "swapped code": ("result.json",),
    "run script": ("patients_private.csv",),
    "planted file": ("details.csv",),
    "public folder": ("notes.txt",),
    "jam": (),
}


#: In these two the job, and its answer, belong to a colleague who does nothing wrong.
COLLEAGUES = ("planted file", "jam")


def by_name(plan: Attack) -> str:
    return plan.name


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    return private_patients(N)


class Gated(NamedTuple):
    """What the attacks got from behind the gate with every defence on, and what was seen and said meanwhile."""

    leaks: dict[str, datasite.Leak]
    on_the_way: list[set[str]]
    said: list[tuple[float, str]]


@pytest.fixture(scope="module")
def gated(patients: pd.DataFrame) -> Gated:
    seen: list[set[str]] = []
    said: list[tuple[float, str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasite, "_answer_calls", lambda scene: seen.append(on_the_way(scene)))
        six = attack_all(Defences(), patients, lambda share, what: said.append((share, what)))
        jam = attack(JAM.name, Defences(), patients)
    return Gated({leak.name: leak for leak in (*six, jam)}, seen, said)


def on_the_way(scene: datasite._Scene) -> set[str]:
    """Find private patients in the shared folder: in messages, packed or not, whoever they are meant for."""
    from syft.sync.utils.syftbox_utils import uncompress_data

    def text(file: Path) -> str:
        data = file.read_bytes()
        with contextlib.suppress(tarfile.ReadError):
            data = uncompress_data(data)
        return data.decode(errors="replace")

    texts = [text(file) for file in scene.network.shared.rglob("*") if file.is_file()]
    assert len(texts) > 4, "or nobody looked"
    return {row for row in datasite._rows(scene) if any(row in one for one in texts)}


def assert_it_works(plan: Attack, leak: datasite.Leak) -> None:
    """All patients are out, by the way that the attack is named after; or, of the jam, the mail stands still."""
    assert leak.leaked
    assert leak.ways == WAYS[plan.name]
    assert (leak.recovered, leak.patients) == (0 if plan is JAM else N, N)
    assert leak.blocked == (plan is JAM)
    assert leak.answered == (plan is not JAM), "the honest colleague waits for ever behind the jam"


def assert_it_is_stopped(plan: Attack, leak: datasite.Leak) -> None:
    assert (leak.recovered, leak.ways, leak.blocked, leak.leaked) == (0, (), False, False)
    assert leak.why
    if plan.name in COLLEAGUES:
        assert leak.answered, "the colleague is not made to suffer for it"


@pytest.mark.parametrize("plan", STOPPABLE, ids=by_name)
def test_syft_alone_does_not_stop_it(
    plan: Attack, patients: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[set[str]] = []
    monkeypatch.setattr(datasite, "_answer_calls", lambda scene: seen.append(on_the_way(scene)))
    leak = attack(plan.name, None, patients)
    assert_it_works(plan, leak)
    assert leak.refusals == ()
    assert [len(rows) for rows in seen] == [0 if plan is JAM else N], "the search of the messages finds what there is"
    assert capsys.readouterr() == ("", ""), "a page with an attack on it shows no words of syft's"


@pytest.mark.parametrize("plan", [plan for plan in STOPPABLE if plan.name in COLLEAGUES], ids=by_name)
def test_encrypted_messages_do_not_stop_it_either(plan: Attack, patients: pd.DataFrame) -> None:
    """That the gate screens encrypted messages as well is held in test_release_gate."""
    assert_it_works(plan, attack(plan.name, None, patients, encryption=True))


@pytest.mark.parametrize("plan", STOPPABLE, ids=by_name)
def test_the_gate_stops_it(plan: Attack, gated: Gated) -> None:
    assert_it_is_stopped(plan, gated.leaks[plan.name])


def test_behind_the_gate_nobody_is_even_on_the_way(gated: Gated) -> None:
    assert gated.on_the_way == [set()] * len(STOPPABLE)


def test_all_six_in_a_row_say_how_far_they_are(gated: Gated) -> None:
    assert list(gated.leaks) == [plan.name for plan in STOPPABLE]
    assert [round(6 * share) for share, _ in gated.said] == list(range(7))
    assert [what for _, what in gated.said[:-1]] == [plan.does for plan in ATTACKS]
    assert gated.said[-1][1].startswith("0 of 6")


def test_a_stop_button_stops_between_two_attacks(patients: pd.DataFrame) -> None:
    class Stopped(Exception):
        pass

    def stop(share: float, what: str) -> None:
        raise Stopped(what)

    with pytest.raises(Stopped, match="prints half"):
        attack_all(None, patients, stop)


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        ("logs", "traceback"),
        ("stray file", r"Taken out of the job's folder: .*rows\.tmp"),
        ("swapped code", r"main\.py was changed .* after it was reviewed"),
        ("run script", "run script of 'count' has the line"),
        ("planted file", "from rita@university.example was set aside: it names carl@university.example"),
        ("public folder", r"public/notes/notes\.txt"),
        ("jam", "from rita@university.example was set aside: it cannot be read"),
    ],
)
def test_a_sentence_says_what_stopped_it(plan: str, sentence: str, gated: Gated) -> None:
    assert re.search(sentence, gated.leaks[plan].why), gated.leaks[plan].why
    assert tempfile.gettempdir() not in gated.leaks[plan].why


@pytest.mark.parametrize("plan", STOPPABLE, ids=by_name)
def test_with_its_own_defence_off_the_others_do_not_stop_it(plan: Attack, patients: pd.DataFrame) -> None:
    but_one = dataclasses.replace(Defences(), **{plan.stopped_by: False})
    assert_it_works(plan, attack(plan.name, but_one, patients))


def test_a_plausible_answer_carries_patients_through_every_defence(patients: pd.DataFrame) -> None:
    leak = attack("hidden digits", Defences(), patients)
    assert leak.recovered == patients["dzgroup"].nunique() > 4, "one patient a disease group"
    assert (leak.ways, leak.answered, leak.refusals) == (("mean_age.csv",), True, ())


def test_a_job_that_opens_a_line_of_its_own_is_not_stopped(patients: pd.DataFrame) -> None:
    leak = attack("calls home", Defences(), patients)
    assert (leak.recovered, leak.ways, leak.answered, leak.refusals) == (N, ("received.txt",), True, ())


def test_the_attacks_are_six_each_with_a_defence_of_its_own() -> None:
    names = [plan.name for plan in (*ATTACKS, JAM, *RESIDUAL)]
    assert len(ATTACKS) == 6
    assert len(set(names)) == len(names)
    defences = [plan.stopped_by for plan in STOPPABLE]
    assert len(set(defences)) == len(defences)
    assert set(defences) <= {field.name for field in dataclasses.fields(Defences)}
    assert {plan.stopped_by for plan in RESIDUAL} == {None}
    assert all(plan.does.endswith(".") and not plan.does.startswith(" ") for plan in (*STOPPABLE, *RESIDUAL))


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, OSError])
def test_nothing_is_left_behind(
    error: type[BaseException] | None, patients: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where: list[Path] = []

    def answer(scene: datasite._Scene) -> None:
        where.append(scene.network.shared)
        if error is not None:
            raise error

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(datasite, "_answer_calls", answer)
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    with pytest.raises(error) if error is not None else contextlib.nullcontext():
        attack("jam", None, patients)
    assert [tmp_path in path.parents for path in where] == [True]
    assert list(tmp_path.iterdir()) == []
    assert dict(os.environ) == before


def test_only_exact_rows_count(tmp_path: Path) -> None:
    rows = frozenset(["62.84998,male,CHF,97.0,0", "60.33899,female,Coma,43.0,1"])
    (tmp_path / "near.txt").write_text("62.85,male,CHF,97.0,0\nx62.84998,male,CHF,97.0,0\n")
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)))
    assert datasite._found(ATTACKS[0], [tmp_path], rows) == {}
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "table.csv").write_text("age\r\n62.84998,male,CHF,97.0,0\r\n" * 2)
    assert datasite._found(ATTACKS[0], [tmp_path], rows) == {"table.csv": {"62.84998,male,CHF,97.0,0"}}


def test_digits_that_hide_nobody_are_no_patient() -> None:
    assert datasite._from_digits("CHF,68.123062849980097") == ["62.84998,male,CHF,97.0,0"]
    assert datasite._from_digits("Coma,70.001101847963120") == ["101.84796,female,Coma,120.0,1"]
    assert datasite._from_digits("CHF,68.123\nmean_age\n\n,68.123062849980097\nCHF,68.12306284998009x") == []


@pytest.mark.parametrize("n", [0, 9_001, 2.0, True, "5", None])
def test_a_number_of_patients_that_there_is_not_is_refused(n: object) -> None:
    with pytest.raises(AttackError, match="1 to 9,000"):
        private_patients(n)


def test_the_private_patients_are_distinct_and_repeatable() -> None:
    table = private_patients()
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 60
    assert not table.duplicated().any()
    assert not table.isna().any(axis=None)
    assert table.equals(private_patients(seed=0))
    assert not table.equals(private_patients(seed=1))


def test_an_unknown_attack_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(AttackError, match=r"no attack 'prints'.*'logs'.*'jam'.*'calls home'"):
        attack("prints")


@pytest.mark.parametrize("wrong", [pd.DataFrame({"age": [1.0]}), pd.DataFrame(columns=list(COLUMNS))])
def test_a_table_that_cannot_be_scored_is_refused(wrong: pd.DataFrame) -> None:
    with pytest.raises(AttackError, match="age, sex, dzgroup, meanbp, hospdead"):
        attack("logs", None, wrong)


def test_a_call_that_never_comes_is_not_waited_for(tmp_path: Path) -> None:
    class Alone:
        def machine(self, client: object) -> Path:
            return tmp_path

    with socket.create_server(("127.0.0.1", 0)) as home:
        datasite._answer_calls(datasite._Scene(Alone(), None, None, None, home))
    assert list(tmp_path.iterdir()) == []
