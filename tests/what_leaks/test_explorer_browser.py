"""Chapter 1 as a learner meets it: run the cells up to the explorer, then move it."""

from __future__ import annotations

import lab

CHAPTER = "01_what_leaks.ipynb"
EXPLORER = "AttackExplorer("
NEEDS = ("patients = cohort.load_patients()", "data = cohort.split(X, y, seed=0)")


def test_picture_and_sentence_follow_a_key(explorer: lab.ExplorerView) -> None:
    explorer.nudged("01_explorer")
