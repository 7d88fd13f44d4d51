"""Prosecutor, journalist and marketer (`reidentification`): worked examples, definitions, real releases, bad input."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppml_helpers.anonymise import Hierarchy, Lattice, Released, release, support2_hierarchies
from ppml_helpers.anonymise.multidimensional import mondrian
from ppml_helpers.anonymise.reidentification import risk
from ppml_helpers.errors import AnonymityError
from ppml_helpers.people import identities
from ppml_helpers.people.linkage import link

QI = ["age", "sex", "race", "postcode", "admission"]
AGES = Hierarchy.bands(0, 99, (10, 50))
SEXES = Hierarchy.suppression(["f", "m"])


def at(table: pd.DataFrame, k: int = 1, **levels: int) -> Released:
    """Release a table at given levels, classes below k suppressed."""
    hierarchies = {"age": AGES, "sex": SEXES}

    def recode(other: pd.DataFrame) -> pd.DataFrame:
        return other.assign(
            **{name: hierarchies[name].generalise(other[name], levels[name]) for name in levels if name in other}
        )

    labels = recode(table)
    kept = np.flatnonzero(labels.groupby(list(levels))[labels.columns[0]].transform("size") >= k)
    ncp = np.zeros((len(kept), len(levels)))
    return release(labels.iloc[kept], list(levels), kept, len(table), ncp, levels, recode)


# ------------------------------------------------------------------------------------------ worked by hand


def test_a_worked_example(small: pd.DataFrame) -> None:
    """Classes of f = 3 (20-29), 2 (30-39), 1 (70-79) rows, in a population of F = 6, 2, 4 people."""
    register = pd.DataFrame({"age": [20] * 6 + [39] * 2 + [75] * 4 + [90] * 9, "name": "N"}, index=[4] * 21)
    found = risk(at(small, age=1), register, ["age"])
    assert found.prosecutor_max == 1
    assert found.prosecutor_mean == pytest.approx(3 / 6)
    assert found.journalist_max == pytest.approx(1 / 2)
    assert found.marketer == pytest.approx((3 / 6 + 2 / 2 + 1 / 4) / 6)
    assert found.journalist_mean == pytest.approx(max(found.marketer, 3 / 12))


def test_only_what_the_register_knows_makes_the_journalists_classes(small: pd.DataFrame) -> None:
    released = at(small, age=1, sex=0)
    register = pd.DataFrame({"age": [20, 21, 22, 23, 30, 31, 70], "sex": list("ffffmmm")})
    by_age = risk(released, register, ["age"])
    assert by_age.marketer == pytest.approx((3 / 4 + 2 / 2 + 1 / 1) / 6)
    assert by_age == risk(released, register[["age"]])
    # A woman in her seventies is in the table, but only a man of that age on the register.
    assert risk(released, register).marketer == pytest.approx((3 / 4 + 2 / 2 + 0) / 6)


def test_an_incomplete_register_cannot_raise_the_risk_above_the_prosecutors(small: pd.DataFrame) -> None:
    """Of the three women in their twenties the register lists one: a name for her row is right once in three."""
    found = risk(at(small, k=2, age=1), pd.DataFrame({"age": [21]}))
    assert found.journalist_max == pytest.approx(1 / 3)
    assert found.marketer == pytest.approx(1 / 5)
    assert found.journalist_mean == pytest.approx(1 / 5)
    assert found.prosecutor_max == 1 / 2


def test_nobody_of_the_release_on_the_register_and_no_register(small: pd.DataFrame) -> None:
    found = risk(at(small, age=1), pd.DataFrame({"age": [99, 98]}))
    assert found == (1, pytest.approx(3 / 6), 0, 0, 0)
    found = risk(at(small, age=2))
    assert found[:2] == pytest.approx((1, 2 / 6))
    assert all(math.isnan(value) for value in found[2:])


def test_somebody_outside_the_hierarchies_is_in_no_class_and_stops_nothing(small: pd.DataFrame) -> None:
    people = pd.DataFrame({"age": [60, 61, 62, 63, 105], "sex": ["f", "m", "f", "m", "x"]})
    df = pd.concat([people[:4]] * 3)
    lattice = Lattice(df, ["age", "sex"], {"age": Hierarchy.bands(18, 90), "sex": SEXES})
    for register, expected in ((people, 1 / 3), (people[4:], 0)):
        for released in (lattice.apply(lattice.solve(2)), mondrian(df, ["age", "sex"], 2)):
            assert risk(released, register).marketer == expected


@pytest.mark.parametrize("missing", ["patients", "register"])
def test_a_missing_entry_rules_nobody_out_before_or_after_a_release(missing: str) -> None:
    """Of two of 50 and one of 51, somebody's race is unknown: both of 50 fit every row of 50."""
    table = pd.DataFrame({"age": [50, 50, 51], "race": ["w", "b", "w"]})
    unsaid = table.assign(race=["w", None, "w"])
    mine, register = (unsaid, table) if missing == "patients" else (table, unsaid)
    hierarchies = {"age": AGES, "race": Hierarchy.suppression(["b", "w"])}
    lattice = Lattice(mine, ["age", "race"], hierarchies)
    fits = [1, 2, 1] if missing == "patients" else [2, 1, 1]
    assert link(mine, register, ["age", "race"]).candidates.tolist() == fits
    by_levels, by_boxes = lattice.apply(lattice.solve(1)), mondrian(mine, ["age", "race"], 1, hierarchies)
    after = link(by_levels.table, by_levels.recode(register), ["age", "race"]).candidates
    assert after[np.argsort(by_levels.kept)].tolist() == fits
    for released in (by_levels, by_boxes):
        assert risk(released, register).marketer == pytest.approx(np.mean([1 / count for count in fits]))


