"""The frame of the benchmarks measures in pairs, tells the spread, and loses nothing."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def frame() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_frame", REPO / "benchmarks" / "_frame.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["_frame"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def timings(frame: ModuleType, *walls: float):
    """Return a call that reports these times one after the other."""
    left = iter(walls)
    return lambda: frame.Timing(next(left), 1.0)


def test_the_ratio_is_the_median_of_pairs_with_its_spread(frame: ModuleType, tmp_path: Path) -> None:
    benchmark = frame.Benchmark("demo", "Demo.", [], tmp_path)
    ours, peer = timings(frame, 1, 1, 2, 1), timings(frame, 10, 30, 40, 50)
    result = benchmark.compare("sum", ours, peer, 4, "call", warmup=0, at_least=20, at_most=30)
    assert result.ratios() == [10, 30, 20, 50]
    assert result.median() == 25
    assert result.quartiles() == (17.5, 35)
    assert result.holds()
    result.facts["loss"] = 0.25
    benchmark.close()
    stored = json.loads((tmp_path / "demo.json").read_text())
    assert stored["comparisons"][0]["facts"] == {"loss": 0.25}
    assert stored["comparisons"][0]["summary"]["median_ratio"] == 25
    assert stored["comparisons"][0]["summary"]["range"] == [10, 50]
    assert stored["versions"]["python"] == sys.version.split()[0]
    assert stored["machine"]["cores"] >= 1
    assert "25" in benchmark.table()
    assert "at least 20 and at most 30: kept" in benchmark.table()


def test_a_cost_is_ours_over_peer_and_a_missed_bound_ends_with_code_1(frame: ModuleType, tmp_path: Path) -> None:
    def measure() -> None:
        with frame.Benchmark("demo", "Demo.", ["--quick"], tmp_path) as benchmark:
            assert benchmark.quick
            ours, peer = timings(frame, 4), timings(frame, 1)
            result = benchmark.compare("move", ours, peer, 1, "move", ratio="ours/peer", at_most=3, warmup=0)
            assert result.median() == 4

    with pytest.raises(SystemExit) as ended:
        measure()
    assert ended.value.code == 1
    stored = json.loads((tmp_path / "demo.quick.json").read_text())
    assert stored["complete"] is True
    assert stored["comparisons"][0]["summary"]["holds"] is False


def test_real_time_is_taken_on_two_clocks(frame: ModuleType, tmp_path: Path) -> None:
    benchmark = frame.Benchmark("demo", "Demo.", [], tmp_path)
    result = benchmark.compare("sleep", lambda: None, lambda: time.sleep(0.05), 1, "nap")
    assert min(timing.wall for timing in result.peer) >= 0.05
    assert all(timing.cpu < timing.wall for timing in result.peer), "sleeping costs no processor time"


def test_the_order_alternates_so_that_drift_burdens_both(frame: ModuleType, tmp_path: Path) -> None:
    calls: list[str] = []
    benchmark = frame.Benchmark("demo", "Demo.", [], tmp_path)
    benchmark.compare("order", lambda: calls.append("ours"), lambda: calls.append("peer"), 2, "call", warmup=0)
    assert calls == ["ours", "peer", "peer", "ours"]


def test_ctrl_c_keeps_the_pairs_measured_so_far(frame: ModuleType, tmp_path: Path) -> None:
    pairs = iter([None, None])

    def peer() -> None:
        if next(pairs, "stop") == "stop":
            raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended, frame.Benchmark("demo", "Demo.", [], tmp_path) as benchmark:
        benchmark.compare("long", lambda: None, peer, 50, "call", warmup=0)
    assert ended.value.code == 130
    stored = json.loads((tmp_path / "demo.json").read_text())
    assert stored["complete"] is False
    assert stored["comparisons"][0]["summary"]["pairs"] == 2


@pytest.mark.parametrize(("change", "word"), [({"repeats": 0}, "repeats is 0"), ({"ratio": "ours"}, "ratio is 'ours'")])
def test_a_wrong_description_is_refused(frame: ModuleType, tmp_path: Path, change: dict, word: str) -> None:
    benchmark = frame.Benchmark("demo", "Demo.", [], tmp_path)
    arguments = {"repeats": 1, "unit": "call", **change}
    with pytest.raises(frame.BenchmarkError, match=word):
        benchmark.compare("x", lambda: None, lambda: None, **arguments)


def test_a_peer_in_another_process_is_timed_there(frame: ModuleType, tmp_path: Path) -> None:
    script = tmp_path / "peer.py"
    script.write_text(
        f"import sys, time\nsys.path.insert(0, {str(REPO / 'benchmarks')!r})\nfrom _frame import serve\n"
        "def nap(seconds):\n    print('noise on stdout')\n    time.sleep(seconds)\nserve(nap)\n"
    )
    with frame.Worker(script, sys.executable) as worker:
        assert worker.call(seconds=0.02).wall >= 0.02
        with pytest.raises(frame.BenchmarkError, match="TypeError"):
            worker.call(minutes=1)
        assert worker.call(seconds=0).wall >= 0, "one failed call does not end the worker"
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit(3)\n")
    with (
        frame.Worker(broken, sys.executable) as worker,
        pytest.raises(frame.BenchmarkError, match=r"does not answer|ended"),
    ):
        worker.call()


GROWN = "import time\nheld = bytearray(60_000_000)\nprint(flush=True)\ntime.sleep(300)"
PARENT = f"import subprocess, sys\nheld = bytearray(40_000_000)\nsubprocess.run([sys.executable, '-c', {GROWN!r}])"


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells how memory is shared")
def test_memory_is_that_of_a_process_and_of_what_it_starts(frame: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPO / "benchmarks"))
    from _memory import Watch

    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()  # the child has its memory, and so has the parent
        both, child = Watch(parent.pid), Watch(parent.pid, itself=False)
        both.look()
        child.look()
        grandchild = next(pid for pid in child._seen if pid != parent.pid)
        parent.kill()
        parent.wait()
        child.look()  # who was seen still counts when its parent is gone
        orphan = child._seen.keys() & {grandchild}
        os.kill(grandchild, signal.SIGKILL)
    assert 60e6 < child.peak < 100e6 <= both.peak < 300e6
    assert (both.most_processes, child.most_processes) == (2, 1)
    assert orphan
