"""Parties that fail, die, stay away or are left alone: a sentence each time, and no process behind it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch

from ppml_helpers.errors import ComputationError
from ppml_helpers.secure_computation import load_crypten, run_parties

crypten = load_crypten()
ROOT = Path(__file__).resolve().parents[2]


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def party(what: str, when: Path | None = None) -> object:
    """Do `what` as one party, while the other waits for a product that never comes; note when it began."""
    if when:
        when.write_text(str(time.monotonic()))  # one clock for all processes of a computer
    if what == "raise":
        raise RuntimeError("the file of South is missing")
    if what == "exit":
        sys.exit(3)
    if what == "gone":
        os._exit(7)
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "sleep":
        time.sleep(600)
    product = crypten.cryptensor(torch.ones(3), src=1).square().get_plain_text()
    return threading.Lock() if what == "lock" else product


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("raise", r"Party 1 failed(.|\n)*the file of South is missing"),
        ("exit", r"Party 1 failed(.|\n)*SystemExit"),
        ("gone", r"Party 1 ended \(exit code 7\)"),
        ("killed", r"Party 1 ended \(exit code -9\)"),
        ("lock", r"Party 1 failed(.|\n)*cannot be sent"),
    ],
)
@pytest.mark.parametrize("provider", ["TFP", "TTP"])
def test_a_party_that_fails_ends_the_others_within_ten_seconds(
    what: str, words: str, provider: str, tmp_path: Path
) -> None:
    before = children()
    with pytest.raises(ComputationError, match=words):
        run_parties(party, [("wait",), (what, tmp_path / "when")], provider=provider, timeout=60)
    assert time.monotonic() - float((tmp_path / "when").read_text()) < 10
    assert children() == before


def test_a_party_that_never_answers_is_not_waited_for() -> None:
    before = children()
    with pytest.raises(ComputationError, match="No result of party 0 and 1 within 2 seconds"):
        run_parties(party, [("wait",), ("sleep",)], timeout=2)
    assert children() == before


def test_fifty_launches_after_ordinary_work_with_several_threads() -> None:
    torch.set_num_threads(2)
    weights = torch.randn(300, 300, requires_grad=True)
    (weights @ weights).sum().backward()
    before = children()
    for _ in range(50):
        parties = run_parties(party, [("wait",), ("wait",)], timeout=60)
        assert torch.allclose(parties[0].result, torch.ones(3), atol=1e-3)
    assert children() == before


def test_parties_end_with_a_program_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, time\n"
        "from ppml_helpers.secure_computation import run_parties\n"
        f"def wait(n):\n    open(r'{tmp_path}/%d' % n, 'w').write(str(os.getpid()))\n    time.sleep(600)\n"
        "run_parties(wait, [(0,), (1,)], timeout=600)\n"
    )
    program = subprocess.Popen([sys.executable, script], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    files = [tmp_path / "0", tmp_path / "1"]
    deadline = time.monotonic() + 60
    while not all(file.exists() and file.read_text() for file in files):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    program.kill()
    program.wait()
    for file in files:
        while psutil.pid_exists(int(file.read_text())):
            assert time.monotonic() < deadline + 60, "a party outlived its program"
            time.sleep(0.1)
