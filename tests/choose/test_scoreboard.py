"""The rows of the scoreboard: what they refuse, what a file holds, what the table shows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ppml_helpers.choose import scoreboard
from ppml_helpers.choose.scoreboard import WHO, Row
from ppml_helpers.errors import OutcomeError

SEES = dict.fromkeys(WHO, "nothing")


def row(**changes):
    given = {"technique": "federated + masks", "family": "federation", "leaves": "a model", "sees": SEES}
    return Row(**given | changes)


FULL = row(
    auc=np.float64(0.81),
    auc_interval=(0.79, 0.83),
    advantage=-0.004,
    advantage_interval=(-0.02, 0.01),
    methods={"auc_interval": "bootstrap", "advantage_interval": "Newcombe"},
    trusted=("server: with the sum",),
    bytes=np.int64(3),
    epsilon=1,
)


def test_a_row_comes_back_from_its_file_as_it_was(tmp_path):
    path = scoreboard.save(FULL, tmp_path / "new")
    assert path.name == "federated-masks.json"
    assert scoreboard.load(tmp_path / "new") == [FULL]
    assert FULL.trusts == {"server": ("with the sum",)}
    assert FULL.leak == 0.0
    assert type(FULL.auc) is float
    assert type(FULL.bytes) is int
    assert scoreboard.load(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"technique": " "}, "must be a name"),
        ({"family": "magic"}, "family = 'magic' is not on offer"),
        ({"leaves": "everything"}, "leaves"),
        ({"auc": 1.2}, "auc = 1.2 must be a finite number from 0 to 1"),
        ({"auc": float("nan")}, "auc = nan"),
        ({"epsilon": -1}, "epsilon = -1"),
        ({"bytes": 1.5}, "bytes = 1.5"),
        ({"auc": 0.8, "auc_interval": (0.9, 0.7)}, r"auc_interval\[1\] = 0.7"),
        ({"auc": 0.8, "auc_interval": 0.7}, "give both ends"),
        ({"auc": 0.8, "auc_interval": (0.7, 0.9)}, "methods does not say how auc_interval was made"),
        ({"sees": {"patient": "nothing"}}, "says nothing of the hospital"),
        ({"trusted": ("the moon: with tides",)}, "'the moon' is not on offer"),
    ],
)
def test_what_nobody_could_compare_is_refused(changes, says):
    with pytest.raises(OutcomeError, match=says):
        row(**changes)


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"technique": "x"}', "null"])
def test_a_damaged_file_is_named_with_its_mend(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(OutcomeError, match=r"x\.json .*delete it"):
        scoreboard.load(tmp_path)


def test_a_row_under_another_name_is_no_second_row(tmp_path):
    path = scoreboard.save(FULL, tmp_path)
    path.with_name("copy.json").write_bytes(path.read_bytes())
    with pytest.raises(OutcomeError, match="under another name"):
        scoreboard.load(tmp_path)


def test_the_table_tells_not_measured_from_nothing_and_shows_no_times():
    gone = row(technique="with syft", missing="syft is not installed here.", sees={})
    shown = scoreboard.table([FULL, gone])
    assert shown.loc["federated + masks", "AUC"] == "0.81 (0.79 to 0.83)"
    assert shown.loc["federated + masks", "advantage"] == "0.00 (-0.02 to 0.01)"
    assert shown.loc["federated + masks", "named"] == "-"
    assert shown.loc["with syft", "AUC"] == "not measured"
    assert "syft" in shown.loc["with syft", "promise"]
    slow = dataclasses.replace(FULL, seconds=99.0)
    assert scoreboard.table([slow]).equals(scoreboard.table([FULL]))
