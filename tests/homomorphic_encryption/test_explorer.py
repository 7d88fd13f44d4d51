"""The explorer of chapter 08: what it offers and refuses, what it measures and when, and what it says."""

from __future__ import annotations

import re

import numpy as np
import pytest
from readable import assert_readable

from ppml_helpers import cohort, figures
from ppml_helpers.errors import ExplorerError
from ppml_helpers.homomorphic_encryption import costs
from ppml_helpers.homomorphic_encryption import explorer as widget
from ppml_helpers.homomorphic_encryption.explorer import LIVE, OFFERED_RINGS, SCALES, EncryptionExplorer
from ppml_helpers.homomorphic_encryption.parameters import most_bits
from ppml_helpers.words import counted

START = {"ring": 8192, "scale": 36, "depth": 3, "packing": "columns", "measure": False}
SMALL = START | {"ring": 4096, "scale": 24, "depth": 1}
IMPOSSIBLE = START | {"ring": 4096}
LARGE = START | {"ring": 16384, "depth": 1}
TOO_FEW_PRIMES = START | {"ring": 16384, "scale": 20, "depth": 5}


@pytest.fixture(scope="module")
def explorer() -> EncryptionExplorer:
    """One explorer for the module; each test says all the knobs that it depends on."""
    return EncryptionExplorer()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing where a test is about numbers or refusals."""
    monkeypatch.setattr(EncryptionExplorer, "redraw", lambda self: b"")


# ---------------------------------------------------------------------------------------------------- what it does


@pytest.mark.usefixtures("undrawn")
def test_every_setting_on_offer_is_measured_or_said_to_be_impossible(
    explorer: EncryptionExplorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No setting raises; what is called possible is within SEAL's limit, and what is too large is not."""
    pretended = explorer.set(**SMALL).result.costs
    monkeypatch.setattr(widget.costs, "measure", lambda chosen, *_: pretended)
    for ring in OFFERED_RINGS:
        for scale in SCALES:
            for depth in (1, 3, 4, 10):
                result = explorer.set(ring=ring, scale=scale, depth=depth, packing="columns", measure=True).result
                excess = 2 * (scale + 14) + depth * scale - most_bits(ring)
                assert result.budget.excess == max(excess, 0)
                assert (result.costs is None) == (not result.budget.possible)
                if excess > 0:
                    assert f": {counted(excess, 'bit')} too many; " in explorer.sentence
    explorer.forget()


@pytest.mark.usefixtures("undrawn")
def test_what_it_measures_is_the_age_of_the_patients(explorer: EncryptionExplorer) -> None:
    result = explorer.set(**START).result
    X, _ = cohort.features(cohort.load_patients())
    assert result.costs.expected == costs.expected_errors(result.budget, X["age"].to_numpy(float)[:4096])
    assert result.costs.columns.patients == 4096
    assert result.costs.columns.ciphertexts == X.shape[1] == result.features
    few = EncryptionExplorer(cohort.load_patients().iloc[:60]).set(**SMALL)
    assert "39 ciphertexts carry 60 patients, and one patient a ciphertext takes 1.54 times" in few.sentence
    with pytest.raises(ExplorerError, match="patients is of type str"):
        EncryptionExplorer("patients.csv")


@pytest.mark.usefixtures("undrawn")
def test_large_rings_are_measured_when_asked_impossible_ones_never_and_packings_together(
    explorer: EncryptionExplorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, measure = [], costs.measure
    monkeypatch.setattr(costs, "measure", lambda chosen, *rest: measured.append(chosen) or measure(chosen, *rest))
    assert LARGE["ring"] > LIVE
    result = explorer.set(**LARGE).result
    assert (result.costs, result.budget.possible) == (None, True)
    assert explorer.sentence.endswith("error and costs are not measured at this ring until you press the button.")
    assert explorer.set(**IMPOSSIBLE).result.costs is None
    assert explorer.set(**TOO_FEW_PRIMES | {"measure": True}).result.costs is None
    assert measured == []
    result = explorer.set(**LARGE | {"measure": True}).result
    assert measured == [result.budget]
    assert "8,192 patients" in explorer.sentence
    explorer.forget()
    columns, one = (explorer.set(**SMALL | {"packing": packing}).result for packing in ("columns", "one patient"))
    assert columns.costs is one.costs
    assert len(measured) == 2


# ---------------------------------------------------------------------------------------------------- words, picture


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({}, "need primes of 208 bits together, and 128-bit security allows 214; the age of 4,096 patients, "),
        ({}, "a typical error within a factor of two of the 3e-8 that rounding lets expect; "),
        ({}, "the drift of the scale, if it is left in, makes 6e-6 of it; "),
        ({}, "in columns 39 ciphertexts carry 4,096 patients, and one patient a ciphertext takes 105 times as many."),
        ({"packing": "one patient"}, "one patient a ciphertext 39 of 4,096 slots are in use, and 4,096 patients"),
        (IMPOSSIBLE, "102 bits too many; at scale 2^36 this ring allows no multiplication; ring 8,192 would do."),
        (TOO_FEW_PRIMES, "too few such primes; SEAL needs 5 primes of 20 bits that suit ring 16,384: take a larger"),
        ({"ring": 16384, "scale": 45, "depth": 10}, "no ring on offer would do"),
        (SMALL, "and 1 multiplication need primes"),
    ],
)
def test_the_sentence_says_the_numbers(explorer: EncryptionExplorer, knobs: dict, words: str) -> None:
    assert words in explorer.set(**START | knobs).sentence


