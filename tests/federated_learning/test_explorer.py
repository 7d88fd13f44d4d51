"""The explorer of chapter 07: what it refuses, what it draws, and what it says."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from readable import assert_readable

from ppml_helpers import accounting, cohort, figures
from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import Explorer
from ppml_helpers.federated_learning import explorer as widget
from ppml_helpers.federated_learning.explorer import MARKERS, PROTECTIONS, FederationExplorer
from ppml_helpers.federated_learning.reading import Federation, Plan

START = {
    "hospitals": 4,
    "skew": 0.5,
    "local_epochs": 2,
    "rounds": 2,
    "strategy": "FedAvg",
    "protection": "none",
    "epsilon": 1.0,
}


@pytest.fixture(scope="module")
def explorer() -> FederationExplorer:
    """One explorer for the module; each test says all the knobs that it depends on."""
    return FederationExplorer()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing where a test is about numbers or refusals."""
    monkeypatch.setattr(FederationExplorer, "redraw", lambda self: b"")


def test_what_is_said_follows_what_the_server_read_and_the_size_in_two_digits() -> None:
    masked = Federation(**dict.fromkeys(Federation._fields))._replace(
        plan=Plan(2, 2, "FedAvg", "masks", 1.0), error=0.5, guess=1.1, uniformity=0.3
    )
    assert "sees random numbers" in widget._verdict(masked)
    assert "random" not in widget._verdict(masked._replace(uniformity=1e-13))
    assert "reads the patient's record exactly" in widget._verdict(masked._replace(error=1e-9))
    assert [widget._size(amount) for amount in (950, 994_999, 2.2e6)] == ["0.95 kB", "990 kB", "2.2 MB"]


@pytest.mark.usefixtures("undrawn")
def test_epsilon_between_two_stops_is_the_one_shown(explorer: FederationExplorer) -> None:
    result = explorer.set(**START | {"protection": "dp", "epsilon": 10**0.25, "rounds": 1}).result
    assert result.plan.epsilon == 1.8
    assert accounting.epsilon(*result.run.ledgers[0]) <= 1.8


def test_the_same_setting_gives_the_same_picture_and_nothing_is_printed(
    explorer: FederationExplorer, capfd: pytest.CaptureFixture[str]
) -> None:
    for protection in PROTECTIONS:
        shown = []
        for _ in range(2):
            Explorer.forget(explorer)  # what was shown, not how the patients were dealt
            explorer.set(**START | {"protection": protection, "rounds": 1, "hospitals": 3})
            shown.append((explorer.sentence, explorer._png, explorer.result.read.tolist()))
        (said, png, read), (said_again, png_again, read_again) = shown
        assert said == said_again
        assert (read == read_again) == (protection != "masks"), "masks are random, and the sentence is not"
        assert protection == "masks" or png == png_again
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("undrawn")
def test_what_cannot_be_is_refused_and_changes_nothing(explorer: FederationExplorer) -> None:
    before = explorer.set(**START).values
    for name, value in {"hospitals": 9, "skew": 0.3, "protection": "encryption", "epsilon": 0.0}.items():
        with pytest.raises(ExplorerError, match=f"{name} = {value!r} "):
            explorer.set(**{name: value})
    assert explorer.values == before
    with pytest.raises(ExplorerError, match="lacks the column 'age'"):
        FederationExplorer(cohort.load_patients().iloc[:200].drop(columns="age"))
    with pytest.raises(ExplorerError, match="seed = -1"):
        FederationExplorer(seed=-1)


def test_too_few_patients_for_so_many_hospitals_is_said_on_the_page_and_another_seed_deals_anew() -> None:
    few = cohort.load_patients().iloc[:150]
    explorer, other = (FederationExplorer(few, seed=seed).set(hospitals=2, skew=0.0, rounds=1) for seed in (0, 1))
    assert explorer.result.federated != other.result.federated
    before = explorer._image.value
    explorer._controls["hospitals"].value = 8  # as in the browser
    deadline = time.monotonic() + 300
    while explorer._worker is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "This setting cannot be shown: " in explorer._status.value
    assert explorer._image.value == before


def test_the_sentence_says_the_numbers(explorer: FederationExplorer) -> None:
    result = explorer.set(**START | {"protection": "dp", "rounds": 1}).result
    sentence = explorer.sentence
    mean = np.average(result.federated, weights=result.patients)
    assert "by FedAvg, 1 round of 2 local epochs, with DP at epsilon 1: " in sentence
    assert f"the mean test AUC is {mean:.2f}, against " in sentence
    assert f"clearly lose: {', '.join('ABCD'[i] for i in result.loses) or 'none'}; " in sentence
    assert f"within chance: {4 - len(result.gains) - len(result.loses)}; " in sentence
    assert "a fictional patient is added to A: the server's relative error is 1.1, no better than guessing" in sentence
    assert sentence.endswith("whether a patient took part is guessed right at most 73 times in 100.")
    assert sentence.count(".") - len(re.findall(r"\d\.\d", sentence)) == 1  # one sentence


@pytest.mark.parametrize(
    ("protection", "hospitals", "skew"), [("none", 2, 0.0), ("none", 8, 1.0), ("masks", 8, 1.0), ("dp", 8, 1.0)]
)
def test_the_picture_can_be_read(explorer: FederationExplorer, protection: str, hospitals: int, skew: float) -> None:
    knobs = {"protection": protection, "hospitals": hospitals, "skew": skew, "rounds": 1, "epsilon": 0.1}
    explorer.set(**START | knobs)
    assert_readable(explorer, least_texts=18 + 2 * hospitals)
    texts = [text.get_text() for text in explorer._figure.texts]
    assert any("All hospitals are simulated, the patient is fictional" in text for text in texts)


def test_hospitals_differ_by_colour_and_marker_in_their_fixed_order(explorer: FederationExplorer) -> None:
    explorer.set(**START | {"hospitals": 8, "rounds": 1})
    rows = [line for line in explorer._figure.axes[0].lines if line.get_markerfacecolor() in figures.HOSPITAL_COLOURS]
    assert [line.get_marker() for line in rows] == list(MARKERS)
    assert [line.get_markerfacecolor() for line in rows] == [*figures.HOSPITAL_COLOURS] * 2
    assert [line.get_xdata()[0] for line in rows] == list(explorer.result.federated)
    assert len(set(MARKERS)) == 8
