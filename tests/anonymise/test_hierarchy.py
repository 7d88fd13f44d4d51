"""`hierarchy` and `support2`: constructors, labels, missing values, refusals; and the order of what is `released`."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppml_helpers.anonymise import Hierarchy, Released, release, support2_hierarchies
from ppml_helpers.anonymise.hierarchy import label_of
from ppml_helpers.anonymise.released import order_of, ranks_of
from ppml_helpers.errors import AnonymityError
from ppml_helpers.people import identities

# ------------------------------------------------------------------------------------------------ constructors


AGES = Hierarchy.suppression([1, 2])
YEAR = Hierarchy.periods("1993-01-01", "1993-12-31")


def labels(hierarchy: Hierarchy, values: list[Any], level: int) -> list[str]:
    return hierarchy.generalise(pd.Series(values, name="x"), level).tolist()


def test_bands() -> None:
    ages = Hierarchy.bands(18, 104, (5, 10, 20, 40))
    assert ages.height == 5
    assert labels(ages, [18, 63, 65, 104], 0) == ["18", "63", "65", "104"]
    assert labels(ages, [18, 63, 65, 104], 1) == ["18-19", "60-64", "65-69", "100-104"]
    assert labels(ages, [18, 63, 65, 104], 4) == ["18-39", "40-79", "40-79", "80-104"]
    assert labels(ages, [18, 104], 5) == ["*", "*"]
    assert ages.leaves(1).tolist()[:3] == [2, 5, 5]
    assert ages.leaves(5).tolist() == [87]
    assert labels(Hierarchy.bands(-3, 5, (5,)), [-3, -1, 0, 5], 1) == ["-3--1", "-3--1", "0-4", "5"]


def test_groups_and_a_dict() -> None:
    race = Hierarchy.groups(("a", "b", "c"), {"x": ["a", "b"], "y": "c"}, {"xy": ["a", "b", "c"]})
    assert [race.labels(level).tolist() for level in range(4)] == [["a", "b", "c"], ["x", "y"], ["xy"], ["*"]]
    sex = Hierarchy.suppression(["f", "m"])
    assert Hierarchy.of(sex) is sex
    as_dict = Hierarchy.of({0: np.array(["f", "m"]), 1: pd.Series(["*", "*"])}, "sex")
    assert as_dict.levels == sex.levels == (("f", "m"), ("*", "*"))


@pytest.mark.parametrize("unit", ["s", "ns"])
def test_periods(unit: str) -> None:
    days = Hierarchy.periods("1992-12-30", "1993-04-02")
    assert len(days.values) == 94
    some = pd.Series(pd.to_datetime(["1992-12-31", "1993-04-01"])).astype(f"datetime64[{unit}]")
    assert [days.generalise(some, level).tolist() for level in range(5)] == [
        ["1992-12-31", "1993-04-01"],
        ["1992-12", "1993-04"],
        ["1992 Q4", "1993 Q2"],
        ["1992", "1993"],
        ["*", "*"],
    ]


def test_many_codes_are_grouped_without_comparing_each_with_each() -> None:
    """Work is counted, not timed: each value's text is compared a few times, however many there are."""

    class Code(str):
        compared = 0

        def __eq__(self, other: object) -> bool:
            Code.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    codes = [Code(f"{letter}{number:03d}") for letter in "ABCDEFGHIJ" for number in range(300)]
    groups = {letter: [Code(code) for code in codes if code[0] == letter] for letter in "ABCDEFGHIJ"}
    assert len(Hierarchy.groups(codes, groups).labels(1)) == 10
    assert Code.compared < 10 * len(codes)


# ------------------------------------------------------------------------------------------------ values, labels


@pytest.mark.parametrize(
    ("base", "column", "expected"),
    [
        ([1, 2], pd.Series([1.0, None]), ["1", "missing"]),
        ([1, 2], pd.Series([1, None], dtype="Int64"), ["1", "missing"]),
        ([1, 2], pd.Series([np.int8(2), 1.0], dtype=object), ["2", "1"]),
        ([1, 2], pd.Series([2, None], dtype="category"), ["2", "missing"]),
        *[(["a", "ß"], pd.Series(["ß", None], dtype=dtype), ["ß", "missing"]) for dtype in ("str", object, "category")],
    ],
)
def test_the_same_value_in_any_dtype(base: list[Any], column: pd.Series, expected: list[str]) -> None:
    column.index = [5] * len(column)
    generalised = Hierarchy.suppression(base).generalise(column, 0)
    pd.testing.assert_series_equal(generalised, pd.Series(expected, index=column.index, dtype="str"))


