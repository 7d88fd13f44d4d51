"""The explorer of chapter 07: its numbers against runs made without it, what the server reads, and what it says."""

from __future__ import annotations

import dataclasses
import math
import re
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from flwr.app import Array, ArrayRecord, RecordDict
from readable import assert_readable

from ppml_helpers import accounting, cohort, figures
from ppml_helpers.errors import ExplorerError
from ppml_helpers.explorer import Stopped
from ppml_helpers.federated_learning import explorer as widget
from ppml_helpers.federated_learning import gradient_attack as gradients
from ppml_helpers.federated_learning import hospitals as tables
from ppml_helpers.federated_learning import in_process, masking
from ppml_helpers.federated_learning.app.federated_hospitals import task
from ppml_helpers.federated_learning.explorer import (
    MARKERS,
    PROTECTIONS,
    STEPS_AN_EPOCH,
    Federation,
    FederationExplorer,
)

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


def with_fictional(hospitals: int, skew: float) -> list[tables.Hospital]:
    """Deal the patients without the explorer, and put the fictional one into the first hospital."""
    first, *others = tables.simulated(n=hospitals, seed=0, skew=skew)
    X, y = cohort.features(gradients.fictional_patient())
    X_train, y_train = np.vstack([first.X_train, X.to_numpy()]), np.append(first.y_train, y.to_numpy())
    return [dataclasses.replace(first, X_train=X_train, y_train=y_train), *others]


# ---------------------------------------------------------------------------------------------------- the numbers


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("turned", "config"),
    [
        ({}, {}),
        ({"strategy": "FedProx", "hospitals": 2, "skew": 0.0}, {"strategy": "fedprox"}),
        ({"strategy": "FedAdam", "local_epochs": 1, "rounds": 5}, {"strategy": "fedadam", "local-epochs": 1}),
        ({"hospitals": 8, "skew": 1.0}, {}),
    ],
)
def test_a_setting_gives_what_a_run_of_its_own_gives(explorer: FederationExplorer, turned: dict, config: dict) -> None:
    result = explorer.set(**START | turned).result
    hospitals = with_fictional(result.hospitals, result.skew)
    run = in_process.run(hospitals, {"num-server-rounds": result.rounds, **config})
    assert result.run.sha256 == run.sha256
    assert result.federated == run.auc
    assert result.patients == tuple(hospital.patients for hospital in hospitals)
    for i, hospital in enumerate(hospitals):
        own = task.train(np.zeros(40), hospital.X_train, hospital.y_train, 20, 64, 0.5, task.rng_for(0, 1, i))
        assert result.alone[i] == pytest.approx(task.evaluate(own, hospital.X_test, hospital.y_test).auc)
    everyone = tables.pooled(hospitals)
    model = task.train(
        np.zeros(40), everyone.X_train, everyone.y_train, 20, 64, 0.5, task.rng_for(0, 1, len(hospitals))
    )
    for hospital, auc in zip(hospitals, result.pooled, strict=True):
        assert auc == pytest.approx(task.evaluate(model, hospital.X_test, hospital.y_test).auc)
    assert result.table_bytes == sum(result.patients) * 40 * 8


@pytest.mark.usefixtures("undrawn")
def test_bytes_are_those_that_crossed(explorer: FederationExplorer, monkeypatch: pytest.MonkeyPatch) -> None:
    crossed = []
    carry = in_process.run

    def noted(hospitals: object, config: object, on_message: object) -> object:
        def both(crossing: in_process.Crossing) -> None:
            crossed.append((crossing.bytes_down, crossing.bytes_up))
            on_message(crossing)

        return carry(hospitals, config, on_message=both)

    monkeypatch.setattr(widget.in_process, "run", noted)
    for protection in PROTECTIONS:
        crossed.clear()
        result = explorer.set(**START | {"protection": protection, "rounds": 1, "hospitals": 3, "epsilon": 2.0}).result
        assert (result.run.bytes_down, result.run.bytes_up) == tuple(map(sum, zip(*crossed, strict=True)))