@pytest.mark.usefixtures("undrawn")
def test_an_error_that_is_not_expected_is_said(explorer: EncryptionExplorer, monkeypatch: pytest.MonkeyPatch) -> None:
    explorer.forget()
    monkeypatch.setattr(costs, "drift", lambda context: [1.0] * 5)  # nothing mended
    assert "a typical error far from the 3e-8 that rounding lets expect" in explorer.set(**START).sentence
    explorer.forget()


@pytest.mark.usefixtures("undrawn")
def test_the_sentence_follows_every_knob_and_is_the_same_in_every_run(explorer: EncryptionExplorer) -> None:
    seen = []
    for knobs in ({}, {"ring": 4096}, {"scale": 40, "depth": 2}, {"packing": "one patient"}):
        seen.append(explorer.set(**START | knobs).sentence)
        assert len(re.findall(r"[.?!](?:\s|$)", seen[-1])) == 1  # one sentence
        explorer.forget()
        assert explorer.set(**START | knobs).sentence == seen[-1]
    assert len(set(seen)) == len(seen)


def test_bytes_and_times_are_said_with_two_digits() -> None:
    assert [widget._size(amount) for amount in (4_868, 994_999, 2_089_306)] == ["4.9 kB", "990 kB", "2.1 MB"]
    assert [widget._duration(seconds) for seconds in (0.00027, 0.994, 1.13)] == ["0.27 ms", "990 ms", "1.1 s"]


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"packing": "one patient"},
        {"ring": 2048, "scale": 45, "depth": 10},
        TOO_FEW_PRIMES,
        {"ring": 16384, "scale": 45, "depth": 3, "measure": True},
    ],
)
def test_the_picture_can_be_read(explorer: EncryptionExplorer, knobs: dict) -> None:
    explorer.set(**START | knobs)
    assert_readable(explorer, least_texts=14)


def test_packings_differ_by_colour_and_marker_and_the_chosen_one_is_filled(explorer: EncryptionExplorer) -> None:
    for packing in ("columns", "one patient"):
        by_bytes = explorer.set(**SMALL | {"packing": packing})._figure.axes[-1]
        looks = {line.get_marker(): (line.get_color(), line.get_markerfacecolor()) for line in by_bytes.lines}
        columns, one = looks["o"], looks["s"]
        assert (columns[0], one[0]) == (figures.COLOURS["utility"], figures.COLOURS["control"])
        assert (columns[1] == "white", one[1] == "white") == (packing != "columns", packing == "columns")


def test_what_is_drawn_is_what_was_computed(explorer: EncryptionExplorer) -> None:
    bar = explorer.set(**IMPOSSIBLE)._figure.axes[0]
    assert [patch.get_width() for patch in bar.patches] == [50, 36, 36, 36, 50, 102]
    assert (bool(bar.patches[-1].get_hatch()), bar.patches[-1].get_x()) == (True, 106)
    assert np.all(bar.lines[0].get_xdata() == 106)
    assert next(text.get_text() for text in explorer._figure.texts) == "102 bits too many."
    found = explorer.set(**START).result.costs
    errors = explorer._figure.axes[1]
    drawn = {line.get_marker(): list(line.get_ydata()) for line in errors.lines}
    assert (drawn["o"], drawn["^"]) == (list(found.errors), list(found.drifting))
    assert [segment[1][1] for segment in errors.collections[0].get_segments()] == list(found.largest)
