"""`disclosure_attack`: attribute disclosure, against loops over the classes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppml_helpers.anonymise import Hierarchy, Lattice, disclosure_attack, mondrian
from ppml_helpers.errors import AnonymityError

QI = ["age", "sex"]
# Classes: (60-69, f) all yes; (60-69, m) all no; (70-79, f) yes and no; (70-79, m) three diagnoses
TABLE = pd.DataFrame(
    {
        "age": ["60-69"] * 5 + ["70-79"] * 7,
        "sex": ["f", "f", "m", "m", "m"] + ["f"] * 4 + ["m"] * 3,
        "dementia": ["yes", "yes", "no", "no", "no", "yes", "no", "no", "no", "no", "no", "no"],
        "dx": ["A", "A", "A", "B", "B", "A", "B", "B", "B", "A", "B", "C"],
    },
    index=[7, 7, 3, 3, 3, 0, 1, 2, 2, 5, 5, 5],
)

# --------------------------------------------------------------------------------------------------- a table by hand


def test_a_table_by_hand():
    assert disclosure_attack.homogeneity(TABLE, QI, "dementia") == 8 / 12
    assert disclosure_attack.homogeneity(TABLE, QI, "dementia", value="yes") == 2 / 3  # of those whom it harms
    assert disclosure_attack.homogeneity(TABLE, "age", "dementia") == 0
    assert disclosure_attack.background_knowledge(TABLE, QI, "dx") == 9 / 12
    assert disclosure_attack.background_knowledge(TABLE, QI, "dx", 2) == 1
    assert disclosure_attack.background_knowledge(TABLE, QI, "dx", value="C") == 0
    assert disclosure_attack.skew(TABLE, QI, "dementia", "yes") == (3 / 12, 4)


# --------------------------------------------------------------------------------------------- against slow definitions

ROWS = st.lists(
    st.tuples(st.sampled_from([1, 2, None]), st.sampled_from("fm"), st.sampled_from(["A", "B", "C", None])),
    min_size=1,
    max_size=20,
).filter(lambda rows: any(row[2] for row in rows))


@given(ROWS, st.integers(0, 3), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_every_measure_is_that_of_a_loop_over_rows(rows, excluded, categories, random):
    table = pd.DataFrame(rows, columns=["age", "sex", "dx"], index=[random.randint(0, 5) for _ in rows])
    table = table.astype({"age": "Int64"})
    table = table.astype({"dx": "category", "sex": "category"}) if categories else table
    mates = [[other[2] for other in rows if other[:2] == row[:2]] for row in rows]  # the sensitive values of the class
    sure = [0 < len(set(values) - {None}) <= 1 + excluded for values in mates]  # a missing one is no second value
    assert disclosure_attack.background_knowledge(table, QI, "dx", excluded) == pytest.approx(np.mean(sure))
    known = [row[2] for row in rows if row[2]]
    for value in set(known):
        hit = [certain for certain, row in zip(sure, rows, strict=True) if row[2] == value]
        assert disclosure_attack.background_knowledge(table, QI, "dx", excluded, value) == pytest.approx(np.mean(hit))
        alone = [row[2] == value and set(values) - {None} == {value} for row, values in zip(rows, mates, strict=True)]
        share = sum(alone) / known.count(value)
        assert disclosure_attack.homogeneity(table, QI, "dx", value) == pytest.approx(share)
        base = known.count(value) / len(known)
        inside = [[one for one in values if one] for values in mates]
        factors = [values.count(value) / len(values) / base if values else 1 for values in inside]
        skew = disclosure_attack.skew(table, QI, "dx", value)
        assert skew.factor == pytest.approx(max(factors))
        assert skew.base_rate == pytest.approx(base)
    assert disclosure_attack.homogeneity(table, QI, "dx") == disclosure_attack.background_knowledge(table, QI, "dx", 0)


def test_numbers_and_truth_values_may_be_sensitive():
    table = TABLE.assign(died=(TABLE["dementia"] == "yes").astype(int))
    assert disclosure_attack.homogeneity(table, QI, "died", value=1) == 2 / 3
    assert disclosure_attack.homogeneity(table.astype({"died": bool}), QI, "died", value=True) == 2 / 3


# ------------------------------------------------------------------------------------------------- who is in the table


def fits(label: str, value: object) -> bool:
    """Whether a value may stand under a label of a released table, read as anybody would."""
    if label in ("*", str(value)):
        return True
    low, *high = label.split("-")
    return bool(high) and int(low) <= value <= int(high[0])


@pytest.mark.parametrize("seed", range(5))
def test_listed_is_what_somebody_reads_off_the_labels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"age": rng.integers(20, 80, 40), "sex": rng.choice(["f", "m"], 40), "dx": "A"})
    people = pd.DataFrame({"age": rng.integers(15, 90, 200), "sex": rng.choice(["f", "m"], 200)})
    ladders = {"age": Hierarchy.bands(0, 99, (10, 20)), "sex": Hierarchy.suppression(["f", "m"])}
    lattice = Lattice(table, QI, ladders)
    for released in (mondrian(table, QI, 3), mondrian(table, QI, 30), lattice.apply(lattice.solve(3, 0.2))):
        rows = released.table[QI].drop_duplicates().to_numpy()
        expected = [any(all(map(fits, row, person)) for row in rows) for person in people.to_numpy()]
        assert disclosure_attack.listed(released, people).tolist() == expected
        assert disclosure_attack.listed(released, table.iloc[released.kept]).all()  # nobody of the table is missed


# -------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: disclosure_attack.homogeneity(TABLE.iloc[:0], QI, "dx"), "no rows"),
        (lambda: disclosure_attack.homogeneity(TABLE, QI, "dx", value="Z"), "No row has 'Z' in 'dx'; .* 'A', 'B', 'C'"),
        (lambda: disclosure_attack.homogeneity(TABLE.assign(dx=None), QI, "dx"), "All values of 'dx' are missing"),
        (lambda: disclosure_attack.background_knowledge(TABLE, QI, "dx", -1), "excluded = -1"),
        (lambda: disclosure_attack.skew(TABLE, QI, "dx", None), "No row has None"),
        (lambda: disclosure_attack.listed(TABLE, TABLE), "not a Released"),
        (lambda: disclosure_attack.listed(mondrian(TABLE, QI, 2), TABLE[["age"]]), "lacks the column 'sex'"),
    ],
)
def test_bad_input_gets_one_sentence(call, words):
    with pytest.raises(AnonymityError, match=words):
        call()
