"""The end of chapter 03 (`support2`): minimised, all declared, k = 11 and l = 2, held to its figures."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from ppml_helpers import cohort
from ppml_helpers.anonymise import (
    Quality,
    Released,
    k_anonymity,
    l_diversity,
    listed,
    model_quality,
    mondrian,
    quality,
    risk,
)
from ppml_helpers.anonymise.support2 import PERSONAL, Minimised, minimised
from ppml_helpers.people.identities import Register
from ppml_helpers.people.linkage import link

EVERY = list(cohort.SUPPORT2.columns)


class Hospital(NamedTuple):
    """What is released, and who tests it."""

    table: pd.DataFrame
    made: Minimised
    later: pd.DataFrame

    def release(self, columns: list[str], k: int) -> Released:
        part = self.made.study[[*columns, "hospdead"]]
        return mondrian(part, columns, k, self.made.hierarchies, sensitive="hospdead", l=2)

    def untouched(self, columns: list[str]) -> Quality:
        model = LogisticRegression(max_iter=1000).fit(*cohort.features(self.made.study, columns))
        X, y = cohort.features(self.later, columns)
        return quality(y, model.predict_proba(X)[:, 1])


@pytest.fixture(scope="module")
def hospital(extract: pd.DataFrame) -> Hospital:
    split = cohort.split(*cohort.features(cohort.load_patients()), seed=0)
    table = extract.loc[split.X_train.index]
    return Hospital(table, minimised(table), extract.loc[split.X_test.index])


def test_who_chooses_who_is_released_and_who_tests_are_three_groups(hospital: Hospital) -> None:
    """Whatever is written over the released patients, the others choose as before."""
    table, (study, columns, hierarchies), later = hospital
    assert not set(table.index) & set(later.index)
    overwritten = table.copy()
    overwritten.loc[study.index, ["dzgroup", "scoma", "hday"]] = ["CHF", 0.0, 1]
    again = minimised(overwritten)
    assert again.study.index.equals(study.index)
    assert (again.columns, again.hierarchies["dzgroup"].levels) == (columns, hierarchies["dzgroup"].levels)
    assert not set(columns) & set(PERSONAL)


@pytest.mark.parametrize("count", [7, 3])
def test_the_release_keeps_its_promise_and_its_use(hospital: Hospital, register: Register, count: int) -> None:
    columns = hospital.made.columns[:count]
    released = hospital.release(columns, 11)
    assert set(released.table.columns) == {*columns, "hospdead"}  # nothing is left undeclared
    assert released.suppressed == 0
    assert k_anonymity(released.table, columns) >= 11
    assert l_diversity(released.table, columns, "hospdead") >= 2
    assert risk(released).prosecutor_max <= 1 / 11
    use = model_quality(released, hospital.made.study, hospital.later)
    raw, every = hospital.untouched(columns), hospital.untouched(EVERY)
    assert 0.77 <= use.auc < raw.auc < every.auc
    assert use.log_loss < every.log_loss + 0.04
    assert use.calibration < 0.03
    assert not set(columns) & set(register.table.columns)  # there is nothing to link by
    # A register of the worst kind: names, and all released columns exactly, of everybody in the table.
    people = hospital.made.study[columns]
    assert released.recoder.inside(people, columns, released.recoder.box).min() >= 11
    named = link(released.table, released.recode(people), columns)
    assert named.score(pd.Series(people.index, people.index), people.index[released.kept]).n_right == 0


def test_what_it_costs_to_declare_all_and_to_keep_all(hospital: Hospital) -> None:
    """Seven columns cost about .02 and 26 about .1; three leave hardly anybody to be told from a member."""
    seven = hospital.made.columns
    cost = {}
    for columns in (seven, EVERY):
        released = hospital.release(columns, 11)
        cost[len(columns)] = (
            hospital.untouched(columns).auc - model_quality(released, hospital.made.study, hospital.later).auc
        )
    assert cost[7] < 0.025
    assert cost[26] > 3 * cost[7]
    advantage = {count: 1 - listed(hospital.release(seven[:count], 11), hospital.later).mean() for count in (3, 7)}
    assert advantage[3] < 0.02 < 0.15 < advantage[7]
    assert listed(hospital.release(seven, 11), hospital.made.study).all()