def test_a_missing_value_is_a_value_below_the_top() -> None:
    race = Hierarchy.groups(("a", "b"), {"x": ["a"], "y": ["b"]})
    assert [labels(race, ["a", None], level) for level in range(3)] == [["a", "missing"], ["x", "missing"], ["*", "*"]]
    full = race.with_missing()
    assert full.leaves(2).tolist() == [3]
    assert full.levels[1] == ("x", "y", "missing")
    assert full.with_missing() is full
    assert [labels(full, ["a", None], level) for level in range(3)] == [["a", "missing"], ["x", "missing"], ["*", "*"]]
    without_top = Hierarchy([["a", "b"], ["x", "y"]])
    assert labels(without_top, ["a", None], 1) == ["x", "missing"]
    assert without_top.with_missing().levels[1] == ("x", "y", "missing")
    own = Hierarchy([["a", None], ["known", "unknown"], ["*", "*"]])
    assert labels(own, ["a", None], 1) == ["known", "unknown"]


def test_days_are_found_whatever_type_holds_them() -> None:
    days = [date(1993, 1, 1), np.datetime64("1993-04-01"), None]
    for held in (
        pd.Series(days, dtype=object),
        pd.Series([*days[:1], date(1993, 4, 1), None], dtype="date32[pyarrow]"),
    ):
        for hierarchy in (YEAR, Hierarchy.of({0: days[:2], 1: ["1993-01", "1993-04"]})):
            assert hierarchy.generalise(held, 1).tolist() == ["1993-01", "1993-04", "missing"]


def test_labels_of_values() -> None:
    values = [60.0, 0.5, True, pd.NaT, pd.Timestamp("1993-04-01"), pd.Timestamp("1993-04-01 10:00"), np.inf]
    said = ["60", "0.5", "True", "missing", "1993-04-01", "1993-04-01 10:00:00", "inf"]
    assert [label_of(value) for value in values] == said


# ------------------------------------------------------------------------------------------------ SUPPORT2


def test_the_hierarchies_of_the_extract_cover_it_and_the_register(
    extract: pd.DataFrame, register: identities.Register
) -> None:
    hierarchies = support2_hierarchies(extract)
    assert list(hierarchies) == ["age", "sex", "race", "edu", "income", "postcode", "dzgroup", "admission"]
    for name, hierarchy in hierarchies.items():
        assert set(hierarchy.levels[-1]) == {"*"}
        assert set(hierarchy.generalise(extract[name], hierarchy.height)) == {"*"}
        if name in register.table:
            assert set(hierarchy.generalise(register.table[name], hierarchy.height)) == {"*"}
    assert set(hierarchies["postcode"].levels[2]) == {"QA", "QB", "QC", "QD", "QE"}
    assert len(set(hierarchies["postcode"].levels[1])) == 60
    assert labels(hierarchies["edu"], [8, 9.0, 12, 17, None], 1) == ["0-8", "9-11", "12", "17 or more", "missing"]
    assert list(support2_hierarchies(register.table)) == ["age", "sex", "postcode"]
    with pytest.raises(AnonymityError, match="has none of the columns age, sex"):
        support2_hierarchies(pd.DataFrame({"height": [1]}))


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Hierarchy([[], []]), "The hierarchy has no values"),
        (lambda: Hierarchy([["a", "b"], ["*"]]), "has 2 base values but 1 labels at level 1"),
        (lambda: Hierarchy([[1, "1"]]), "names the value '1' twice"),
        (
            lambda: Hierarchy([["a", "b", "c"], ["x", "x", "y"], ["p", "q", "q"]], "race"),
            "The hierarchy of 'race' is not nested: the label 'x' of level 1 (values 'a' and 'b') falls into both",
        ),
        (lambda: Hierarchy.of({0: ["a"], 2: ["*"]}, "sex"), "the hierarchy of 'sex' has the levels 0 and 2"),
        (lambda: Hierarchy.of("sex", "sex"), "the hierarchy of 'sex' is a str"),
        (lambda: Hierarchy.bands(0, 9, (5, 12)), "A band of 12 does not consist of whole bands of 5"),
        (lambda: Hierarchy.groups(["a", "b"], {"x": ["a"]}), "At level 1 no group holds the value 'b'"),
        (lambda: Hierarchy.groups(["a"], {"x": ["a", "z"]}), "At level 1 a group names the unknown value 'z'"),
        (lambda: Hierarchy.groups(["a"], {"x": ["a"], "y": ["a"]}), "The value 'a' is in the groups 'x' and 'y'"),
        (lambda: Hierarchy.periods("1993-02-01", "1993-01-01"), "The days end on 1993-01-01, before they begin"),
        (lambda: Hierarchy.periods("soon", "later"), "The days 'soon' to 'later' cannot be read"),
        (lambda: Hierarchy.periods("1993", "1994", ("year", "month")), "from fine to coarse"),
        (lambda: Hierarchy.suppression(["missing"]).with_missing(), "holds the text 'missing' and missing values"),
        (lambda: labels(AGES, [4, 5, 6, 7], 0), "'x' lacks 4 values of the column: '4', '5', '6' and 1 more. Add them"),
        (
            lambda: labels(AGES, ["1"], 0),
            "'x' holds text, such as '1', where its hierarchy has numbers, such as 1: give",
        ),
        (
            lambda: labels(Hierarchy.of({0: ["1"]}), [1], 0),
            "'x' holds numbers, such as 1, where its hierarchy has text",
        ),
        (lambda: labels(YEAR, [pd.Timestamp("1993-01-01", tz="UTC")], 0), "dates with a time zone, such as 1993-01-01"),
        (lambda: AGES.generalise(pd.DataFrame({"x": [1]}), 1), "A column must be a pandas Series, not a DataFrame"),
        (lambda: labels(AGES, [1, "one"], 0), "The column 'x' mixes numbers and text, such as 1 and 'one'"),
        (lambda: labels(AGES, [[1], [2]], 0), "The column 'x' holds values that cannot be compared"),
        (lambda: labels(AGES, [1], 2), "The level of the hierarchy = 2 must be a whole number from 0 to 1"),
    ],
)
def test_a_wrong_hierarchy_or_column_is_refused(make: Any, says: str) -> None:
    with pytest.raises(AnonymityError, match=re.escape(says)):
        make()


