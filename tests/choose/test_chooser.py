"""The chooser: at every setting each row stays or has a reason, and every reason is true of the row's own data."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from ppml_helpers import cohort
from ppml_helpers.choose import chooser, making, scoreboard
from ppml_helpers.choose.about import OWN
from ppml_helpers.choose.chooser import OPTIONS, PARTIES, RULES, Setting, choose, few_patients
from ppml_helpers.errors import OutcomeError

ROWS = scoreboard.load(making.COMMITTED)


def true_of(each: chooser.Fallen, setting: Setting) -> bool:
    """Check a reason against the row's own data, not by the rule's code."""
    row = each.row
    if each.rule == "what leaves":
        return row.leaves != setting.leaves and row.leaves in each.why and setting.leaves in each.why
    if each.rule == "who holds the data":
        return row.rows_or_columns != setting.held and row.rows_or_columns in each.why
    if each.rule == "who is trusted":
        who, category = re.fullmatch(r"needs trust: (\w+), (.*)", each.short).groups()
        wanted = [what for what in row.trusts[who] if what.startswith(category) and what not in OWN]
        given = {"hospital": setting.hospitals, "server": setting.server, "researcher": setting.researcher}[who]
        return bool(wanted) and wanted[0] in each.why and PARTIES.index(category) > PARTIES.index(given)
    if each.rule == "the promise":
        return row.epsilon is None or row.composed[str(setting.times)] > setting.promise
    if each.rule == "another release":
        return row.family == "anonymisation" and setting.times > 1
    if each.rule == "few patients":
        fact = few_patients(setting.patients, round(row.epsilon, 1))
        return fact.plain - fact.private > chooser.LOST and f"{fact.private:.2f}" in each.why
    if each.rule == "time":
        return row.seconds > setting.seconds
    return each.rule == "bytes" and row.bytes > setting.bytes


@pytest.mark.parametrize("leaves", OPTIONS["leaves"])
def test_every_setting_keeps_or_explains_every_row(leaves: str) -> None:
    """All settings of the knobs but the ranking, which lets nothing fall."""
    names = [name for name in OPTIONS if name not in ("leaves", "weight")]
    everything = {row.technique for row in ROWS}
    checked: dict[tuple, bool] = {}  # a reason hangs on few knobs: each different one is checked once
    left_over: set[str] = set()
    for values in itertools.product(*(OPTIONS[name] for name in names)):
        setting = Setting(leaves, **dict(zip(names, values, strict=True)))
        choice = choose(ROWS, setting)
        fallen = [each.row.technique for each in choice.fallen]
        kept = [row.technique for row in choice.left]
        assert len(fallen) + len(kept) == len(ROWS)
        assert {*fallen, *kept} == everything
        left_over |= {*kept}
        for each in choice.fallen:
            knobs = (setting.leaves, setting.held, setting.hospitals, setting.server, setting.researcher)
            key = (each.row.technique, each.rule, each.why, knobs, setting.times, setting.promise)
            if key not in checked:
                checked[key] = each.why.endswith(".") and len(each.short) <= 36 and true_of(each, setting)
            assert checked[key], (each.row.technique, each.why, setting)
    assert left_over == {row.technique for row in ROWS if row.leaves == leaves}  # no technique that no setting leaves


def test_rules_are_asked_in_order_and_a_missing_row_is_the_first_to_fall() -> None:
    gone = dataclasses.replace(ROWS[0], missing="The package x is not installed here: this row was left out.", auc=None)
    choice = choose([gone, *ROWS[1:]], Setting())
    assert choice.fallen[0].row is gone
    assert choice.fallen[0].why == gone.missing
    order = [list(RULES).index(each.rule) for each in choice.fallen]
    assert order == sorted(order)


@pytest.mark.parametrize("weight", OPTIONS["weight"])
def test_the_rest_is_ranked_by_what_counts(weight: str) -> None:
    left = choose(ROWS, Setting(weight=weight)).left
    assert len(left) > 3
    measure = {
        "usefulness": [-row.auc for row in left],
        "leak": [row.tpr_interval[1] for row in left],
        "price": [math.log10(1e-3 + row.seconds) + math.log10(1 + row.bytes) / 3 for row in left],
    }[weight]
    assert measure == sorted(measure)


def test_few_patients_make_a_promise_dear_as_chapter_05_measured() -> None:
    """Against scikit-learn without privacy, and the chapter's printed 0.64 and 0.80."""
    few, many = few_patients(300, 1.0), few_patients(6_829, 1.0)
    assert few.private == pytest.approx(0.64, abs=0.02)
    assert many.private == pytest.approx(0.80, abs=0.006)
    split = cohort.split(*cohort.features(cohort.load_patients()), seed=0)
    plain = LogisticRegression(max_iter=1000).fit(split.X_train, split.y_train)
    assert many.plain == pytest.approx(roc_auc_score(split.y_test, plain.decision_function(split.X_test)), abs=0.002)
    assert few.lost > chooser.LOST > many.lost
    assert np.all(np.diff([few_patients(n, 1.0).lost for n in chooser.PATIENTS]) < 0)


@pytest.mark.parametrize(
    ("knob", "value"), [("leaves", "all"), ("patients", 5), ("server", "records"), ("promise", 2.0), ("times", True)]
)
def test_a_setting_that_no_knob_offers_is_refused(knob: str, value: object) -> None:
    with pytest.raises(OutcomeError, match=f"{knob} = .* not on offer"):
        Setting(**{knob: value})


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "nothing sent"), (24, "24 bytes"), (786, "786 bytes"), (55_196, "55 KB"), (1.11e8, "111 MB")],
)
def test_bytes_in_words(number: float, text: str) -> None:
    assert chooser.sent(number) == text
