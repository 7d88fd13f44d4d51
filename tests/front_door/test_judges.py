"""The rules by which the benchmark of the judges tells a right answer in other words from a slip that was taken."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def judges() -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("judges_of_the_benchmark", BENCHMARKS / "judges.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (0.29, 0.2901, True),
        (0.29, 0.30, False),
        (13, 13.0, True),
        (92, 93, False),
        (("drift", 0.593), ("drift", 0.587), False),
        (("drift", 0.593), ("drift", 0.594), True),
        ({"A": 1.0}, {"B": 1.0}, False),
        ([1.0, 2.0], [1.0], False),
        (True, False, False),
        ("logs", "nothing", False),
        (np.array([1.0, 2.0]), np.array([1.0, 2.1]), False),
    ],
)
def test_two_digits_are_the_same_and_whole_numbers_must_be_equal(
    judges: ModuleType, left: Any, right: Any, expected: bool
) -> None:
    assert judges.alike(left, right) is expected


def test_what_is_printed_or_tried_on_the_side_is_no_part_of_an_answer(judges: ModuleType) -> None:
    source = "import math\n\ndef f(x):\n    return x + 1\n\ntried = f(3)\nprint(f(2))\n"
    kept = judges.what_makes(source, "f")
    assert "tried" not in kept
    assert "print" not in kept
    assert any("x - 1" in mutant for mutant in judges.mutants(kept))


def test_a_slip_that_a_judge_took_is_not_called_right(judges: ModuleType) -> None:
    assert not judges.right_otherwise("09.2", 3, 4)
    assert not judges.right_otherwise("07b.2", lambda knock: "a" * 16, lambda knock: "b" * 16)


def test_every_excuse_has_its_reason(judges: ModuleType) -> None:
    assert all(len(why.split()) > 8 for why in judges.OPEN.values())