def test_the_margin_is_two_standard_errors_of_the_difference() -> None:
    """Against drawing the test patients anew, 2,000 times."""
    rng = np.random.default_rng(1)
    y = (rng.random(400) < 0.3).astype(float)
    one = y + rng.normal(scale=1.2, size=400)
    other = one + rng.normal(scale=0.8, size=400)
    draws = rng.integers(0, 400, (2_000, 400))
    differences = [task.auc(y[rows], one[rows]) - task.auc(y[rows], other[rows]) for rows in draws]
    assert widget.margin(y, one, other) == pytest.approx(2 * np.std(differences), rel=0.1)
    assert widget.margin(y, one, one) == 0


def test_who_gains_and_loses_is_by_the_margin() -> None:
    result = dataclasses_like(alone=(0.80, 0.80, 0.80, 0.80), federated=(0.82, 0.78, 0.80, 0.805), margin=(0.01,) * 4)
    assert (result.gains, result.loses) == ((0,), (1,))
    assert widget._balance(result) == "Clearly gain: A. Clearly lose: B. Within chance: 2."


def dataclasses_like(**given: object) -> Federation:
    return Federation(**(dict.fromkeys(Federation._fields) | {"hospitals": 4} | given))


# ---------------------------------------------------------------------------------------------------- the server


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "turned",
    [
        {},
        {"hospitals": 2, "skew": 0.0, "local_epochs": 10, "rounds": 1},
        {"hospitals": 8, "skew": 1.0, "strategy": "FedProx"},
        {"strategy": "FedAdam", "local_epochs": 1},
    ],
)
def test_without_protection_the_patient_is_read(explorer: FederationExplorer, turned: dict) -> None:
    result = explorer.set(**START | turned).result
    assert result.is_read
    assert gradients.relative_error(result.read, result.true) == result.error < 1e-9
    fictional = cohort.features(gradients.fictional_patient())[0].to_numpy()[0]
    np.testing.assert_array_equal(result.true, fictional)
    assert result.guess > 0.5
    assert math.isinf(result.epsilon)


@pytest.mark.usefixtures("undrawn")
def test_masks_change_nothing_but_what_the_server_sees_and_the_bytes(explorer: FederationExplorer) -> None:
    plain = explorer.set(**START).result
    masked = explorer.set(**START | {"protection": "masks"}).result
    np.testing.assert_allclose(masked.run.weights, plain.run.weights, atol=1e-8)
    assert masked.run.bytes_up > plain.run.bytes_up
    assert masked.error > 0.9
    assert masked.uniformity > 1e-6
    assert math.isnan(plain.uniformity)
    assert "sees random numbers" in explorer.sentence


def test_an_update_without_its_mask_is_not_taken_for_random() -> None:
    vector = masking.encode(np.append(np.linspace(-1, 1, 40) * 1500, 1500.0), 4)
    content = RecordDict({"masked": ArrayRecord({"masked": Array(vector)})})
    crossing = SimpleNamespace(reply=SimpleNamespace(content=content))
    found = widget._uniformity(crossing)
    assert found < 1e-12
    np.testing.assert_allclose(widget._seen(crossing), np.linspace(-1, 1, 40), atol=1e-9)
    result = dataclasses_like(protection="masks", error=0.5, guess=1.1, uniformity=found)
    assert "random" not in widget._verdict(result)
    assert "reads the patient's record exactly" in widget._verdict(result._replace(error=1e-9))


@pytest.mark.usefixtures("undrawn")
def test_dp_keeps_its_epsilon_and_hides_the_patient(explorer: FederationExplorer) -> None:
    found = {}
    for epsilon in (0.1, 1.0, 10.0):
        result = explorer.set(**START | {"protection": "dp", "epsilon": epsilon, "rounds": 5}).result
        assert result.epsilon == epsilon
        assert result.run.ledgers[0][1:] == (1.0, 5 * 2 * STEPS_AN_EPOCH)
        assert 0.99 * epsilon < accounting.epsilon(*result.run.ledgers[0]) <= epsilon
        assert result.error > 0.7 * result.guess
        found[epsilon] = result
    assert np.mean(found[0.1].federated) < np.mean(found[10.0].federated) - 0.03
    assert found[1.0].error > 0.95 * found[1.0].guess
    assert found[10.0].error < found[1.0].error


