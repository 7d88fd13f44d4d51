"""`utility`: information loss, class sizes, and the model trained on a release."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from ppml_helpers import cohort
from ppml_helpers.anonymise import (
    Hierarchy,
    Lattice,
    Released,
    discernibility,
    model_auc,
    model_quality,
    ncp,
    quality,
    support2_hierarchies,
)
from ppml_helpers.anonymise.multidimensional import mondrian
from ppml_helpers.errors import AnonymityError

QI = ["age", "sex", "race", "postcode", "admission"]


@pytest.fixture
def lattice(small: pd.DataFrame, ladders: dict[str, Hierarchy]) -> Lattice:
    return Lattice(small, ["age", "sex"], ladders)


@pytest.fixture
def by_tens(lattice: Lattice) -> Released:
    """Ages in tens (10 of 100 values), sex as it is; the patient of 71 is suppressed."""
    solution = lattice.solve(2, 0.2)
    assert solution.node == {"age": 1, "sex": 0}
    return lattice.apply(solution)


# ------------------------------------------------------------------------------------------------ cheap measures


def test_ncp_by_hand(by_tens: Released) -> None:
    age = 9 / 99
    for weights, loss in (({}, age / 2), ({"age": 1, "sex": 0}, age), ({"age": 3.0}, age * 3 / 4)):
        assert ncp(by_tens, weights) == pytest.approx((5 * loss + 1) / 6)
    assert ncp(by_tens, {"age": 3e300, "sex": 3e300}) == pytest.approx(ncp(by_tens))


def test_ncp_is_the_loss_that_the_lattice_reports(lattice: Lattice) -> None:
    for weights in ({}, {"age": 2, "sex": 5}, {"age": 0}):
        solution = lattice.solve(2, 0.2, weights=weights)
        assert ncp(lattice.apply(solution), weights) == pytest.approx(solution.loss)


def test_discernibility_by_hand(small: pd.DataFrame, by_tens: Released) -> None:
    assert discernibility(by_tens) == 3**2 + 2**2 + 1 * 6
    assert discernibility(mondrian(small, ["age"], 3)) == 3**2 + 3**2
    assert discernibility(mondrian(small, ["age"], 6)) == 36


# --------------------------------------------------------------------------------------------------- the model


class Split(NamedTuple):
    """The extract in two, to train on and to test on, and how to release the first."""

    train: pd.DataFrame
    test: pd.DataFrame

    def release(self, qi: list[str], k: int) -> Released:
        lattice = Lattice(self.train, qi, support2_hierarchies(self.train))
        return lattice.apply(lattice.solve(k, 0.05))

    def auc(self, released: Released, columns: list[str] | None = None) -> float:
        return model_auc(released, self.train, self.test, columns)


@pytest.fixture(scope="module")
def split(extract: pd.DataFrame) -> Split:
    order = np.random.default_rng(3).permutation(len(extract))
    return Split(extract.iloc[order[:6800]], extract.iloc[order[6800:]])


def fitted(X: Any, y: pd.Series, X_test: Any, y_test: pd.Series) -> Any:
    """The AUC of a logistic regression on features that a test made itself, as near as another solver comes."""
    model = LogisticRegression(max_iter=1000).fit(X, y)
    return pytest.approx(roc_auc_score(y_test, model.decision_function(X_test)), abs=1e-4)


def test_untouched_quasi_identifiers_give_the_model_of_the_raw_table(split: Split) -> None:
    """At k = 1 nothing is generalised: the same features, built another way, give the same AUC."""
    released = split.release(["age", "sex"], 1)

    def features(table: pd.DataFrame) -> np.ndarray:
        age = 2 * (table["age"] - 18) / (104 - 18) - 1
        return np.column_stack([age, table["sex"] == "female", table["sex"] == "male"]).astype(float)

    outcomes = split.train["hospdead"], split.test["hospdead"]
    expected = fitted(features(split.train), outcomes[0], features(split.test), outcomes[1])
    assert split.auc(released) == expected
    clinical = ["scoma", "meanbp"]  # their features are those of the cohort
    expected = fitted(*cohort.features(split.train, clinical), *cohort.features(split.test, clinical))
    assert split.auc(released, clinical) == expected


def test_a_band_is_the_mean_of_its_years_and_a_star_says_nothing(split: Split) -> None:
    released = split.release(["age", "sex"], 100)
    assert released.node["age"] in (1, 2, 3)

    def middles(table: pd.DataFrame) -> pd.DataFrame:
        years = table["age"].str.extract(r"(\d+)-?(\d+)?").astype(float).mean(axis=1)
        return (2 * (years - 18) / 86 - 1).to_frame()

    outcome = split.train["hospdead"].iloc[released.kept]
    expected = fitted(middles(released.table), outcome, middles(released.recode(split.test)), split.test["hospdead"])
    assert split.auc(released, ["age"]) == expected
    assert split.auc(split.release(["age", "admission"], 6800)) == 0.5


def test_counting_the_classes_is_fitting_the_rows(split: Split) -> None:
    """QIs alone are fitted by class; adding a column that is the same for everybody forces the fit by row."""
    same = Split(split.train.assign(scoma=0.0), split.test.assign(scoma=0.0))
    for released in (split.release(QI, 5), mondrian(split.train, QI, 5, support2_hierarchies(split.train))):
        assert split.auc(released, QI) == pytest.approx(same.auc(released, [*QI, "scoma"]), abs=2e-3)


def test_a_signal_survives_or_drowns() -> None:
    """Death depends on age and ward: exact labels show it, a release of one class cannot."""
    rng = np.random.default_rng(0)
    wards = np.array(["a", "b", "c", None], dtype=object)
    table = pd.DataFrame({"age": rng.integers(20, 80, 3000), "ward": wards[rng.integers(0, 4, 3000)]})
    risk = (table["age"] - 50) / 10 + 2.0 * (table["ward"] == "b") - 2.0 * table["ward"].isna()
    table["hospdead"] = (rng.random(3000) < 1 / (1 + np.exp(-risk))).astype(int)
    hierarchies = {"age": Hierarchy.bands(20, 79, (10, 30)), "ward": Hierarchy.suppression(["a", "b", "c"])}
    train, test = table.iloc[:2000], table.iloc[2000:]
    lattice = Lattice(train, ["age", "ward"], hierarchies)
    aucs = {k: model_auc(lattice.apply(lattice.solve(k, 0)), train, test) for k in (1, 20, 2000)}
    assert aucs[1] > 0.88
    assert aucs[1] - 0.03 < aucs[20] <= aucs[1] + 0.01
    assert aucs[2000] == 0.5
    for with_hierarchies in (hierarchies, None):
        assert model_auc(mondrian(train, ["age", "ward"], 20, with_hierarchies), train, test) > aucs[1] - 0.03


def test_values_that_training_never_saw(split: Split) -> None:
    """A test patient whose label no released row has still counts, with what else is known."""
    few = Split(split.train[split.train["race"].isin(["white", "black"])], split.test)
    lattice = Lattice(few.train, ["sex", "race"], support2_hierarchies(split.train))
    assert 0.4 < few.auc(lattice.apply(lattice.solve(1))) < 0.65


def test_quality_by_hand() -> None:
    """Twenty patients in ten pairs: each pair's forecast is off by 0.1, and each ends half in death."""
    deaths, forecast = np.tile([0, 1], 10), np.repeat(np.r_[[0.4] * 5, [0.6] * 5], 2)
    found = quality(deaths, forecast)
    expected = -np.mean(np.log(np.where(deaths == 1, forecast, 1 - forecast)))
    assert (found.auc, found.log_loss, found.calibration) == pytest.approx((0.5, expected, 0.1))
    assert quality([0, 1, 1], [0.0, 1.0, 1.0]) == pytest.approx((1, 0, 0), abs=1e-9)
    assert quality([0, 1], [0.2, 0.7]).calibration == pytest.approx(0.25)  # fewer than ten are a group each