# ------------------------------------------------------------------------------------------------ released order

MIXED = st.one_of(st.none(), st.integers(-5, 5), st.floats(-5, 5), st.sampled_from(["b", "ä", "", "10"]), st.booleans())


def released(table: pd.DataFrame, kept: np.ndarray, rows: int) -> Released:
    return release(table, ["q"], kept, rows, np.zeros((len(kept), 1)), None, pd.DataFrame.copy)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(MIXED, min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_the_order_depends_on_the_released_values_alone(values: list[Any], random: Any) -> None:
    """Whichever rows were suppressed, and in whatever order the kept ones came, they stand in the same order."""
    table = pd.DataFrame({"q": "*", "x": pd.Series(values, dtype=object)})
    rows = list(range(len(values)))
    half = rows[: len(rows) // 2 + 1]
    first = released(table.iloc[half], np.array(half), len(rows))
    random.shuffle(half)
    again = released(table.iloc[half], np.array(half), len(rows))
    assert [repr(v) for v in first.table["x"]] == [repr(v) for v in again.table["x"]]
    assert [repr(values[i]) for i in again.kept] == [repr(v) for v in again.table["x"]]


def test_nothing_of_a_suppressed_row_stays_in_a_dictionary_or_a_category() -> None:
    coded = pa.array(["rare", "x", "y", "x"]).dictionary_encode()
    lists = pa.array([["rare"], ["x"], ["y"], ["x"]], pa.list_(pa.dictionary(pa.int32(), pa.string())))
    table = pd.DataFrame({"q": "*", "c": pd.Categorical(["rare", "x", "y", "x"])})
    for name, held in {"d": coded, "l": lists}.items():
        table[name] = pd.arrays.ArrowExtensionArray(held)
    out = released(table.iloc[1:], np.arange(1, 4), 4).table
    assert (out["d"].tolist(), out["d"].dtype) == (["x", "x", "y"], table["d"].dtype)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, (whole := pa.Table.from_pandas(out)).schema) as stream:
        stream.write_table(whole)
    assert b"rare" not in sink.getvalue().to_pybytes()


def test_a_value_ranks_the_same_whatever_else_the_column_holds() -> None:
    some = pd.Series([2, "b", None, 1.5, True], dtype=object)
    for others in ([], ["a", 0, (1,)], [3, "c"]):
        ranks = ranks_of(pd.concat([some, pd.Series(others, dtype=object)], ignore_index=True))[: len(some)]
        assert np.argsort(ranks).tolist() == [4, 3, 0, 1, 2]


def test_rows_are_sorted_by_their_values_from_the_first_column_on() -> None:
    table = pd.DataFrame({"q": list("baba"), "x": [[1], [2], [1], [1]], "y": [4, 3, 2, 1]})  # lists: ordered as text
    assert released(table, np.arange(4), 4).table["y"].tolist() == [1, 3, 2, 4]
    wide = [np.array([2**40, 5]), np.array([2**40, 0]), np.array([1, 2])]  # more combinations than 64 bits hold
    assert order_of(2, wide).tolist() == [1, 0]
