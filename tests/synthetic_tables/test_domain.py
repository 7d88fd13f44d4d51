"""Public levels: to codes and back, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ppml_helpers import cohort
from ppml_helpers.errors import DataError
from ppml_helpers.synthetic_tables import ORDER, Axis, public_domain


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    return cohort.load_patients()


@pytest.mark.parametrize("bins", [2, 5, 9])
def test_levels_come_back_as_values_of_the_same_level(patients: pd.DataFrame, bins: int) -> None:
    domain = public_domain(ORDER, bins)
    codes = domain.encode(patients)
    assert (codes >= 0).all()
    assert (codes < domain.sizes).all()
    back = domain.decode(codes, np.random.default_rng(0))
    assert (domain.encode(back) == codes).all()
    assert set(ORDER) == set(cohort.SUPPORT2.columns)


def test_the_levels_do_not_depend_on_the_patients(patients: pd.DataFrame) -> None:
    axes = {axis.name: axis for axis in public_domain(ORDER).axes}
    for name, axis in axes.items():
        role = cohort.SUPPORT2.columns.get(name)
        if hasattr(role, "low"):  # the outer edges are the schema's bounds, half a unit beyond for whole numbers
            assert abs(axis.edges[0] - role.low) <= 0.5
            assert abs(axis.edges[-1] - role.high) <= 0.5
        elif role:
            assert axis.labels[: len(role.levels)] == role.levels
    assert axes["scoma"].labels[0] == "0"  # "none" is a level of its own
    assert axes["pafi"].labels[-1] == "missing"
    assert "missing" not in axes["age"].labels


def test_a_number_beyond_the_public_bounds_is_in_the_outer_level_and_missing_in_its_own() -> None:
    pafi = public_domain(["pafi"]).axes[0]
    assert pafi.encode(pd.Series([-5.0, 1e6, np.nan], name="pafi")).tolist() == [0, pafi.size - 2, pafi.size - 1]
    assert np.isnan(pafi.decode(np.array([pafi.size - 1]), np.random.default_rng(0))[0])


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("sex", "unknown", "sex = 'unknown' in row 2 is impossible, it is none of the 2 public levels"),
        ("age", None, r"age = .* every row must have a value"),
        ("age", "old", r"age = 'old' in row 2 is impossible, must be a finite number"),
        ("postcode", "QZ1 1", "postcode = 'QZ1 1' in row 2"),
    ],
)
def test_what_is_no_public_level_is_named(patients: pd.DataFrame, name: str, value: object, words: str) -> None:
    table = patients[["sex", "age", "hospdead"]].head(3).assign(postcode="QA1 0").astype(object)
    table.iloc[1, table.columns.get_loc(name)] = value
    with pytest.raises(DataError, match=words):
        public_domain(["sex", "age"], also=[Axis("postcode", ("QA1 0",))]).encode(table)


@pytest.mark.parametrize("columns", [["height"], [], ["age", "age"]])
def test_columns_that_cannot_be_meant_are_refused(columns: list[str]) -> None:
    with pytest.raises(DataError, match=r"height|must be one or more, each once"):
        public_domain(columns)
