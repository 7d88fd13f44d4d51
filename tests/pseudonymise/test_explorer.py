"""The explorer of chapter 02, without a browser."""

from __future__ import annotations

import warnings

import pandas as pd
import pytest
from readable import assert_readable

from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import ProgressBar, Stopped
from ppml_helpers.pseudonymise import cracking_time
from ppml_helpers.pseudonymise.explorer import PseudonymExplorer

SPEED = {"SHA-256": 2.5e6, "scrypt": 20.0}


@pytest.fixture(scope="module")
def explorer(people: pd.DataFrame) -> PseudonymExplorer:
    """An explorer for a core of known speed."""
    return PseudonymExplorer(people, SPEED)


@pytest.mark.parametrize(
    ("identifier", "method", "said", "drawn"),
    [
        ("birth date", "plain SHA-256", " 100 % of 9,105 pseudonyms were opened", "run just now, 100 % opened"),
        ("birth date", "HMAC, secret key", "whoever holds the key can still go back", "run just now, 0 % opened"),
        ("national id, all", "a salt per record, known", "9,105 salts takes 1 core 9.6 to", "extrapolated"),
        ("birth date", "slow hash (scrypt)", "6.1 minutes to 1 hour", "extrapolated"),
        ("random 128-bit number", "plain SHA-256", "2^128 random 128-bit numbers takes", "too many to list"),
        ("random 128-bit number", "HMAC, secret key", "2^256 keys", "nothing to try"),
    ],
)
def test_sentence_and_picture_say_what_was_run_and_what_is_extrapolated(
    explorer: PseudonymExplorer, identifier: str, method: str, said: str, drawn: str
) -> None:
    sentence = explorer.set(identifier=identifier, method=method, cores=1).sentence
    assert said in sentence
    ran = explorer.result.attack is not None
    assert ("were hashed just now" in sentence) == ran
    assert sentence.endswith("extrapolated from the speed measured on one core.") != (ran or "HMAC" in method)
    (axis,) = explorer._figure.axes
    words = [*(text.get_text() for text in axis.texts), axis.get_title(loc="right")]
    assert drawn in "\n".join(words)
    assert sum("no dictionary without the key" in text for text in words) == 1


def test_a_sentence_of_a_quick_setting_does_not_depend_on_the_machine(people: pd.DataFrame) -> None:
    said = set()
    for speed in (1.1e5, 9e5, 2.5e6, 9e7):
        explorer = PseudonymExplorer(people[:100], {"SHA-256": speed, "scrypt": 20.0})
        said.add(explorer.say(explorer.compute(lambda *_: None, "birth date", "plain SHA-256", 1)))
    assert len(said) == 1


def test_speed_is_measured_once(people: pd.DataFrame, monkeypatch) -> None:
    calls = []
    monkeypatch.setattr(cracking_time, "measured_speed", lambda name: calls.append(name) or 1e6)
    explorer = PseudonymExplorer(people[:10])
    explorer.set(method="slow hash (scrypt)").set(cores=10).set(identifier="national id, all")
    assert calls == ["SHA-256", "scrypt"]


def test_every_setting_can_be_drawn_without_a_warning(people: pd.DataFrame, monkeypatch) -> None:
    monkeypatch.setattr(cracking_time, "is_quick", lambda *_: False)
    explorer = PseudonymExplorer(people, SPEED)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for identifier, cores in (("birth date", 1), ("birth date", 10_000), ("random 128-bit number", 100)):
            explorer.set(identifier=identifier, method="HMAC, secret key", cores=cores)
            assert_readable(explorer)


def test_an_attack_can_be_stopped(explorer: PseudonymExplorer) -> None:
    def impatient(fraction: float, what: str = "") -> None:
        raise Stopped(what)

    with pytest.raises(Stopped, match="tried"):
        explorer.compute(impatient, identifier="birth date", method="plain SHA-256", cores=1)


def test_what_is_no_table_of_people_or_no_speed_is_refused(people: pd.DataFrame) -> None:
    for given, words in (
        ((people.iloc[:0],), "no rows"),
        ((people.drop(columns="mrn"),), "lacks the column 'mrn'"),
        ((None,), r"give what identities\.identities\(patients\) returns"),
        ((people, {"SHA-256": 0}), r"speed\['SHA-256'\] = 0 must be a finite number above 0"),
    ):
        with pytest.raises(ExplorerError, match=words):
            PseudonymExplorer(*given)


def test_the_progress_bar_of_the_notebook_moves_and_leaves_one_stable_line() -> None:
    bar = ProgressBar("Hashing")
    bar(0.25, "5 tried")
    assert (bar._bar.value, bar._text.value) == (0.25, "Hashing: 5 tried")
    data = bar._repr_mimebundle_()
    assert data["text/plain"] == "Hashing (a progress bar while it runs)"
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == bar._box.model_id
