"""k-anonymity, l-diversity, t-closeness: against pycanon's answers, against the definitions, and bad input."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppml_helpers.anonymise import Hierarchy, Lattice, classes, k_anonymity, l_diversity, mondrian, risk, t_closeness
from ppml_helpers.columns import plain
from ppml_helpers.errors import AnonymityError

ORACLE = Path(__file__).resolve().parent / "oracle"
EXPECTED = json.loads((ORACLE / "expected.json").read_text(encoding="utf-8"))
CASES = [(name, column) for name, table in EXPECTED["tables"].items() for column in table["sensitive"]]


def oracle_table(name: str) -> tuple[pd.DataFrame, list[str], dict]:
    """Return the table as pycanon saw it, its quasi-identifiers and what pycanon said."""
    said = EXPECTED["tables"][name]
    table = pd.read_csv(ORACLE / f"{name}.csv", dtype=str, keep_default_na=False, encoding="utf-8")
    for column, answer in said["sensitive"].items():
        if answer["type"] == "number":
            table[column] = pd.to_numeric(table[column])
    assert len(table) == said["rows"]
    return table, said["qi"], said


# ------------------------------------------------------------------------------------------- pycanon's answers


@pytest.mark.parametrize(("name", "column"), CASES)
def test_agrees_with_pycanon(name: str, column: str) -> None:
    table, qi, said = oracle_table(name)
    answer = said["sensitive"][column]
    assert k_anonymity(table, qi) == said["k"]
    assert l_diversity(table, qi, column) == answer["l"]
    effective = l_diversity(table, qi, column, "entropy")
    assert effective == pytest.approx(answer["exact_entropy_l"], rel=1e-9)
    # Cutting decimals, as pycanon does, is a matter of the last bit when the effective number is whole.
    assert answer["entropy_l"] in {math.floor(effective - 1e-9), math.floor(effective + 1e-9)}
    assert t_closeness(table, qi, column) == pytest.approx(answer["t_equal"], abs=1e-9)
    if answer["t_ordered"] is not None:
        assert t_closeness(table, qi, column, "ordered") == pytest.approx(answer["t_ordered"], abs=1e-9)


@pytest.mark.parametrize("name", ["random_small", "missing_labels", "unicode"])
def test_neither_index_nor_column_type_nor_row_order_changes_the_answer(name: str) -> None:
    table, qi, said = oracle_table(name)
    rng = np.random.default_rng(5)
    other = table.iloc[rng.permutation(len(table))].set_index(rng.integers(0, 4, len(table)))
    for number, column in enumerate(qi):
        values = other[column].where(other[column] != "missing", None)
        other[column] = values.astype(["category", object, "string"][number % 3])
    column, answer = next(iter(said["sensitive"].items()))
    assert k_anonymity(other, qi) == said["k"]
    assert l_diversity(other, qi, column) == answer["l"]
    assert t_closeness(other, qi, column) == pytest.approx(answer["t_equal"], abs=1e-9)


# --------------------------------------------------------------------------------------------- the definitions


values = st.one_of(st.none(), st.sampled_from(["", "a", "b", "ü"]))
small_tables = st.lists(st.tuples(values, st.integers(0, 2), st.integers(-2, 3)), min_size=1, max_size=25).map(
    lambda rows: pd.DataFrame(rows, columns=["name", "number", "secret"])
)


@given(small_tables)
@settings(max_examples=60, deadline=None)
def test_equals_the_definitions(table: pd.DataFrame) -> None:
    qi = ["name", "number"]
    groups: dict[tuple, list[int]] = {}
    for row in table.itertuples(index=False):
        groups.setdefault((None if pd.isna(row.name) else row.name, row.number), []).append(row.secret)
    domain = sorted(set(table["secret"]))

    def shares(secrets: list[int]) -> np.ndarray:
        return np.array([secrets.count(value) / len(secrets) for value in domain])

    overall = shares(list(table["secret"]))
    gaps = [shares(secrets) - overall for secrets in groups.values()]
    entropies = [-sum(p * math.log(p) for p in shares(secrets) if p > 0) for secrets in groups.values()]
    assert k_anonymity(table, qi) == min(map(len, groups.values()))
    assert l_diversity(table, qi, "secret") == min(len(set(secrets)) for secrets in groups.values())
    assert l_diversity(table, qi, "secret", "entropy") == pytest.approx(math.exp(min(entropies)))
    assert t_closeness(table, qi, "secret") == pytest.approx(max(abs(gap).sum() / 2 for gap in gaps), abs=1e-12)
    steps = max(len(domain) - 1, 1)
    by_rank = max(abs(np.cumsum(gap)).sum() / steps for gap in gaps)
    assert t_closeness(table, qi, "secret", "ordered") == pytest.approx(by_rank, abs=1e-12)


def test_the_example_of_the_t_closeness_paper() -> None:
    """Li et al. 2007, table 4: salaries 3k to 11k in three classes, t = 0.167 by the ordered distance."""
    three = ["4767*"] * 3 + ["4790*"] * 3 + ["4760*"] * 3
    table = pd.DataFrame({"zip": three, "salary": [3, 5, 9, 6, 11, 8, 4, 7, 10]})
    assert t_closeness(table, ["zip"], "salary", "ordered") == pytest.approx(0.167, abs=0.0005)
    worse = table.assign(salary=[3, 4, 5, 6, 11, 8, 7, 9, 10])
    assert t_closeness(worse, ["zip"], "salary", "ordered") == pytest.approx(0.375)


def test_classes_are_numbered_by_first_appearance_whatever_the_index() -> None:
    table = pd.DataFrame({"a": ["x", "y", None, "x", np.nan], "b": [1, 1, 2, 1, 2]}, index=[7, 7, 0, 1, 1])
    assert classes(table, ["a", "b"]).tolist() == [0, 1, 2, 0, 2]
    assert classes(table, "b").tolist() == [0, 0, 1, 0, 1]


def test_a_missing_value_is_a_value_of_its_own() -> None:
    table = pd.DataFrame({"q": ["a", "a", None, pd.NA], "s": ["x", None, "x", "y"]})
    assert k_anonymity(table, ["q"]) == 2
    for missing in (pd.array([1, 1, None], dtype="Int64"), pd.to_datetime(["2020-01-01", "2020-01-01", None])):
        assert classes(pd.DataFrame({"q": missing}), ["q"]).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("diagnoses", "distinct", "effective"),
    [
        (["HIV"] * 5 + [None], 1, 1),
        (["HIV"] * 3 + ["flu"] * 3 + [None] * 20, 2, 2),
        (["HIV"] * 3 + ["flu"] + [pd.NA], 2, math.exp(math.log(4) - 0.75 * math.log(3))),
        ([None, np.nan], 0, 0),
    ],
)
def test_a_missing_entry_is_no_value_that_l_counts(diagnoses: list, distinct: int, effective: float) -> None:
    table = pd.DataFrame({"age": 40, "dx": pd.Series(diagnoses, dtype=object)})
    fine = pd.DataFrame({"age": 50, "dx": ["HIV", "flu", "cold"]})
    for one in (table, pd.concat([table, fine]).astype({"dx": "category"})):
        assert l_diversity(one, ["age"], "dx") == distinct
        assert l_diversity(one, ["age"], "dx", "entropy") == pytest.approx(effective)


ARROW = {
    "dictionary": pa.array(["b", "a", None, "b"]).dictionary_encode(),
    "decimal": pa.array([Decimal("1.50"), Decimal("2"), None, Decimal("1.5")]),
    "date32": pa.array([date(1993, 1, 2), date(1993, 1, 1), None, date(1993, 1, 2)]),
    "null": pa.nulls(4),
    "NaN that Arrow holds to be there": pa.array([2.5, 1.0, math.nan, 2.5]),
}


@pytest.mark.parametrize("column", [np.array([1.5, 1, np.nan, 1.5], "float16"), *ARROW.values()], ids=str)
def test_what_pandas_can_hold_but_not_index_is_counted_all_the_same(column) -> None:
    held = pd.arrays.ArrowExtensionArray(column) if isinstance(column, pa.Array) else column
    table = pd.DataFrame({"q": held, "s": list("abca")})
    only = isinstance(column, pa.NullArray)
    assert classes(table, ["q"]).tolist() == ([0, 0, 0, 0] if only else [0, 1, 2, 0])
    base = sorted({plain(value) for value in table["q"]} - {None})
    lattice = Lattice(table, ["q"], {"q": Hierarchy.suppression(base or ["none"])})
    for one in (mondrian(table, ["q"], 1), lattice.apply(lattice.solve(1))):
        assert sorted(one.table["s"]) == list("aabc")
        assert one.table["q"].tolist().count("missing") == (4 if only else 1)
        assert risk(one, table).marketer == pytest.approx(1 / 4 if only else (1 / 3 + 1 / 3 + 1 / 2 + 1 / 4) / 4)
    assert l_diversity(table.assign(all=1), ["all"], "q") == (0 if only else 2)


def test_many_columns_do_not_overflow() -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({f"q{i}": rng.permutation(2000) for i in range(9)})
    assert k_anonymity(pd.concat([table, table]), list(table.columns)) == 2


@pytest.mark.parametrize(
    "secret",
    [
        pd.Categorical(["low", "mid", "high", "low"], ["never", "low", "mid", "unused", "high"], ordered=True),
        pd.to_datetime(["2020-01-01", "2020-06-01", "2021-01-01", "2020-01-01"]),
        [-np.inf, 0.5, np.inf, -np.inf],
    ],
)
def test_order_is_that_of_numbers_dates_and_ordered_categories(secret) -> None:
    table = pd.DataFrame({"q": ["a", "a", "b", "b"], "s": secret})
    # Class a: 1/2, 1/2, 0 against 1/2, 1/4, 1/4: a quarter moves one step of two.
    assert t_closeness(table, ["q"], "s", "ordered") == pytest.approx(0.125)
    assert t_closeness(table, ["q"], "s") == pytest.approx(0.25)


def test_many_different_numbers_need_no_large_memory() -> None:
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"q": np.arange(60_000) // 2, "s": rng.random(60_000)})
    assert t_closeness(table, ["q"], "s") == pytest.approx(1 - 2 / 60_000)
    assert 0.4 < t_closeness(table, ["q"], "s", "ordered") <= 0.5


# ---------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("change", "qi", "names"),
    [
        (lambda small: small.iloc[:0], ["age"], "no rows"),
        (lambda small: small, [], "No quasi-identifier"),
        (lambda small: small, ["age", "zip"], "'zip'.*age, sex, dx"),
        (lambda small: small, ["age", "age"], "'age' is named twice"),
        (lambda small: small, 5, "lacks the column 5"),
        (lambda small: small.assign(age=[1, "1", 2, 3, 4, 5]), ["age"], "'age' mixes numbers.* 1 and '1'"),
        (
            lambda small: small.assign(age=pd.array([[1]] * 6, pd.ArrowDtype(pa.list_(pa.int8())))),
            ["age"],
            "'age' holds values that cannot be compared, such as lists",
        ),
        (list, ["age"], "of type list.*of a Released, its `table`"),
    ],
)
def test_bad_tables_and_columns_are_refused(small: pd.DataFrame, change: Callable, qi: object, names: str) -> None:
    with pytest.raises(AnonymityError, match=names):
        k_anonymity(change(small), qi)


@pytest.mark.parametrize(
    ("measure", "secret", "how", "names"),
    [
        (l_diversity, "dx", "entropie", "'entropie'"),
        (l_diversity, "age", "distinct", "'age' is both"),
        (l_diversity, ["dx"], "distinct", r"\['dx'\]"),
        (t_closeness, "dx", "manhattan", "'manhattan'"),
        (t_closeness, "dx", "ordered", "'dx' .*has no order"),
        (t_closeness, "named", "ordered", "has no order"),
        (t_closeness, "gap", "ordered", "misses 1 of 6"),
        (t_closeness, "zones", "ordered", "has no order"),
    ],
)
def test_a_wrong_secret_or_measure_is_refused(
    small: pd.DataFrame, measure: Callable, secret: object, how: str, names: str
) -> None:
    table = small.assign(named=small["dx"].astype("category"), gap=[1, np.nan, 2, 3, 4, 5])
    table["zones"] = pd.Series([pd.Timestamp("1993", tz=zone) for zone in (None, "UTC") * 3], dtype=object)
    with pytest.raises(AnonymityError, match=names):
        measure(table, ["age"], secret, how)
