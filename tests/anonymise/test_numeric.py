"""`numeric`: rounding, top-coding, microaggregation and cell suppression, against slow definitions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppml_helpers.anonymise import k_anonymity, microaggregate, rounded, suppress_cells, top_coded
from ppml_helpers.errors import AnonymityError


def test_rounding_and_top_coding_by_hand() -> None:
    values = pd.Series([0.14, 0.16, 1.25, np.nan, 7.0], name="crea")
    assert rounded(values, 0.1).tolist()[:3] == [0.1, 0.2, 1.2]
    assert rounded(values, 0.1).isna().tolist() == values.isna().tolist()
    assert rounded(pd.Series([12, 13, 18]), 5).tolist() == [10, 15, 20]
    assert top_coded(values, 1.0).tolist()[:3] == [0.14, 0.16, 1.0]
    assert top_coded(values, 1.0).iloc[4] == 1.0


def slow_mdav(rows: list[tuple[float, ...]], k: int) -> list[list[int]]:
    """MDAV as the paper tells it, on rows that are scaled already."""
    left, groups = list(range(len(rows))), []

    def mean(places: list[int]) -> list[float]:
        return [sum(rows[place][i] for place in places) / len(places) for i in range(len(rows[0]))]

    def apart(place: int, point: list[float]) -> float:
        return round(sum((a - b) ** 2 for a, b in zip(rows[place], point, strict=True)), 9)

    def take(far: int) -> None:
        group = sorted(left, key=lambda place: apart(place, rows[far]))[:k]
        groups.append(group)
        left[:] = [place for place in left if place not in group]

    while len(left) >= 2 * k:
        both = len(left) >= 3 * k
        first = max(left, key=lambda place: apart(place, mean(left)))
        take(first)
        if both:
            take(max(left, key=lambda place: apart(place, rows[first])))
    return [*groups, left]


@pytest.mark.parametrize(("n", "k"), [(7, 2), (30, 3), (31, 4), (41, 5), (9, 9), (5, 3), (6, 1)])
def test_microaggregation_is_mdav(n: int, k: int) -> None:
    table = pd.DataFrame(np.random.default_rng(n).normal(size=(n, 2)) * [1, 50] + 7, columns=["a", "b"], index=[3] * n)
    scaled = (table - table.mean()) / table.std(ddof=0)
    expected = table.to_numpy(copy=True)
    for group in slow_mdav([tuple(row) for row in scaled.to_numpy()], k):
        expected[group] = table.to_numpy()[group].mean(axis=0)
    made = microaggregate(table, ["a", "b"], k)
    assert np.allclose(made, expected)
    assert np.allclose(made.sum(), table.sum())
    assert k <= made.round(9).value_counts().min()
    assert made.round(9).value_counts().max() < 2 * k


def test_equal_rows_and_one_wide_column_are_no_trouble() -> None:
    table = pd.DataFrame({"a": [1] * 9 + [2] * 9, "same": 5})
    assert microaggregate(table, ["a", "same"], 3).equals(table.astype(float))


ROWS = st.lists(st.tuples(st.sampled_from([1, 2, None]), st.sampled_from("fm"), st.integers(0, 3)), min_size=5)


@given(ROWS, st.integers(1, 5))
@settings(max_examples=80, deadline=None)
def test_cells_go_in_place_of_rows(rows: list, k: int) -> None:
    table, qi = pd.DataFrame(rows, columns=["age", "sex", "dx"], index=[0] * len(rows)), ["dx", "age", "sex"]
    before = table.copy()
    made = suppress_cells(table, qi, k)
    assert table.equals(before)
    assert len(table) - len(made.table) < k
    if len(made.table):
        assert k_anonymity(made.table, qi) >= k
    blank = made.blank.to_numpy()
    classes = table.groupby(qi, dropna=False).sex.transform("size").to_numpy()
    assert not blank[classes >= k].any()  # who had company keeps everything
    assert (np.diff(blank.astype(int), axis=1) <= 0).all()  # the first column goes first
    if len(made.table) == len(table):
        assert made.table.isna().equals(table.isna() | made.blank[table.columns])


@pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
def test_columns_of_any_kind_are_treated_alike(backend: str) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"age": rng.integers(20, 60, 60), "crea": rng.normal(1, 0.3, 60), "sex": ["f", "m", None] * 20}
    )
    other = table.convert_dtypes(dtype_backend=backend)
    assert suppress_cells(other, ["age", "sex"], 3).blank.equals(suppress_cells(table, ["age", "sex"], 3).blank)
    for treat in (
        lambda some: rounded(some.crea, 0.1),
        lambda some: rounded(some.age, 5),
        lambda some: top_coded(some.age, 50),
        lambda some: microaggregate(some, ["age", "crea"], 4).crea,
    ):
        assert np.allclose(treat(other).astype(float), treat(table))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda table: rounded(table.sex, 1), "'sex' .* holds no numbers"),
        (lambda table: rounded(table.age, 0), "step = 0 must be a finite number above 0"),
        (lambda table: top_coded(table.age, np.inf), "most = inf"),
        (lambda table: microaggregate(table, ["age", "sex"], 2), "'sex' .* holds no numbers"),
        (lambda table: microaggregate(table.assign(age=[1, None, 3, 4, 5, 6]), ["age"], 2), "'age' lacks numbers"),
        (lambda table: microaggregate(table, ["age"], 7), "k = 7 .* from 1 to 6"),
        (lambda table: suppress_cells(table, ["no"], 2), "lacks the column 'no'"),
        (lambda table: suppress_cells(table, ["age"], 0), "k = 0"),
    ],
)
def test_bad_input_gets_one_sentence(small: pd.DataFrame, call: object, words: str) -> None:
    with pytest.raises(AnonymityError, match=words):
        call(small)