def test_the_middle_of_a_box_is_prepared_as_a_value_is(split: Split) -> None:
    columns = ["crea", "hrt"]  # one with a logarithm
    train, test = (table.dropna(subset=columns) for table in split)
    released = mondrian(train, columns, 50)

    def middles(labels: pd.DataFrame) -> pd.DataFrame:
        ends = {name: labels[name].str.split("-", expand=True).astype(float) for name in columns}
        return pd.DataFrame({name: both.mean(axis=1) for name, both in ends.items()}).assign(hospdead=0)

    sides = middles(released.table), middles(released.recode(test))
    features = [cohort.features(side, columns)[0] for side in sides]
    outcome = train["hospdead"].iloc[released.kept]
    assert model_quality(released, train, test).auc == fitted(features[0], outcome, features[1], test["hospdead"])


# ---------------------------------------------------------------------------------------------------- bad input


def test_a_release_without_rows(small: pd.DataFrame, by_tens: Released) -> None:
    nothing = replace(by_tens, table=by_tens.table.iloc[:0], kept=by_tens.kept[:0], ncp=by_tens.ncp[:0])
    assert ncp(nothing) == 1
    assert discernibility(nothing) == 36
    with pytest.raises(AnonymityError, match="All 6 rows were suppressed"):
        model_auc(nothing, small, small)


@pytest.mark.parametrize("measure", [ncp, discernibility])
def test_a_table_is_no_release(small: pd.DataFrame, measure: Callable) -> None:
    with pytest.raises(AnonymityError, match="is a DataFrame, not a Released"):
        measure(small)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda split: {"columns": []}, "No column was chosen"),
        (lambda split: {"columns": ["surv2m"]}, "'surv2m' is not on offer"),
        (lambda split: {"extract_train": split.train.iloc[:99]}, "6800 rows, .* has 99"),
        (lambda split: {"extract_test": split.test.assign(hospdead=2)}, "patients holds 2"),
        (lambda split: {"extract_train": split.train.assign(hospdead=0)}, "rows holds 0,"),
    ],
)
def test_bad_input_to_the_model_is_refused(split: Split, change: Callable, names: str) -> None:
    arguments = {"extract_train": split.train, "extract_test": split.test} | change(split)
    with pytest.raises(AnonymityError, match=names):
        model_auc(split.release(["age", "sex"], 5), **arguments)
