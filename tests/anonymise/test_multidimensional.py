"""Mondrian (`multidimensional`): against a textbook recursion, what must hold of any box, labels, and bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ppml_helpers.anonymise import Hierarchy, classes, k_anonymity, l_diversity, ncp, support2_hierarchies
from ppml_helpers.anonymise.multidimensional import mondrian
from ppml_helpers.errors import AnonymityError

QI = ["age", "sex", "race", "postcode", "admission"]


def recursive(points: np.ndarray, k: int, secret: np.ndarray, diversity: int) -> list[list[int]]:
    """Return the boxes of the textbook, one call a box: widest axis first, cut beside the median, most equal halves."""
    span = np.maximum(points.max(axis=0), 1)

    def cut(rows: np.ndarray) -> list[list[int]]:
        here = points[rows]
        width = np.ptp(here, axis=0) / span
        for axis in np.argsort(-width, kind="stable"):
            if width[axis] == 0 or len(rows) < 2 * k:
                break
            values = here[:, axis]
            median = np.sort(values)[len(values) // 2]
            before, after = values < median, values <= median
            better = abs(2 * int(after.sum()) - len(rows)) < abs(2 * int(before.sum()) - len(rows))
            left = after if better else before
            halves = rows[left], rows[~left]
            distinct = min(pd.Series(secret[half]).nunique() for half in halves)  # a missing one is no value
            if min(map(len, halves)) >= k and (diversity == 1 or distinct >= diversity):
                return cut(halves[0]) + cut(halves[1])
        return [sorted(rows.tolist())]

    return cut(np.arange(len(points)))


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(1, 40))
    axes = draw(st.integers(1, 4))
    columns = {}
    for number in range(axes):
        values = draw(st.lists(st.integers(0, draw(st.integers(0, 9))), min_size=rows, max_size=rows))
        columns[f"q{number}"] = values
    columns["secret"] = draw(st.lists(st.sampled_from([*"abc", None]), min_size=rows, max_size=rows))
    return pd.DataFrame(columns)


def larger() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    return pd.DataFrame({name: rng.integers(0, 30, 700) for name in "abc"} | {"secret": rng.choice(list("xyz"), 700)})


def full_axes(table: pd.DataFrame, qi: list[str]) -> dict[str, Hierarchy]:
    """Return hierarchies with all whole numbers up to the column's largest, so that a code is the number."""
    return {name: Hierarchy.suppression(range(int(table[name].max()) + 1)) for name in qi}


@given(tables(), st.integers(1, 8), st.integers(1, 3))
@example(larger(), 7, 2)
@settings(max_examples=60, deadline=None)
def test_equals_the_textbook_recursion(table: pd.DataFrame, k: int, diversity: int) -> None:
    qi = [name for name in table if name != "secret"]
    k, diversity = min(k, len(table)), max(1, min(diversity, table["secret"].nunique()))
    released = mondrian(table, qi, k, full_axes(table, qi), "secret", diversity)
    # Two boxes never have the same labels here, so classes are boxes.
    mine = pd.Series(released.kept).groupby(classes(released.table, qi)).agg(sorted).tolist()
    expected = recursive(table[qi].to_numpy(), k, table["secret"].to_numpy(), diversity)
    assert sorted(mine) == sorted(expected)
    assert k_anonymity(released.table, qi) >= k
    assert diversity == 1 or l_diversity(released.table, qi, "secret") >= diversity


