"""What models say of one patient (`exposure`), the pictures (`drawing`) and the explorer of chapter 06b."""

from __future__ import annotations

import numpy as np
import pytest
from readable import assert_readable

from ppml_helpers.attack_and_audit import drawing, exposure, shadow, study
from ppml_helpers.attack_and_audit.explorer import ExposureExplorer
from ppml_helpers.errors import AttackError, ExplorerError
from ppml_helpers.figures import Picture

CALM = "logistic regression"


@pytest.fixture(scope="module")
def explorer() -> ExposureExplorer:
    """One explorer for the module, which trains each kind once."""
    return ExposureExplorer()


def people(explorer: ExposureExplorer) -> list[int]:
    return [who for _, who in explorer._controls["patient"].options]


def test_the_patients_on_offer_are_apart_and_their_chance_is_what_is_said() -> None:
    chosen = [exposure.patient_of(chance) for chance in exposure.CHANCES]
    assert len(set(chosen)) == len(chosen)
    np.testing.assert_allclose(exposure.chances()[chosen], exposure.CHANCES, atol=0.005)
    with pytest.raises(AttackError, match=r"chance = 1\.2 must be"):
        exposure.patient_of(1.2)
    with pytest.raises(AttackError, match="kind = 'forest' is not on offer"):
        exposure.attacked("forest")


def test_what_is_shown_is_what_the_attack_finds_in_these_models(explorer: ExposureExplorer) -> None:
    result = explorer.set(kind=CALM, patient=people(explorer)[0]).result
    who, given = people(explorer)[0], study.shadows(CALM, exposure.MODELS)
    np.testing.assert_array_equal(result.scores, given.scores[:, who])
    np.testing.assert_array_equal(result.inside, given.member[:, who])
    scores = shadow.leave_one_out(given)
    bar = shadow.vulnerability(scores, given.member, exposure.RATE).threshold
    assert result.found == (scores[result.inside, who] >= bar).sum()
    assert result.alarms == (scores[~result.inside, who] >= bar).sum()
    assert result.died == study.pool()[1].iloc[who]


def test_whose_end_was_a_surprise_is_found_in_a_network_that_learns_by_heart_and_in_no_calm_one(
    explorer: ExposureExplorer,
) -> None:
    surprising, expected = people(explorer)[0], people(explorer)[-1]
    assert explorer.set(kind="overfitted network", patient=surprising).result.found >= 14
    assert explorer.set(patient=expected).result.found <= 2
    for kind in ("network, clipped, no noise", "network, epsilon 1"):
        calm = explorer.set(kind=kind, patient=surprising).result
        assert calm.found <= 4
        assert abs(calm.scores[calm.inside].mean() - calm.scores[~calm.inside].mean()) < 1


def test_the_sentence_says_the_numbers_and_all_can_be_read(explorer: ExposureExplorer) -> None:
    for kind in exposure.KINDS:
        for who in people(explorer)[::4]:
            result = explorer.set(kind=kind, patient=who).result
            end = "died in hospital" if result.died else "left hospital alive"
            assert f"This patient {end}, which" in explorer.sentence
            assert (
                f"in {result.found} of 16 models that they were in, and in {result.alarms} of 16" in explorer.sentence
            )
            assert_readable(explorer)


def test_models_are_trained_once_and_forgotten_on_demand(
    explorer: ExposureExplorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer.set(kind=CALM)
    made = []
    monkeypatch.setattr(exposure, "attacked", lambda kind, progress: made.append(kind))
    explorer.set(patient=people(explorer)[3])
    assert made == []
    explorer.forget()
    monkeypatch.undo()
    assert explorer.set(kind=CALM).result.kind == CALM
    with pytest.raises(ExplorerError, match="forest"):
        explorer.set(kind="forest")


def test_the_pictures_say_their_numbers() -> None:
    kept = study.load()
    calm = kept[CALM]
    curves = {"strong": calm.attacks["LiRA online"], "weak": calm.attacks["loss threshold"]}
    roc = drawing.draw_roc(curves | {"none": calm.no_leak["LiRA online"]})
    found = drawing.draw_found({"a": (0.1092, 0.001, 0.0012), "b": (0.0, 0.0, 0.0)})
    bands = drawing.draw_bands({name: np.array([0.972, 0.0]) for name in "abc"}, ["0-10 %", "90-100 %"])
    for words, picture in (
        ("strong 0.3 %; weak 0.1 %", roc),
        ("a 10.92 %; b 0.00 %", found),
        ("a: 97.2 %, 0.0 %", bands),
    ):
        assert isinstance(picture, Picture)
        assert words in picture.alt
