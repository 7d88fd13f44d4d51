"""The rows (`techniques`, `about`, `ground`): they agree with the chapters, one attack is run on every model.

Any table of numbers will do.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ppml_helpers import cohort, membership
from ppml_helpers.choose import about, ground, making, scoreboard, techniques
from ppml_helpers.errors import OutcomeError, TrainingDataError

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
QUICK = (
    "no protection: logistic regression",
    "pseudonymised",
    "minimised + anonymised",
    "synthetic table, epsilon 1",
    "private training, epsilon 1",
    "private training, epsilon 0.1",
    "federated",
    "encrypted scoring",
)
ANYWHERE = (*QUICK, "minimised", "private statistics, epsilon 1", "federated + masks + noise", "encrypted training")
PROMISED = [name for name in techniques.TECHNIQUES if "epsilon" in name]


@pytest.fixture(scope="module")
def kept() -> dict[str, scoreboard.Row]:
    return {row.technique: row for row in scoreboard.load(making.COMMITTED)}


def any_split(n: int = 300, columns: int = 6, seed: int = 0) -> cohort.Split:
    """Return a table of numbers that is no table of patients: odd names, a column of 0 and 1, two that matter."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.uniform(-1, 1, (n, columns)), columns=[f"größe {number}" for number in range(columns)])
    X.iloc[:, 0] = (X.iloc[:, 0] > 0).astype(float)
    y = (rng.random(n) < 1 / (1 + np.exp(1 - 3 * X.iloc[:, 1]))).astype(int)
    return cohort.split(X, pd.Series(y, name="ill"), seed=0)


@pytest.fixture(scope="module")
def foreign() -> ground.Ground:
    return ground.ground(any_split())


@pytest.fixture(scope="module")
def course() -> ground.Ground:
    return ground.ground(cohort.split(*cohort.features(cohort.load_patients()), seed=0))


# The chapters' own figures ---------------------------------------------------------------------------------------

# technique -> notebook, what it printed for it, and whether it measured the very same patients
PRINTED = {
    "no protection: overfitted forest": ("01", r"forest, leaf of 1: AUC ([\d.]+), membership advantage ([\d.]+)", True),
    "no protection: logistic regression": (
        *("01", r"\nlogistic regression: AUC ([\d.]+), membership advantage ([\d.]+), g"),
        True,
    ),
    "pseudonymised": ("02", r"pseudonymised: AUC ([\d.]+)()", True),
    "minimised": ("02", r"seven columns: AUC ([\d.]+), membership advantage ([\d.]+)", False),
    "minimised + anonymised": ("03", r"AUC ([\d.]+), membership advantage [\d.]+, guarantee: k = 11()", True),
    "synthetic table, epsilon 1": ("03b", r"AUC ([\d.]+), advantage ([\d.]+): synthetic", True),
    "private training, epsilon 1": ("05", r"AUC ([\d.]+), advantage ([\d.]+), guarantee: epsilon 1", True),
    "federated": ("07", r"federated learning: AUC ([\d.]+), advantage ([\d.]+)", False),
    "federated + noise": ("07", r"federated learning with noise: AUC ([\d.]+), advantage ([\d.]+)", False),
    "encrypted training": ("08", r"AUC ([\d.]+), advantage ([\d.]+), \d+ MB sent", True),
    "secret shares, triples by a hospital": ("09", r"AUC ([\d.]+), advantage ([\d.]+), \d+ s on a line", True),
    "code to the data": ("10", r"with noise: ([\d.]+), within 0.02()", False),
}


