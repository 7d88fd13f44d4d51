"""What a line adds, from rounds and bytes that were counted, and held against a line that is really slow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ppml_helpers.errors import ComputationError
from ppml_helpers.secure_computation.costs import COLUMNS, CROSSINGS, counted, measured, seconds_on_line

ROOT = Path(__file__).resolve().parents[2]
LINE = ROOT / "benchmarks" / "_delayed_line.py"


def test_a_line_waits_for_rounds_and_carries_bits() -> None:
    assert seconds_on_line(10, 0, latency=20) == pytest.approx(0.2)
    assert seconds_on_line(0, 12.5e6, latency=20, megabits=100) == pytest.approx(1)
    assert seconds_on_line(10, 12.5e6, latency=0, megabits=10) == pytest.approx(10)


def test_the_counts_are_those_of_the_protocols() -> None:
    total, scores, risks, step = counted()
    assert (total.rounds, scores.rounds) == (2, 2)
    assert scores.bytes_a_patient == COLUMNS * 8 + 4, "each masked value once, and half of the one that opens the score"
    assert scores.rounds < risks.rounds < step.rounds + 1
    assert step.bytes(200) - step.bytes(100) == 100 * step.bytes_a_patient


def on_line(latency: int) -> dict[str, dict[str, float]]:
    """Run the protocols on a line of so many milliseconds; skip where the system has no such line."""
    command = [sys.executable, str(LINE), str(latency), "64", "1"]
    ran = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)} | dict(os.environ))
    if ran.returncode == 3:
        pytest.skip(ran.stdout.strip())
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_slow_line_takes_what_was_computed_from_counted_rounds() -> None:
    """Each message is 20 ms on its way. Nothing can be faster than that; a busy computer may well be slower."""
    seen_by = on_line(20)
    for protocol in counted()[1:]:
        seen = seen_by[protocol.name]
        assert seen["rounds"] == protocol.rounds
        computed = protocol.rounds * CROSSINGS * 0.02
        assert computed <= seen["seconds"] < 1.5 * computed + 5


def test_what_the_benchmark_measured_is_near_what_is_computed(tmp_path: Path) -> None:
    """The stars of the explorer: 2,276 patients at 100 megabits a second, as `kit.py bench parties` found them."""
    protocols = {protocol.name: protocol for protocol in counted()}
    found = measured()
    assert len(found) == 3
    for one in found:
        protocol = protocols[one.name]
        computed = seconds_on_line(protocol.crossings, protocol.bytes(2_276), one.latency)
        assert 0.8 < one.seconds / computed < 1.5
    (tmp_path / "parties.json").write_text('{"comparisons": []}')
    assert measured(tmp_path / "parties.json") == measured(tmp_path / "none.json") == []


@pytest.mark.parametrize("bad", [{"crossings": -1}, {"crossings": 1.5}, {"sent": -1}, {"latency": -1}, {"megabits": 0}])
def test_what_no_line_is_like_is_refused(bad: dict) -> None:
    with pytest.raises(ComputationError, match=next(iter(bad))):
        seconds_on_line(**({"crossings": 1, "sent": 1, "latency": 1, "megabits": 1} | bad))