@pytest.mark.usefixtures("undrawn")
def test_what_hides_the_patient_under_dp_is_the_noise(
    explorer: FederationExplorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounting, "noise_multiplier", lambda *_: 0.0)
    assert explorer.set(**START | {"protection": "dp", "epsilon": 7.0, "rounds": 1}).result.error < 0.05


@pytest.mark.usefixtures("undrawn")
def test_epsilon_between_two_stops_is_the_one_shown(explorer: FederationExplorer) -> None:
    result = explorer.set(**START | {"protection": "dp", "epsilon": 10**0.25, "rounds": 1}).result
    assert result.epsilon == 1.8
    assert accounting.epsilon(*result.run.ledgers[0]) <= 1.8


# ---------------------------------------------------------------------------------------------------- one computation


@pytest.mark.usefixtures("undrawn")
def test_a_run_can_be_stopped_in_any_round_and_the_explorer_goes_on(explorer: FederationExplorer) -> None:
    for protection, last in (("none", "round 3 of 5"), ("masks", "round 2 of 5"), ("dp", "the server reads")):
        told = []

        def stop(fraction: float, what: str, told: list = told, last: str = last) -> None:
            told.append((fraction, what))
            if what.startswith(last):
                raise Stopped("enough")

        knobs = START | {"protection": protection, "rounds": 5, "epsilon": 3.0}
        with pytest.raises(Stopped):
            explorer.compute(stop, **knobs)
        fractions = [fraction for fraction, _ in told]
        assert fractions == sorted(fractions)
        assert fractions[0] >= 0
        assert fractions[-1] <= 1
    assert explorer.set(**START).result.is_read


def test_nothing_is_printed(explorer: FederationExplorer, capfd: pytest.CaptureFixture[str]) -> None:
    for protection in PROTECTIONS:
        explorer.set(**START | {"protection": protection, "rounds": 1, "epsilon": 4.0})
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("undrawn")
def test_a_move_at_the_defaults_takes_less_than_two_seconds() -> None:
    spent, explorer = [], FederationExplorer()
    for knobs in ({}, {"rounds": 5}, {"strategy": "FedProx"}, {"protection": "masks"}, {"protection": "dp"}):
        began = time.process_time()
        explorer.set(**knobs)
        spent.append(time.process_time() - began)
    assert max(spent) < 2


def test_the_same_setting_gives_the_same_picture(explorer: FederationExplorer) -> None:
    for protection in ("none", "dp"):
        knobs = START | {"protection": protection, "rounds": 1, "hospitals": 3}
        explorer.forget()
        first = explorer.set(**knobs)._png
        explorer.forget()
        assert explorer.set(**knobs)._png == first


def test_masks_are_random_and_the_sentence_is_not(explorer: FederationExplorer) -> None:
    seen = []
    for _ in range(2):
        explorer.forget()
        explorer.set(**START | {"protection": "masks", "rounds": 1})
        seen.append((explorer.sentence, explorer.result.read.tolist()))
    assert seen[0][0] == seen[1][0]
    assert seen[0][1] != seen[1][1]


def test_epsilon_can_be_moved_under_dp_alone(explorer: FederationExplorer) -> None:
    def parts() -> list[bool]:
        (row,) = [box for box in explorer._box.children[1].children if hasattr(box, "children")]
        return [part.disabled for part in row.children]

    explorer.set(**START | {"rounds": 1})
    assert parts() == [True, True]
    explorer.set(protection="dp")
    assert parts() == [False, False]
    explorer.set(protection="masks")
    assert parts() == [True, True]