@given(tables(), st.integers(1, 6), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_what_must_hold_of_every_release(table: pd.DataFrame, k: int, random) -> None:
    qi = [name for name in table if name != "secret"]
    k = min(k, len(table))
    released = mondrian(table, qi, k)
    assert released.node is None
    assert released.suppressed == 0
    assert sorted(released.kept) == list(range(len(table)))
    assert released.table["secret"].tolist() == table["secret"].iloc[released.kept].tolist()
    assert k_anonymity(released.table, qi) >= k
    # Labels hold the values that they stand for, and cost what they cover.
    for place, name in enumerate(qi):
        values = sorted(table[name].unique())
        for label, value, cost in zip(
            released.table[name], table[name].iloc[released.kept], released.ncp[:, place], strict=True
        ):
            low, _, high = label.partition("-") if label != "*" else (values[0], "", values[-1])
            low, high = int(low), int(high or low)
            assert low <= value <= high
            assert cost == pytest.approx((values.index(high) - values.index(low)) / max(len(values) - 1, 1))
    # The same patients in another order and under another index give the same table.
    order = random.sample(range(len(table)), len(table))
    again = mondrian(table.iloc[order].set_axis([7] * len(table)), qi, k)
    pd.testing.assert_frame_equal(again.table, released.table)


# ------------------------------------------------------------------------------------------------------ labels


def labels_of(column, k: int = 2, **settings_) -> list[str]:
    table = pd.DataFrame({"q": column})
    released = mondrian(table, ["q"], k, **settings_)
    return released.table["q"].iloc[np.argsort(released.kept)].tolist()


@pytest.mark.parametrize(
    ("column", "labels"),
    [
        ([60, 67, 70, 70], ["60-67", "60-67", "70", "70"]),
        ([-5, -2, 3, 4], ["-5 to -2", "-5 to -2", "3-4", "3-4"]),
        ([0.5, 1.0, 2.25, 7.5], ["0.5-1", "0.5-1", "2.25-7.5", "2.25-7.5"]),
        (["b", "a", "d", "c"], ["a|b", "a|b", "c|d", "c|d"]),
        ([60, 60, 67, None], ["60", "60", "67|missing", "67|missing"]),
        (["日", "ü", None, None], ["ü|日", "ü|日", "missing", "missing"]),
        (pd.array([1, 2, None, None], dtype="Int64"), ["1-2", "1-2", "missing", "missing"]),
        (pd.Categorical(["lo", "hi", "mid", "mid"], ["lo", "never", "hi", "mid"]), ["lo|hi", "lo|hi", "mid", "mid"]),
        (
            pd.to_datetime(["1993-01-03", "1993-02-07", "1993-03-01", "1993-03-01"]),
            ["1993-01-03/1993-02-07", "1993-01-03/1993-02-07", "1993-03-01", "1993-03-01"],
        ),
        (pd.Categorical([3, 1, 2, 1], [3, 1, 2]), ["2-3", "1", "2-3", "1"]),
        ([5, 5, 5, 5], ["5"] * 4),
    ],
)
def test_labels(column, labels: list[str]) -> None:
    assert labels_of(column) == labels
    assert labels_of(pd.Series(column, dtype=object if isinstance(column, list) else None)) == labels


def test_more_than_four_names_are_named_by_first_and_last() -> None:
    assert labels_of(list("abcdeffffff"), k=5) == ["a to e"] * 5 + ["f"] * 6
    assert labels_of(list("abcdeeeee"), k=4) == ["a|b|c|d"] * 4 + ["e"] * 5
    assert labels_of([*"aabcdef", None], k=4) == ["a|b|c"] * 4 + ["d|e|f|missing"] * 4


def test_a_label_that_covers_everything_is_a_star_and_costs_1() -> None:
    assert labels_of([1, 2, 3, None], k=4) == ["*"] * 4
    assert ncp(mondrian(pd.DataFrame({"q": [1, 2, 3, None]}), ["q"], 3)) == 1


def test_names_are_neighbours_where_the_hierarchy_joins_them() -> None:
    sites = Hierarchy.groups(["lung", "skin", "liver", "mole"], {"inner": ["lung", "liver"], "outer": ["skin", "mole"]})
    assert labels_of(["lung", "skin", "liver", "mole"], hierarchies={"q": sites}) == [
        "lung|liver",
        "skin|mole",
        "lung|liver",
        "skin|mole",
    ]
    as_dict = {0: [30, 10, 20, 40], 1: ["*"] * 4}
    assert labels_of([10, 40, 30, 20], hierarchies={"q": as_dict}) == ["10-20", "30-40", "30-40", "10-20"]


def test_a_hierarchy_gives_the_axis_its_whole_length() -> None:
    table = pd.DataFrame({"age": [60, 61, 70, 71]})
    assert mondrian(table, ["age"], 2, {"age": Hierarchy.bands(18, 104)}).ncp.max() == pytest.approx(1 / 86)
    assert mondrian(table, ["age"], 2).ncp.max() == pytest.approx(1 / 3)


# --------------------------------------------------------------------------------------------- recoding others


def test_patients_fall_back_into_their_own_boxes(extract: pd.DataFrame) -> None:
    extract = extract.fillna({"race": "other"})
    released = mondrian(extract, QI, 5, support2_hierarchies(extract), "dementia")
    again = released.recode(extract).iloc[released.kept].reset_index(drop=True)
    assert (again[QI] == released.table[QI]).all(axis=None)
    assert k_anonymity(released.table, QI) >= 5
    assert list(released.table.columns) == list(extract.columns)
    assert 0 < ncp(released) < 0.2
    boxes = released.recoder
    rows = np.arange(0, len(extract), 300)
    inside = boxes.inside(extract, QI, boxes.box[rows])
    # Strict Mondrian: boxes do not overlap, so nobody else's patients are inside.
    assert inside.tolist() == np.bincount(boxes.box)[boxes.box[rows]].tolist()


def test_people_who_were_not_there_get_the_box_on_their_side_of_each_cut() -> None:
    table = pd.DataFrame({"age": [10, 20, 30, 40], "sex": ["f", "f", "m", "m"]}, index=list("wxyz"))
    released = mondrian(table, ["age", "sex"], 2)
    strangers = pd.DataFrame({"age": [5, 29, 99], "sex": ["f", "f", "m"], "name": ["A", "B", "C"]}, index=[3, 3, 1])
    recoded = released.recode(strangers)
    assert recoded["age"].tolist() == ["10-20", "30-40", "30-40"]  # the cut is at 20
    assert recoded["name"].tolist() == ["A", "B", "C"]
    assert recoded.index.tolist() == [3, 3, 1]
    with pytest.raises(AnonymityError, match="lacks the column 'sex'"):
        released.recode(strangers[["age"]])
    with pytest.raises(AnonymityError, match="'missing' of 'sex' does not occur"):
        released.recode(strangers.assign(sex=None))
    with pytest.raises(AnonymityError, match="'age' holds text, such as 'old', where the release has numbers"):
        released.recode(strangers.assign(age="old"))


# ---------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"k": 7}, "k = 7 must be a whole number from 1 to 6: the table has 6 rows"),
        ({"sensitive": "age", "l": 2}, "'age' is both"),
        ({"l": 2}, "l = 2 needs a sensitive column"),
        ({"sensitive": "dx", "l": 4}, "l = 4 is more than the 3 values that 'dx' has"),
        ({"qi": ["gap"]}, "text 'missing'"),
        ({"hierarchies": {"age": Hierarchy.bands(22, 99)}}, "'age' lacks 1 value.*'21'"),
    ],
)
def test_bad_input_is_refused(small: pd.DataFrame, arguments: dict, names: str) -> None:
    table = small.assign(gap=["missing", None, *"abcd"])
    with pytest.raises(AnonymityError, match=names):
        mondrian(**{"df": table, "qi": ["age", "sex"], "k": 2, **arguments})
