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
from ppml_helpers.homomorphic_encryption.explorer import OFFERED_RINGS, RUNS, SCALES, EncryptionExplorer
from ppml_helpers.homomorphic_encryption.parameters import most_bits
from ppml_helpers.words import counted

START = {"ring": 8192, "scale": 36, "depth": 3, "packing": "columns", "run": "simulate"}
EXECUTED = START | {"run": "execute"}
SMALL = EXECUTED | {"ring": 4096, "scale": 24, "depth": 1}
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
def test_every_setting_on_offer_is_tried_as_wished_or_said_to_be_impossible(
    explorer: EncryptionExplorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No setting raises; what is called possible is within both limits, and what is too large is not."""
    pretended = explorer.set(**SMALL).result.costs
    monkeypatch.setattr(widget.costs, "measure", lambda chosen, *_: pretended)
    for ring in OFFERED_RINGS:
        for scale in SCALES:
            for depth, run in zip((1, 3, 4, 10), (*RUNS, "execute"), strict=True):
                result = explorer.set(ring=ring, scale=scale, depth=depth, packing="columns", run=run).result
                excess = 2 * (scale + 14) + depth * scale - most_bits(ring)
                assert result.budget.excess == max(excess, 0)
                assert (scale in result.simulated) == result.budget.possible
                wanted = {"simulate": set(), "execute": {scale} & set(result.simulated)}
                assert set(result.executed) == wanted.get(run, set(result.simulated))
                if excess > 0:
                    assert f": {counted(excess, 'bit')} too many; " in explorer.sentence
    explorer.forget()


@pytest.mark.usefixtures("undrawn")
def test_what_it_tries_is_the_age_of_the_patients(explorer: EncryptionExplorer) -> None:
    result = explorer.set(**EXECUTED).result
    X, _ = cohort.features(cohort.load_patients())
    assert result.simulated[36] == costs.simulate(result.budget, X["age"].to_numpy(float)[:4096])
    assert result.costs.columns.patients == 4096
    assert result.costs.columns.ciphertexts == X.shape[1] == result.features
    few = EncryptionExplorer(cohort.load_patients().iloc[:60]).set(**SMALL)
    assert "39 ciphertexts carry 60 patients, and one patient a ciphertext takes 1.54 times" in few.sentence
    with pytest.raises(ExplorerError, match="patients is of type str"):
        EncryptionExplorer("patients.csv")


@pytest.mark.usefixtures("undrawn")
def test_nothing_is_encrypted_before_it_is_wished_and_nothing_twice(
    explorer: EncryptionExplorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, measure = [], costs.measure
    monkeypatch.setattr(costs, "measure", lambda chosen, *rest: measured.append(chosen) or measure(chosen, *rest))
    explorer.forget()
    for knobs in (START, IMPOSSIBLE, LARGE, TOO_FEW_PRIMES | {"run": "execute"}):
        assert explorer.set(**knobs).result.costs is None
    assert measured == []
    columns, one = (explorer.set(**SMALL | {"packing": packing}).result for packing in ("columns", "one patient"))
    assert columns.costs is one.costs
    swept = explorer.set(**SMALL | {"run": "sweep"}).result
    assert measured == [one.budget, costs.bit_budget(4096, 20, 1)]
    assert list(swept.executed) == [20, 24]
    assert "; from scale 2^20 to 2^24, the largest that fits here, the error falls from 8e-4 to " in explorer.sentence


# ---------------------------------------------------------------------------------------------------- words, picture


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({}, "need primes of 208 bits together, and 128-bit security allows 214 (218 by the standard of 2018); "),
        (
            {},
            "; simulated, the age of 4,096 patients, raised to the power 4, comes back with a typical error of 3e-8 (",
        ),
        ({}, "(6e-6 if the drift of the scale is left in)."),
        (EXECUTED, "a typical error within a factor of two of the 3e-8 that was simulated (6e-6 if the drift"),
        (EXECUTED, "in columns 39 ciphertexts carry 4,096 patients, and one patient a ciphertext takes 105 times as"),
        (EXECUTED | {"packing": "one patient"}, "39 of 4,096 slots are in use, and 4,096 patients"),
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
    assert "a typical error far from the 3e-8 that was simulated" in explorer.set(**EXECUTED).sentence
    explorer.forget()


@pytest.mark.usefixtures("undrawn")
def test_the_sentence_follows_every_knob_and_is_the_same_in_every_run(explorer: EncryptionExplorer) -> None:
    seen = []
    for knobs in ({}, {"ring": 4096}, {"scale": 40, "depth": 2}, EXECUTED | {"packing": "one patient"}, EXECUTED):
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
        EXECUTED | {"packing": "one patient"},
        {"ring": 2048, "scale": 45, "depth": 10},
        TOO_FEW_PRIMES,
        {"run": "sweep"},
        {"ring": 16384, "scale": 45, "depth": 3, "run": "execute"},
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
    result = explorer.set(**START | {"run": "sweep"}).result
    errors, times = explorer._figure.axes[1:]
    drawn = {line.get_marker(): list(line.get_ydata()) for line in errors.lines}
    assert drawn["s"] == [one.error for one in result.simulated.values()]
    assert drawn["^"] == [one.drift for one in result.simulated.values()]
    assert drawn["o"] == [result.executed[36].error]  # the last of five dots
    found = result.executed.values()
    assert [bar.get_segments()[0][1][1] for bar in errors.collections] == [one.largest for one in found]
    seconds = [one.columns.seconds_per_patient for one in found]
    assert [line.get_ydata()[0] / 1e3 for line in times.lines] == pytest.approx(seconds)