# ---------------------------------------------------------------------------------------------------- refusals


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"hospitals": 1}, "hospitals = 1"),
        ({"hospitals": 9}, "hospitals = 9"),
        ({"skew": 0.3}, "skew = 0.3 is not on offer; choose one of 0.0, 0.25, 0.5, 0.75, 1.0"),
        ({"local_epochs": 0}, "local_epochs = 0 is not on offer"),
        ({"rounds": 3}, "rounds = 3 is not on offer"),
        ({"strategy": "Krum"}, "is not on offer"),
        ({"protection": "encryption"}, "is not on offer"),
        ({"epsilon": 0.0}, "epsilon = 0.0 is not a number from 0.1 to 10"),
        ({"delta": 1e-5}, "no knob 'delta'"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(explorer: FederationExplorer, knobs: dict, words: str) -> None:
    before = explorer.set(**START).values
    with pytest.raises(ExplorerError, match=words) as no:
        explorer.set(**knobs)
    assert "\n" not in str(no.value)
    assert explorer.values == before


def test_unfit_tables_and_seeds_are_refused_in_one_sentence() -> None:
    patients = cohort.load_patients().iloc[:200]
    for table, words in (
        ("patients.csv", "of type str, not a table"),
        (patients.drop(columns="age"), "cannot be dealt to hospitals"),
    ):
        with pytest.raises(ExplorerError, match=words) as no:
            FederationExplorer(table)
        assert "\n" not in str(no.value)
    for seed in (-1, 1.5, True, "0"):
        with pytest.raises(ExplorerError, match="is not a whole number of at least 0"):
            FederationExplorer(patients, seed=seed)


def test_too_few_patients_for_so_many_hospitals_is_said_on_the_page() -> None:
    explorer = FederationExplorer(cohort.load_patients().iloc[:120])
    before = explorer.set(hospitals=2, skew=0.0, rounds=1)._image.value
    explorer._controls["hospitals"].value = 8  # as in the browser
    deadline = time.monotonic() + 60
    while explorer._worker is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "This setting cannot be shown: " in explorer._status.value
    assert explorer._image.value == before


@pytest.mark.usefixtures("undrawn")
def test_another_seed_deals_anew() -> None:
    patients: pd.DataFrame = cohort.load_patients().iloc[:2000]
    one, other = (FederationExplorer(patients, seed=seed).set(rounds=1).result for seed in (0, 1))
    assert one.federated != other.federated
    assert one.is_read
    assert other.is_read


# ---------------------------------------------------------------------------------------------------- words, picture


def test_the_sentence_says_the_numbers(explorer: FederationExplorer) -> None:
    result = explorer.set(**START | {"protection": "dp", "rounds": 1}).result
    sentence = explorer.sentence
    assert sentence.startswith(
        "4 simulated hospitals with skew 0.5 train together by FedAvg, 1 round of 2 local epochs, "
        "with DP at epsilon 1: the mean"
    )
    mean = np.average(result.federated, weights=result.patients)
    assert f"the mean test AUC is {mean:.2f}, against " in sentence
    assert f"clearly lose: {', '.join('ABCD'[i] for i in result.loses) or 'none'}; " in sentence
    assert f"within chance: {4 - len(result.gains) - len(result.loses)}; " in sentence
    assert "a fictional patient is added to A: the server's relative error is 1.1, no better than guessing" in sentence
    assert sentence.endswith("whether a patient took part is guessed right at most 73 times in 100.")
    assert sentence.count(".") - len(re.findall(r"\d\.\d", sentence)) == 1  # one sentence


def test_the_sentence_is_the_alternative_text_and_follows_every_knob(explorer: FederationExplorer) -> None:
    seen = []
    for knobs in (
        {},
        {"hospitals": 2},
        {"skew": 0.0},
        {"local_epochs": 1},
        {"rounds": 1},
        {"strategy": "FedAdam"},
        {"protection": "masks"},
        {"protection": "dp"},
        {"protection": "dp", "epsilon": 0.1},
    ):
        explorer.set(**START | knobs)
        seen.append(explorer.sentence)
        data, _ = explorer._repr_mimebundle_()
        assert data["text/plain"] == seen[-1]
        assert "simulated" in seen[-1]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("amount", "said"),
    [(950, "0.95 kB"), (49_000, "49 kB"), (111_700, "110 kB"), (994_999, "990 kB"), (2.2e6, "2.2 MB")],
)
def test_bytes_are_said_with_two_digits(amount: int, said: str) -> None:
    assert widget._size(amount) == said


@pytest.mark.parametrize("protection", PROTECTIONS)
@pytest.mark.parametrize(("hospitals", "skew"), [(2, 0.0), (5, 1.0), (8, 1.0)])
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