# ------------------------------------------------------------------------------------------- what must hold


people = st.lists(st.tuples(st.integers(0, 99), st.sampled_from("fm")), min_size=1, max_size=25).map(
    lambda rows: pd.DataFrame(rows, columns=["age", "sex"])
)


@given(people, people, st.integers(0, 2), st.integers(0, 1))
@settings(max_examples=30, deadline=None)
def test_equals_the_definitions(patients: pd.DataFrame, others: pd.DataFrame, age: int, sex: int) -> None:
    population = pd.concat([patients, others])  # everybody is on the register
    found = risk(at(patients, age=age, sex=sex), population)

    def keys(table: pd.DataFrame) -> list:
        return list(zip(AGES.generalise(table["age"], age), SEXES.generalise(table["sex"], sex), strict=True))

    mine, all_ = keys(patients), keys(population)
    f = {key: mine.count(key) for key in mine}
    F = {key: all_.count(key) for key in mine}
    assert found.prosecutor_max == pytest.approx(max(1 / f[key] for key in mine))
    assert found.prosecutor_mean == pytest.approx(np.mean([1 / f[key] for key in mine]))
    assert found.journalist_max == pytest.approx(max(1 / F[key] for key in mine))
    assert found.marketer == pytest.approx(np.mean([1 / F[key] for key in mine]))
    assert found.journalist_mean == pytest.approx(max(found.marketer, len(F) / sum(F.values())))


@given(people, people, st.integers(0, 2), st.integers(0, 1))
@settings(max_examples=20, deadline=None)
def test_prosecutor_journalist_marketer_in_this_order(
    patients: pd.DataFrame, register: pd.DataFrame, age: int, sex: int
) -> None:
    found = risk(at(patients, age=age, sex=sex), register)
    assert 1 >= found.prosecutor_max >= found.journalist_max >= 0
    assert found.prosecutor_mean >= found.journalist_mean - 1e-12
    assert found.journalist_max >= found.journalist_mean - 1e-12
    assert found.journalist_mean >= found.marketer >= 0


@given(people, people, st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_mondrian_counts_who_fits_the_box(patients: pd.DataFrame, others: pd.DataFrame, k: int) -> None:
    released = mondrian(patients, ["age", "sex"], min(k, len(patients)))
    population = pd.concat([patients, others])
    found = risk(released, population, ["age"])

    def fits(label: str) -> int:
        ages = patients["age"] if label == "*" else [int(end) for end in label.split("-")]
        return int(population["age"].between(min(ages), max(ages)).sum())

    F = released.table["age"].map({label: fits(label) for label in released.table["age"].unique()})
    assert found.journalist_max == pytest.approx(1 / F.min())
    assert found.marketer == pytest.approx((1 / F).mean())


def test_real_releases(extract: pd.DataFrame, register: identities.Register) -> None:
    listed, hierarchies, on = register.table, support2_hierarchies(extract), ["age", "sex", "postcode"]
    lattice = Lattice(extract, QI, hierarchies)
    by_levels, by_boxes = lattice.apply(lattice.solve(10)), mondrian(extract, QI, 10, hierarchies)
    for released in (by_levels, by_boxes):
        found = risk(released, listed, on)
        assert 1 / 10 >= found.prosecutor_max >= found.journalist_max > found.journalist_mean > 0
        assert found.prosecutor_mean > found.journalist_mean >= found.marketer > 0
    # Counted another way.
    mine = by_levels.table.groupby(on).size().rename("f").reset_index()
    theirs = by_levels.recode(listed[on]).groupby(on).size().rename("F").reset_index()
    both = mine.merge(theirs, on=on, how="left")
    right = (both["f"] / both[["f", "F"]].max(axis=1)).sum() / both["f"].sum()
    assert risk(by_levels, listed, on).marketer == pytest.approx(right)


# ---------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda small: {"released": small}, "is a DataFrame, not a Released"),
        (lambda small: {"released": at(small, k=9, age=1)}, "All 6 rows were suppressed"),
        (lambda small: {"register": small[["dx"]]}, "No quasi-identifier"),
        (
            lambda small: {"register": small.assign(age="21")},
            "holds text, such as '21', where its hierarchy has numbers",
        ),
    ],
)
def test_bad_input_is_refused(small: pd.DataFrame, change: Callable, names: str) -> None:
    with pytest.raises(AnonymityError, match=names):
        risk(**{"released": at(small, age=1)} | change(small))