def said(chapter: str) -> str:
    """Return all that a committed notebook printed."""
    (path,) = NOTEBOOKS.glob(f"{chapter}_*.ipynb")
    cells = json.loads(path.read_text("utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]
    return "\n" + "\n".join("".join(text) for text in texts)


@pytest.mark.parametrize("technique", PRINTED)
def test_a_row_agrees_with_what_its_chapter_printed(kept, technique):
    chapter, pattern, same_patients = PRINTED[technique]
    auc, advantage = re.search(pattern, said(chapter)).groups()
    row, half_a_digit = kept[technique], 0.5 * 10 ** -len(auc.partition(".")[2])
    if same_patients:
        assert row.auc == pytest.approx(float(auc), abs=half_a_digit + 0.001)
    else:  # other patients, hospitals or columns: within the interval
        low, high = row.auc_interval
        assert low - half_a_digit <= float(auc) <= high + half_a_digit
    if advantage:
        low, high = row.advantage_interval
        half_a_digit = 0.5 * 10 ** -len(advantage.partition(".")[2])
        assert low - half_a_digit <= float(advantage) <= max(high, 0) + half_a_digit


def test_the_register_names_as_many_as_in_its_chapters(kept):
    told = int(re.search(r"linkage names (\d+) % rightly", said("02"))[1])
    assert 100 * kept["pseudonymised"].reidentified == pytest.approx(
        told, abs=1.5
    )  # of all patients, not the training part
    assert kept["minimised + anonymised"].reidentified == 0
    assert kept["synthetic table, epsilon 1"].reidentified < 0.02


# The rows that come with the course ------------------------------------------------------------------------------


def test_every_technique_has_a_row_whose_intervals_name_their_method_and_whose_model_was_attacked_alike(kept):
    assert list(kept) == sorted(techniques.TECHNIQUES)
    assert list(about.ABOUT) == list(techniques.TECHNIQUES)
    for row in kept.values():
        assert not row.missing, row
        assert row.released
        assert row.reads
        assert row.seconds > 0
        if row.leaves == "statistics":
            assert row.auc is None
            continue
        assert None not in (row.auc, row.log_loss, row.tpr_at_1_percent, row.advantage), row.technique
        assert row.methods.items() >= ground.METHODS.items()
        assert row.auc_interval[0] < row.auc < row.auc_interval[1]
        assert row.tpr_interval[0] <= row.tpr_at_1_percent <= row.tpr_interval[1]


def test_what_is_promised_and_what_is_read_fit_together(kept):
    for name in PROMISED:
        assert kept[name].epsilon <= 1 + 1e-9
        assert kept[name].advantage is None or kept[name].advantage_interval[0] <= 0.47  # what epsilon 1 allows
    assert kept["no protection: overfitted forest"].tpr_interval[0] > 0.2
    assert kept["federated"].read == 1
    assert kept["secret shares, triples by a hospital"].read == 1
    for name in ("federated + masks", "federated + masks + noise", "encrypted scoring", "encrypted training"):
        assert kept[name].read < 0.2
    assert kept["secret shares, triples by a third party"].read < 0.001
    assert kept["code to the data"].read == 0


@pytest.mark.parametrize("technique", QUICK)
def test_a_kept_row_is_what_the_code_measures_today(course, kept, technique):
    now = techniques.measured_on(technique, course)
    for name in ("auc", "log_loss", "advantage", "tpr_at_1_percent", "reidentified"):
        assert getattr(now, name) == pytest.approx(getattr(kept[technique], name), abs=0.01), name
    assert now.promise == kept[technique].promise


# Any table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("technique", ANYWHERE)
def test_any_table_of_numbers_gets_a_row(foreign, technique):
    row = techniques.measured_on(technique, foreign)
    assert not row.missing
    assert row.auc is None or 0.4 < row.auc < 1
    assert row.auc is None or row.advantage is not None
    assert row.reidentified is None  # there is no register of these people
    assert "größe" not in row.released + row.reads  # no value of the table, and no name


def test_measure_is_the_same_by_name(foreign):
    split = foreign.split
    assert techniques.measure("no protection: logistic regression", split).auc == pytest.approx(
        techniques.measured_on("no protection: logistic regression", foreign).auc
    )


def test_few_patients_give_a_row_without_what_cannot_be_said():
    row = techniques.measure("no protection: logistic regression", any_split(30))
    assert row.auc is not None
    assert row.advantage is None
    assert row.tpr_at_1_percent is None


@pytest.mark.parametrize("technique", ["federated", "minimised + anonymised"])
def test_a_table_on_which_a_technique_does_not_work_says_why_in_its_row(technique):
    row = techniques.measure(technique, any_split(24))
    assert row.missing.startswith("Not measured here: ")
    assert row.missing.endswith(".")
    assert row.auc is None


def test_the_attack_finds_members_where_there_is_something_to_find(foreign):
    # A model that answers from memory: the same attack must find nearly everybody in any table.
    known = set(foreign.split.X_train.index)
    label = pd.concat([foreign.split.y_train, foreign.split.y_test])

    def memory(X):
        return np.array([label[row] if row in known else 0.5 for row in X.index], dtype=float)

    found = ground.judged(foreign, memory)
    assert found["advantage"] > 0.4  # surprise: what the attacker's own model knew already does not count
    assert membership.membership_attack([1.0] * 20, [0.0] * 20).advantage == 1


def test_a_missing_package_is_one_sentence_and_the_others_go_on(foreign, monkeypatch):
    monkeypatch.setitem(sys.modules, "tenseal", None)
    for name in [name for name in sys.modules if name.startswith("ppml_helpers.homomorphic_encryption")]:
        monkeypatch.delitem(sys.modules, name)
    row = techniques.measured_on("encrypted training", foreign)
    assert row.missing == "The package tenseal is not installed here: this row was left out."
    assert row.sees
    assert not techniques.measured_on("no protection: logistic regression", foreign).missing


@pytest.mark.parametrize(
    ("technique", "split", "says"),
    [
        ("magic", any_split(60), "'magic' is not on offer"),
        ("federated", [1, 2], "not a Split"),
        ("federated", cohort.Split(*(part * 3 for part in any_split(60)[:2]), *any_split(60)[2:]), "must lie in"),
    ],
)
def test_what_cannot_be_measured_is_refused(technique, split, says):
    with pytest.raises((OutcomeError, TrainingDataError), match=says):
        techniques.measure(technique, split)
