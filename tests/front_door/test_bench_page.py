"""The page of the benchmarks says what the results say, and README boasts with nothing that the page does not hold."""

from __future__ import annotations

import copy
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

REPO = Path(__file__).resolve().parents[2]
PERFORMANCE = re.compile(r"\b(\d[\d,.]*) ?(?:times|x|ms|milliseconds|s|seconds)\b(?! a day)")


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_page", REPO / "benchmarks" / "_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_is_what_the_generator_writes(maker: ModuleType):
    assert maker.PAGE.read_text(encoding="utf-8") == maker.page(maker.load()), "run benchmarks/_page.py"
    assert maker.PICTURE.read_bytes().startswith(b"\x89PNG")


def test_a_missed_bound_is_named_whatever_the_results_claim(maker: ModuleType):
    runs = copy.deepcopy(maker.load())
    comparison = runs[0]["comparisons"][0]
    comparison.update(at_least=1e9, at_most=None)
    comparison["summary"]["holds"] = True
    comparison["facts"]["why"] = "The peer became faster."
    told = maker.page(runs).split("## Bounds that are missed")[1].split("\n## ")[0]
    assert f"{comparison['name']}: at least 1e+09: **missed**. The peer became faster." in told


def test_readme_holds_no_performance_number_that_the_page_does_not(maker: ModuleType):
    held = set(PERFORMANCE.findall(maker.PAGE.read_text(encoding="utf-8")))
    said = set(PERFORMANCE.findall((REPO / "README.md").read_text(encoding="utf-8")))
    assert said <= held
    assert PERFORMANCE.findall("It is 66.4 times as fast, in 12 seconds") == ["66.4", "12"]
