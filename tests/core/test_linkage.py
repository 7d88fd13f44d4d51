"""`linkage`, with `columns`: against a loop over all pairs, and on tables as untidy as real ones."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppml_helpers.errors import AttackError
from ppml_helpers.people import linkage

REGISTER = pd.DataFrame(
    {"name": ["Ada", "Bea", "Cem", "Dot", "Eli"], "age": [63, 63, 63, 40, 41], "sex": ["f", "f", "m", "f", None]},
    index=[10, 11, 12, 13, 14],
)
TABLE = pd.DataFrame({"age": [63, 63, 40, 41, 99], "sex": ["f", "m", "f", None, "m"]}, index=["p", "q", "r", "s", "t"])
TRUTH = pd.Series(["p", None, None, "r", "s"], index=REGISTER.index)  # q and t are not on the register


def pairs(table: pd.DataFrame, register: pd.DataFrame, on: list[str]) -> list[list[int]]:
    """Positions of the register that fit each row, pair by pair; a missing value rules nobody out."""
    return [
        [
            place
            for place, person in enumerate(register[on].itertuples(index=False, name=None))
            if all(pd.isna(a) or pd.isna(b) or a == b for a, b in zip(row, person, strict=True))
        ]
        for row in table[on].itertuples(index=False, name=None)
    ]


# ------------------------------------------------------------------------------------------------ on a table by hand


def test_candidates_names_and_scores_of_a_small_table():
    table, register = TABLE.copy(deep=True), REGISTER.copy(deep=True)
    found = linkage.link(table, register, ["age", "sex"])
    assert found.on == ("age", "sex")
    assert found.candidates.tolist() == [2, 1, 1, 1, 0]
    assert found.person.index.tolist() == list("pqrst")
    assert found.person[["q", "r", "s"]].tolist() == [12, 13, 14]
    assert found.person[["p", "t"]].isna().all()
    assert found.unique == 3 / 5
    assert found.marketer == pytest.approx((1 / 2 + 1 + 1 + 1) / 5)
    score = found.score(TRUTH)
    assert (score.n_right, score.n_wrong, score.n_not_named, score.n) == (2, 1, 2, 5)
    assert (score.right, score.wrong, score.not_named) == (2 / 5, 1 / 5, 2 / 5)
    assert score.expected == pytest.approx((1 / 2 + 0 + 1 + 1) / 5)  # q is taken for Cem, who is somebody else
    more = pd.concat([TRUTH, pd.Series(["t"], index=[99])]).sample(frac=1, random_state=0)
    assert found.score(more) == score  # in any order, and for more people
    pd.testing.assert_frame_equal(table, TABLE)  # left as they were
    pd.testing.assert_frame_equal(register, REGISTER)


def test_a_released_table_is_scored_by_the_labels_that_its_holder_kept():
    found = linkage.link(TABLE.reset_index(drop=True), REGISTER, ["age", "sex"])
    assert found.score(TRUTH, labels=list("pqrst")) == linkage.link(TABLE, REGISTER, ["age", "sex"]).score(TRUTH)
    with pytest.raises(AttackError, match="numbers, but the truth text"):
        found.score(TRUTH)


# ---------------------------------------------------------------------------------------- against a loop over all pairs

AGES, SEXES = st.sampled_from([1, 2, 3, None]), st.sampled_from(["f", "m", "ü", "", None])
DAYS = st.sampled_from([pd.Timestamp("1993-01-01"), pd.Timestamp("1993-01-02"), None])
ROWS = st.lists(st.tuples(AGES, SEXES, DAYS), min_size=1, max_size=12)


def frame(rows: list[tuple], categories: bool) -> pd.DataFrame:
    made = pd.DataFrame(rows, columns=["age", "sex", "day"]).astype({"age": "Int64", "sex": "str"})
    made["day"] = pd.to_datetime(made["day"])
    return made.astype({"sex": "category"}) if categories else made


@given(
    ROWS,
    ROWS,
    st.sampled_from([["age"], ["sex"], ["age", "sex"], ["day", "age", "sex"]]),
    st.tuples(st.booleans(), st.booleans()),
    st.data(),
)
@settings(max_examples=100, deadline=None)
def test_links_and_scores_are_those_of_a_loop_over_all_pairs(rows, people, on, categories, data):
    table, register = frame(rows, categories[0]), frame(people, categories[1])
    table.index = data.draw(st.lists(st.integers(0, 9), min_size=len(table), max_size=len(table)))
    truth = data.draw(st.lists(st.sampled_from([*range(10), None]), min_size=len(register), max_size=len(register)))
    truth = pd.Series(truth, index=register.index, dtype="Int64")
    found = linkage.link(table, register, on)
    slow = pairs(table, register, on)
    assert found.candidates.tolist() == [len(places) for places in slow]
    assert found.person.isna().tolist() == [len(places) != 1 for places in slow]
    assert found.person.dropna().tolist() == [places[0] for places in slow if len(places) == 1]
    assert found.marketer == pytest.approx(np.mean([1 / len(places) if places else 0 for places in slow]))
    score = found.score(truth)
    own = [[pd.notna(truth[place]) and truth[place] == label for place in places]
           for label, places in zip(table.index, slow, strict=True)]  # fmt: skip
    assert score.n_right == sum(hits == [True] for hits in own)
    assert score.n_wrong == sum(hits == [False] for hits in own)
    assert score.n_not_named == sum(len(hits) != 1 for hits in own)
    assert score.expected == pytest.approx(np.mean([np.mean(hits) if hits else 0 for hits in own]))


# -------------------------------------------------------------------------------------------------------- any types

NOON = pd.Timestamp("1993-01-01T12")


def dictionary(*values: str | None) -> pd.Series:
    return pd.Series(
        pd.array(pa.array(values).dictionary_encode(), dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string())))
    )


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ([1, 2], [1.0, 3.0]),
        ([1, 2], pd.array([1, None], dtype="Int64")),
        (np.array([1, 2], dtype="int8"), pd.Categorical([1, 3])),
        ([True, False], [1, 7]),
        (pd.Series([True, None], dtype=object), [1, 7]),
        ([Decimal(1), Decimal(2)], [1, 3]),
        (["ä", "b"], pd.Categorical(["ä", "c"], categories=["c", "ä", "unused"])),
        (pd.Series(["a", None], dtype=object), pd.Series(["a", None], dtype="string")),
        (pd.to_datetime(["1993-01-01", None]), np.array(["1993-01-01", "1994-01-01"], dtype="datetime64[D]")),
        ([datetime.date(1993, 1, 1), None], [datetime.datetime(1993, 1, 1), None]),
        (pd.to_datetime(["1993-01-01T12", None], utc=True), pd.to_datetime(["1993-01-01T14+02:00", None])),
        ([10**17 + 1, 5], [10**17 + 1, 10**17]),  # a float would not tell these apart
        (pd.array([2**53, 2**53 + 1], dtype="int64[pyarrow]"), [2.0**53, 1.0]),
        (np.array([2**63, 5], dtype="uint64"), np.array([2**63, 2**63 - 1], dtype="uint64")),
        ([2**63 - 1, 5], np.array([2**63 - 1, 2**63], dtype="uint64")),
        (pd.Series([Decimal("0.10"), None], dtype=pd.ArrowDtype(pa.decimal128(5, 2))), [0.1, 3]),
        (np.array([1.5, 2], dtype="float16"), [1.5, 3]),
        (dictionary("a", None, "b"), ["a", "c"]),
        (pd.arrays.ArrowExtensionArray(pa.array(["a", None], pa.string_view())), ["a", "c"]),
        (pd.to_datetime(["1993-01-01", "9999-12-31"]), pd.to_datetime(["1993-01-01"]).as_unit("ns")),
        (pd.Series([datetime.date(1993, 1, 1), None], dtype="date32[pyarrow]"), pd.to_datetime(["1993-01-01"])),
        (
            pd.Series([NOON.tz_localize("UTC"), NOON.tz_localize("Asia/Tokyo")], dtype=object),
            [NOON.tz_localize("UTC").tz_convert("Europe/Berlin")],
        ),
    ],
    ids=str,
)
def test_columns_match_by_value_whatever_their_type(mine, theirs):
    """The first of both sides are equal and no others; each missing one of `theirs` fits every row."""
    first, second = pd.DataFrame({0: mine}), pd.DataFrame({0: theirs})
    unsaid = int(second[0].isna().sum())
    fits = [len(second) if pd.isna(one) else (place == 0) + unsaid for place, one in enumerate(first[0])]
    assert linkage.link(first, second, 0).candidates.tolist() == fits


def test_missing_values_rule_nobody_out_however_a_table_writes_them():
    nothing, some = pd.DataFrame({"x": [None, None]}), pd.DataFrame({"x": ["a", None]})
    released = pd.DataFrame({"x": ["60-67|missing", "missing"]})
    for pair in ((nothing, some), (some, nothing), (nothing, nothing), (released, some)):
        assert linkage.link(*pair, "x").candidates.tolist() == [2, 2]
    assert linkage.link(some, released.assign(x=["b", "missing"]), "x").candidates.tolist() == [1, 2]


def test_who_knows_more_names_no_fewer_though_entries_are_missing():
    rng = np.random.default_rng(0)
    ends = {"age": 60, "place": 40, "smoker": 2}
    register = pd.DataFrame({name: rng.integers(0, end, 3000) for name, end in ends.items()})
    table = register.sample(300, random_state=1).astype(float)
    truth = pd.Series(register.index, index=register.index)
    table["smoker"] = table["smoker"].mask(rng.random(300) < 0.7)
    few, more = (linkage.link(table, register, list(ends)[:n]).score(truth) for n in (2, 3))
    assert (more.right, more.expected) > (few.right, few.expected)
    assert more.expected == pytest.approx(np.mean([1 / len(fits) for fits in pairs(table, register, list(ends))]))


PAIRS = pd.MultiIndex.from_tuples([("x", n) for n in range(5)])


@pytest.mark.parametrize("people", [pd.Index(["a", "a", "b", "c", "d"]), PAIRS], ids=["duplicates", "two levels"])
def test_any_index_of_the_register_names_its_people(people):
    found = linkage.link(TABLE, REGISTER.set_axis(people), ["age", "sex"])
    assert found.person[["q", "r"]].tolist() == [people[2], people[3]]
    assert found.person.isna().sum() == 2
    assert found.score(TRUTH.set_axis(people)).n_right == 2
    of_pairs = linkage.link(TABLE.set_axis(PAIRS), REGISTER, ["age", "sex"])
    truth = TRUTH.map(lambda label: ("x", "pqrst".index(label)), na_action="ignore")
    assert of_pairs.score(truth) == linkage.link(TABLE, REGISTER, ["age", "sex"]).score(TRUTH)


def test_a_hundred_thousand_people_are_searched_as_by_a_join():
    rng = np.random.default_rng(0)
    ends = {"age": 82, "sex": 2, "place": 600, **{f"c{n}": 10**9 for n in range(6)}}
    register = pd.DataFrame({name: rng.integers(0, end, 100_000) for name, end in ends.items()})
    table = register.sample(9_000, random_state=0)
    table.iloc[:50, 8] += 1
    for on, most in ((["age", "sex", "place"], 20), (list(ends), 1)):
        found = linkage.link(table, register, on)
        expected = table.merge(register.value_counts(on).rename("n").reset_index(), how="left", on=on)
        assert found.candidates.tolist() == expected["n"].fillna(0).astype(int).tolist()
        assert found.candidates.max() <= most


# -------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: linkage.link(TABLE.iloc[:0], REGISTER, "age"), "table has no rows"),
        (lambda: linkage.link(TABLE, REGISTER, []), "on is empty"),
        (lambda: linkage.link(TABLE, REGISTER, ["age", "sex", "age"]), "'age' twice"),
        (lambda: linkage.link(TABLE.assign(race="x"), REGISTER, "race"), "register lacks the column 'race'"),
        (
            lambda: linkage.link(TABLE.astype({"age": str}), REGISTER, "age"),
            "'age' of the table holds text, but 'age' of the register numbers",
        ),
        (
            lambda: linkage.link(TABLE.assign(day=NOON), REGISTER.assign(day=NOON.tz_localize("UTC")), "day"),
            "dates, but 'day' of the register dates with a time zone",
        ),
        (lambda: linkage.link(TABLE.assign(age=[1, "2", 3, 4, 5]), REGISTER, "age"), "'age' of the table holds values"),
        (
            lambda: linkage.link(*[TABLE.assign(x=[NOON, NOON.tz_localize("UTC"), None, None, None])] * 2, "x"),
            "two kinds, dates and dates with a time zone",
        ),
        (lambda: linkage.link(*[TABLE.assign(x=[[1]] * 5)] * 2, "x"), "'x' of the table.*lists"),
        (
            lambda: linkage.link(*[TABLE.assign(x=pd.array([[1]] * 5, pd.ArrowDtype(pa.list_(pa.int8()))))] * 2, "x"),
            "'x' of the table.*lists",
        ),
        (lambda: linkage.link(TABLE, REGISTER, "age").score(["p"] * 5), "truth must be a Series"),
        (lambda: linkage.link(TABLE, REGISTER, "age").score(TRUTH.iloc[:3]), "truth lacks 2 people"),
        (lambda: linkage.link(TABLE, REGISTER, "age").score(pd.concat([TRUTH, TRUTH.iloc[:1]])), "holds one twice"),
        (lambda: linkage.link(TABLE, REGISTER, "age").score(TRUTH, labels=["p"]), "1 labels for 5 rows"),
    ],
)
def test_bad_input_gets_one_sentence(call, words):
    with pytest.raises(AttackError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
