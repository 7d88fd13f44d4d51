"""`choosing`: the columns that a task needs, and those by which people stand alone, against loops."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from ppml_helpers import cohort
from ppml_helpers.anonymise import singling_out, useful_columns
from ppml_helpers.errors import AnonymityError, DataError


def test_sets_are_ranked_by_the_rows_that_a_loop_finds_alone(extract: pd.DataFrame) -> None:
    table = extract[["age", "sex", "race", "edu", "income", "crea"]].head(500)
    rows = [tuple("missing" if pd.isna(value) else value for value in row) for row in table.itertuples(index=False)]
    ranked = singling_out(table)
    seen = {}
    for size in (1, 2, 3):
        for places in itertools.combinations(range(6), size):
            counts = Counter(tuple(row[place] for place in places) for row in rows)
            name = ", ".join(table.columns[list(places)][:-1]) + " and " * (size > 1) + table.columns[places[-1]]
            seen[name] = sum(count == 1 for count in counts.values())
    assert ranked.alone.to_dict() == seen
    assert ranked.share.tolist() == [alone / 500 for alone in ranked.alone]
    keys = list(zip(-ranked.alone, ranked["size"], strict=True))
    assert keys == sorted(keys)


def test_a_column_that_says_nothing_is_chosen_last() -> None:
    """Death follows the coma score closely, blood pressure a little, and the rest is the same for everybody."""
    patients = cohort.load_patients().head(900)
    rng = np.random.default_rng(0)
    risk = patients.scoma.fillna(0) / 20 + (patients.meanbp < 70) - 1.5 + rng.normal(0, 0.3, 900)
    patients = patients.assign(hospdead=(risk > 0).astype(int), hrt=80.0, temp=37.0)
    assert useful_columns(patients, 2, ["hrt", "meanbp", "temp", "scoma"]) == ["scoma", "meanbp"]
    assert useful_columns(patients, 1) == ["scoma"]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda table: useful_columns(table, 3, ["age", "sex"]), AnonymityError, "count = 3 .* from 1 to 2"),
        (lambda table: useful_columns(table, 1, ["charges"]), DataError, "'charges' is not on offer"),
        (lambda table: singling_out(table, ["age"], 2), AnonymityError, "most = 2 .* from 1 to 1"),
        (lambda table: singling_out(table, ["no"]), AnonymityError, "lacks the column 'no'"),
    ],
)
def test_bad_input_gets_one_sentence(extract: pd.DataFrame, call: object, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call(extract)
