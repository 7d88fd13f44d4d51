"""`utility`: information loss, class sizes, and the model trained on a release."""

from __future__ import annotations

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
    ncp,
    support2_hierarchies,
)
from ppml_helpers.anonymise.multidimensional import mondrian
from ppml_helpers.errors import AnonymityError
from ppml_helpers.people import identities

QI = ["age", "sex", "race", "postcode", "admission"]
CLINICAL = [name for name in cohort.SUPPORT2.columns if name not in QI]

TABLE = pd.DataFrame({"age": [21, 22, 23, 35, 36, 71], "sex": list("fffmmf"), "dx": list("abcabc")})
HIERARCHIES = {"age": Hierarchy.bands(20, 79, (10, 30)), "sex": Hierarchy.suppression(["f", "m"])}


def lattice_release(k: int = 2, limit: float = 0.2) -> Released:
    """Ages in tens (10 of 60 values), sex as it is; the patient of 71 is suppressed."""
    lattice = Lattice(TABLE, ["age", "sex"], HIERARCHIES)
    solution = lattice.solve(k, limit)
    assert solution.node == {"age": 1, "sex": 0}
    return lattice.apply(solution)


# ------------------------------------------------------------------------------------------------ cheap measures


def test_ncp_by_hand() -> None:
    released = lattice_release()
    age = 9 / 59
    assert ncp(released) == pytest.approx((5 * age / 2 + 1) / 6)
    assert ncp(released, {"age": 1, "sex": 0}) == pytest.approx((5 * age + 1) / 6)
    assert ncp(released, {"age": 3.0}) == pytest.approx((5 * age * 3 / 4 + 1) / 6)
    assert ncp(released, {"age": 3e300, "sex": 3e300}) == pytest.approx(ncp(released))


def test_ncp_is_the_loss_that_the_lattice_reports() -> None:
    lattice = Lattice(TABLE, ["age", "sex"], HIERARCHIES)
    for weights in ({}, {"age": 2, "sex": 5}, {"age": 0}):
        solution = lattice.solve(2, 0.2, weights=weights)
        assert ncp(lattice.apply(solution), weights) == pytest.approx(solution.loss)


def test_discernibility_by_hand() -> None:
    released = lattice_release()
    assert discernibility(released) == 3**2 + 2**2 + 1 * 6
    assert discernibility(mondrian(TABLE, ["age"], 3)) == 3**2 + 3**2
    assert discernibility(mondrian(TABLE, ["age"], 6)) == 36


# --------------------------------------------------------------------------------------------------- the model


class Extract:
    """The patients as an extract, split, with their hierarchies."""

    def __init__(self) -> None:
        patients = cohort.load_patients()
        whole = identities.deidentified(patients, identities.identities(patients))
        order = np.random.default_rng(3).permutation(len(whole))
        self.train, self.test = whole.iloc[order[:6800]], whole.iloc[order[6800:]]
        self.hierarchies = support2_hierarchies(whole)

    def release(self, qi: list[str], k: int, limit: float = 0.05) -> Released:
        lattice = Lattice(self.train, qi, self.hierarchies)
        return lattice.apply(lattice.solve(k, limit))


@pytest.fixture(scope="module")
def extract() -> Extract:
    return Extract()


def test_untouched_quasi_identifiers_give_the_model_of_the_raw_table(extract: Extract) -> None:
    """At k = 1 nothing is generalised: the same features, built another way, give the same AUC."""
    released = extract.release(["age", "sex"], 1)

    def features(table: pd.DataFrame) -> np.ndarray:
        age = 2 * (table["age"] - 18) / (104 - 18) - 1
        return np.column_stack([age, table["sex"] == "female", table["sex"] == "male"]).astype(float)

    model = LogisticRegression(max_iter=1000).fit(features(extract.train), extract.train["hospdead"])
    expected = roc_auc_score(extract.test["hospdead"], model.decision_function(features(extract.test)))
    assert model_auc(released, extract.train, extract.test) == pytest.approx(expected, abs=1e-4)


