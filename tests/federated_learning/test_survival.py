"""Survival across hospitals: the pooled curve to the last bit, checked against SciPy and by counting heads."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import CensoredData, ecdf

from ppml_helpers import cohort
from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import masked_sums, survival

DAYS = np.arange(1, 2030)


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    return cohort.load_patients()


@pytest.mark.parametrize("skew", [0.0, 1.0])
def test_the_federated_curve_is_the_pooled_one_and_that_of_scipy(patients: pd.DataFrame, skew: float) -> None:
    together = survival.federated(cohort.hospitals(patients, 4, 0, skew), DAYS)
    pooled = survival.kaplan_meier(patients, DAYS)
    assert all(np.array_equal(one, other) for one, other in zip(together, pooled, strict=True))
    time, death = patients["d.time"].to_numpy(float), patients["death"].to_numpy(bool)
    oracle = ecdf(CensoredData(time[death], right=time[~death])).sf
    np.testing.assert_allclose(together.survival, oracle.evaluate(DAYS), atol=1e-12)
    assert together.deaths.sum() == death.sum()


def by_hand(time: list[int], death: list[int], days: list[int]) -> list[Fraction]:
    alive, curve, before = Fraction(1), [], -1
    for day in days:
        at_risk = sum(one > before for one in time)
        died = sum(before < one <= day and dead == 1 for one, dead in zip(time, death, strict=True))
        alive *= 1 - Fraction(died, max(at_risk, 1))
        curve.append(alive)
        before = day
    return curve


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1), st.integers(0, 2)), max_size=25),
    st.sets(st.integers(1, 14), min_size=1),
)
def test_any_small_study_is_counted_as_by_hand(rows: list[tuple[int, int, int]], grid: set[int]) -> None:
    table, days = pd.DataFrame(rows, columns=["d.time", "death", "home"], dtype=int), sorted(grid)
    curve = survival.federated({f"{n}": table[table["home"] == n] for n in range(3)}, days)
    expected = by_hand(table["d.time"].tolist(), table["death"].tolist(), days)
    np.testing.assert_allclose(curve.survival, np.array(expected, float), atol=1e-12)
    assert curve.left.sum() + curve.deaths.sum() == len(table)


def test_what_leaves_a_hospital_looks_like_noise_and_holds_none_of_its_counts(
    patients: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(survival, "secure_sum", lambda vectors: seen.append(masked_sums.secure_sum(vectors)) or seen[0])
    homes = cohort.hospitals(patients, 4, 0, 0.9)
    survival.federated(homes, DAYS)
    for view, table in zip(seen[0].masked.values(), homes.values(), strict=True):
        assert masked_sums.uniformity(view) > 1e-6
        own = survival.kaplan_meier(table, DAYS)
        assert not set(np.concatenate([own.at_risk, own.deaths]).tolist()) & set(view.tolist())


def test_small_cells_are_what_a_reader_could_tie_to_a_person() -> None:
    table = pd.DataFrame({"d.time": [3, 3, 3, 9, 12, 30], "death": [1, 1, 1, 1, 0, 0]})
    assert survival.kaplan_meier(table, [3, 9, 12, 20]).small_cells(2) == 2  # a death on day 9, an end on day 12
    assert survival.kaplan_meier(table, [3, 9, 12, 20]).small_cells(4) == 3
    assert survival.kaplan_meier(table, [20]).small_cells(4) == 0


@pytest.mark.parametrize(
    ("change", "days", "words"),
    [
        ({"d.time": -1}, [5], "holds -1, it must be a number of days"),
        ({"d.time": np.nan}, [5], "holds nan, it must be a number of days"),
        ({"d.time": "long"}, [5], "holds nan"),
        ({"death": 2}, [5], "death holds 2, it must be 0 or 1"),
        ({"other": 1}, [5, 5], "no grid"),
        ({"other": 1}, [0, 5], "no grid"),
        ({"other": 1}, [], "no grid"),
        ({"other": 1}, [1.5], "no grid"),
    ],
)
def test_what_cannot_be_counted_is_refused_in_a_sentence(change: dict, days: list, words: str) -> None:
    good = pd.DataFrame({"d.time": [3, 4], "death": [1, 0]})
    with pytest.raises(FederationError, match=words):
        survival.federated({"A": good, "B": good.assign(**change)}, days)
    with pytest.raises(FederationError, match="number of hospitals"):
        survival.federated({"A": good}, [5])
    with pytest.raises(FederationError, match=r"^B cannot take part: The patients have no column 'death'"):
        survival.federated({"A": good, "B": good[["d.time"]]}, [5])
