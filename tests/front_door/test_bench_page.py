"""The page of the benchmarks says what the results say, and README boasts with nothing that the page does not hold."""

from __future__ import annotations

import copy
import importlib.util
import json
import re
import sys
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
    sys.modules["_page"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_page_is_what_the_generator_writes(maker: ModuleType):
    assert maker.PAGE.read_text(encoding="utf-8") == maker.page(maker.load()), "run benchmarks/_page.py"
    assert maker.PICTURE.read_bytes().startswith(b"\x89PNG")


def test_only_full_runs_are_shown(maker: ModuleType, tmp_path: Path):
    run = (REPO / "benchmarks" / "results" / "attack.json").read_text(encoding="utf-8")
    (tmp_path / "attack.quick.json").write_text(run, encoding="utf-8")
    assert maker.load(tmp_path) == []
    assert "attack" in maker.not_measured(tmp_path)
    (tmp_path / "attack.json").write_text(run, encoding="utf-8")
    assert [shown["benchmark"] for shown in maker.load(tmp_path)] == ["attack"]
    assert "attack" not in maker.not_measured(tmp_path)


def test_a_floor_is_marked_and_growth_is_drawn_over_what_grew(maker: ModuleType):
    one = {"wall": 2.0, "cpu": 0.0}
    summary = {"median_ratio": 4.0, "median_ratio_cpu": 0.0, "quartiles": [4.0, 4.0], "pairs": 1}
    shape = {"unit": "run", "note": "n", "at_least": None, "at_most": None, "facts": {}, "summary": summary}
    floor = {**shape, "ratio": "ours/peer", "ours": [one], "peer": [{"wall": 0.5, "cpu": 0.0}], "floor": True}
    comparisons = [{**floor, "name": f"{many} hospitals, 10 rounds"} for many in ("4", "1,000")]
    panels = maker.growth([{"benchmark": "demo", "comparisons": comparisons}])
    assert panels["demo"].over == "hospitals"
    assert panels["demo"].lines == {"ours": {4: 2.0, 1000: 2.0}, "floor: 10 rounds": {4: 0.5, 1000: 0.5}}
    assert maker.row(comparisons[0]).startswith("| **floor**: 4 hospitals, 10 rounds (run; n) | 2 s | 0.5 s | 4 ")
    assert "| not known |" in maker.row(comparisons[0]), "a processor time that was not taken is not a ratio of 0"


def test_every_explorer_of_the_course_is_moved_and_every_benchmark_states_a_floor():
    rooms = "".join(path.read_text("utf-8") for path in (REPO / "ppml_helpers").glob("*/explorer.py"))
    moved = (REPO / "benchmarks" / "explorers.py").read_text("utf-8")
    there = re.findall(r"^class (\w+Explorer)\(Explorer\)", rooms, re.MULTILINE)
    assert len(there) > 10
    assert [name for name in there if f"{name}(" not in moved] == []
    scripts = [path.read_text("utf-8") for path in (REPO / "benchmarks").glob("[a-z]*.py")]
    compared = [text for text in scripts if "with Benchmark(" in text or " Benchmark(" in text]
    assert len(compared) > 8
    assert [text.partition("\n")[0] for text in compared if "floor" not in text] == []


def test_a_missed_bound_is_named_whatever_the_results_claim(maker: ModuleType):
    runs = copy.deepcopy(maker.load())
    comparison = runs[0]["comparisons"][0]
    comparison.update(at_least=1e9, at_most=None)
    comparison["summary"]["holds"] = True
    comparison["facts"]["why"] = "The peer became faster."
    told = maker.page(runs).split("## Bounds that are missed")[1].split("\n## ")[0]
    assert f"{comparison['name']}: at least 1e+09: **missed**. The peer became faster." in told


def test_a_suite_that_holds_too_much_memory_is_said_to_miss_its_bound(maker: ModuleType, tmp_path: Path):
    assert maker.suite(tmp_path) == ""
    told = {"what": ".ci/run", "seconds_watched": 960, "most_processes": 67, "day": "2026-11-29", "load_before": 0.2}
    for held, said in ((5.94e9, "5.9 GB in all its processes together (at most 6 GB: kept)"), (6.1e9, "**missed**")):
        (tmp_path / "suite.json").write_text(json.dumps(told | {"peak_bytes": held}), "utf-8")
        assert said in maker.suite(tmp_path)
        assert "16.0 minutes" in maker.suite(tmp_path)


def test_a_run_without_a_peer_shows_its_own_table_and_what_is_to_be_known(maker: ModuleType):
    hub = next(run for run in maker.load() if run["benchmark"] == "hub")
    told = maker.section({**hub, "table": {"head": ["step", "p90"], "rows": [["log in", "3 s"]]}, "notes": ["None."]})
    assert "| step | p90 |\n| --- | --- |\n| log in | 3 s |\n\nNone.\n\nMeasured" in told


def test_fifteen_worked_at_the_hub_and_none_failed(maker: ModuleType):
    hub = next(run for run in maker.load() if run["benchmark"] == "hub")
    moves = hub["measured"]["steps"]["knob to picture"]
    assert (hub["learners"], hub["isolated"], hub["measured"]["failures"]) == (15, True, [])
    assert len(moves) == 15 * 5


def test_readme_holds_no_performance_number_that_the_page_does_not(maker: ModuleType):
    held = set(PERFORMANCE.findall(maker.PAGE.read_text(encoding="utf-8")))
    said = set(PERFORMANCE.findall((REPO / "README.md").read_text(encoding="utf-8")))
    assert said <= held
    assert PERFORMANCE.findall("It is 66.4 times as fast, in 12 seconds") == ["66.4", "12"]
