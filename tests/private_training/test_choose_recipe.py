"""The course's recipes are chosen on made-up tables, and are the best found there."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ppml_helpers.private_training.engine import RECIPES

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "choose_recipe.py"
RESULT = ROOT / "benchmarks" / "results" / "choose_recipe.json"


@pytest.fixture(scope="module")
def report() -> dict:
    return json.loads(RESULT.read_text("utf-8"))


def grids() -> dict[str, dict[str, tuple]]:
    tree = ast.parse(SCRIPT.read_text("utf-8"))
    assigned = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        if isinstance(node.targets[0], ast.Name)
    }
    return ast.literal_eval(assigned["GRIDS"])


def test_the_committed_search_was_a_full_one_over_the_present_grid(report: dict) -> None:
    assert report["quick"] is False
    for name, grid in grids().items():
        tried = {tuple(entry[knob] for knob in grid) for entry in report[name]}
        size = 1
        for values in grid.values():
            size *= len(values)
        assert len(tried) == len(report[name]) == size
        assert all(entry[knob] in grid[knob] for entry in report[name] for knob in grid)


@pytest.mark.parametrize("name", RECIPES)
def test_the_course_uses_the_best(report: dict, name: str) -> None:
    ranked = report[name]
    losses = [entry["log loss"] for entry in ranked]
    assert losses == sorted(losses)
    assert losses[0] < losses[-1] - 0.05  # the choice mattered
    best = ranked[0]
    assert all(getattr(RECIPES[name], knob) == best[knob] for knob in grids()[name])
    assert best["AUC"] > max(entry["AUC"] for entry in ranked) - 0.02  # usable risks cost little of the order
    assert best["extreme"] < 0.05


def test_the_script_runs_and_never_looks_at_the_patients(tmp_path: Path) -> None:
    """A copy with a grid of two settings a model, to see that it works from end to end."""
    copy = tmp_path / "choose_recipe.py"
    shutil.copy(SCRIPT, copy)
    small = {
        "logistic regression": {"steps": (100,), "learning_rate": (0.25,), "clipping_norm": (1.0, 2.0)},
        "MLP": {"steps": (100,), "learning_rate": (0.0625,), "clipping_norm": (1.0, 2.0)},
    }
    run = (
        f"import sys; sys.argv = ['choose_recipe.py', '--quick']; sys.path.insert(0, {str(tmp_path)!r})\n"
        f"import choose_recipe; choose_recipe.GRIDS = {small!r}; choose_recipe.ROWS = 1500\n"
        "choose_recipe.EPSILONS = (10.0,)  # from the shipped table: no search\n"
        "choose_recipe.main()\n"
        "assert 'ppml_helpers.cohort' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", run],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("<- the course uses this") == 2
    written = json.loads((tmp_path / "results" / "choose_recipe.quick.json").read_text("utf-8"))
    assert written["quick"] is True
    assert [len(written[name]) for name in small] == [2, 2]
    assert all(0.3 < entry["AUC"] < 1 for name in small for entry in written[name])
    assert not (tmp_path / "results" / "choose_recipe.json").exists()