def test_the_clinical_columns_are_the_features_of_the_cohort(extract: Extract) -> None:
    released = extract.release(["age", "sex"], 1)
    X, y = cohort.features(extract.train, ["scoma", "meanbp"])
    X_test, y_test = cohort.features(extract.test, ["scoma", "meanbp"])
    expected = roc_auc_score(y_test, LogisticRegression(max_iter=1000).fit(X, y).decision_function(X_test))
    assert model_auc(released, extract.train, extract.test, ["scoma", "meanbp"]) == pytest.approx(expected, abs=1e-4)


def test_a_band_is_the_mean_of_its_years_and_a_star_says_nothing(extract: Extract) -> None:
    released = extract.release(["age", "sex"], 100)
    assert released.node["age"] in (1, 2, 3)
    low_high = released.table["age"].str.extract(r"(\d+)-?(\d+)?").astype(float)
    middle = low_high.mean(axis=1).to_numpy()
    outcome = extract.train["hospdead"].to_numpy()[released.kept]
    model = LogisticRegression(max_iter=1000).fit((2 * (middle - 18) / 86 - 1)[:, None], outcome)
    bands = released.recode(extract.test)["age"].str.extract(r"(\d+)-?(\d+)?").astype(float).mean(axis=1).to_numpy()
    expected = roc_auc_score(extract.test["hospdead"], model.decision_function((2 * (bands - 18) / 86 - 1)[:, None]))
    assert model_auc(released, extract.train, extract.test, ["age"]) == pytest.approx(expected, abs=1e-4)
    assert model_auc(extract.release(["age", "admission"], 6800), extract.train, extract.test) == 0.5


def test_counting_the_classes_is_fitting_the_rows(extract: Extract) -> None:
    """QIs alone are fitted by class; adding a column that is the same for everybody forces the fit by row."""
    same = {"train": extract.train.assign(scoma=0.0), "test": extract.test.assign(scoma=0.0)}
    for released in (
        extract.release(QI, 5),
        mondrian(extract.train, QI, 5, extract.hierarchies),
    ):
        by_class = model_auc(released, extract.train, extract.test, QI)
        by_row = model_auc(released, same["train"], same["test"], [*QI, "scoma"])
        assert by_class == pytest.approx(by_row, abs=2e-3)


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


def test_values_that_training_never_saw(extract: Extract) -> None:
    """A test patient whose label no released row has still counts, with what else is known."""
    train = extract.train[extract.train["race"].isin(["white", "black"])]
    lattice = Lattice(train, ["sex", "race"], extract.hierarchies)
    released = lattice.apply(lattice.solve(1))
    assert 0.4 < model_auc(released, train, extract.test) < 0.65


# ---------------------------------------------------------------------------------------------------- bad input


def test_a_release_without_rows() -> None:
    whole = lattice_release()
    nothing = Released(whole.table.iloc[:0], whole.qi, whole.kept[:0], 6, whole.ncp[:0], whole.node, whole.recoder)
    assert ncp(nothing) == 1
    assert discernibility(nothing) == 36
    with pytest.raises(AnonymityError, match="All 6 rows were suppressed"):
        model_auc(nothing, TABLE, TABLE)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(AnonymityError, match="'zip' is not on offer"):
        ncp(lattice_release(), {"zip": 1})
    for measure in (ncp, discernibility):
        with pytest.raises(AnonymityError, match="is a DataFrame, not a Released"):
            measure(TABLE)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda a: a.update(columns=[]), "No column was chosen"),
        (lambda a: a.update(columns=["surv2m"]), "'surv2m' is not on offer"),
        (lambda a: a.update(extract_train=a["extract_train"].iloc[:99]), "6800 rows, .* has 99"),
        (lambda a: a.update(extract_test=a["extract_test"].assign(hospdead=2)), "patients holds 2"),
        (lambda a: a.update(extract_train=a["extract_train"].assign(hospdead=0)), "rows holds 0,"),
    ],
)
def test_bad_input_to_the_model_is_refused(extract: Extract, change, names: str) -> None:
    tables = {"extract_train": extract.train, "extract_test": extract.test}
    arguments = {"released": extract.release(["age", "sex"], 5), **tables}
    change(arguments)
    with pytest.raises(AnonymityError, match=names):
        model_auc(**arguments)
