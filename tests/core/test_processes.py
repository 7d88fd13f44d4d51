"""Processes are found again by their environment, and ended by request or by force."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import psutil
import pytest

from ppml_helpers import processes

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as on Linux and macOS")

SIGN = "PPML_TEST_SIGN"
# Ignores requests, and leaves an orphan in a session of its own that nobody finds by looking for children.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
code = 'import subprocess, sys; subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])'
subprocess.Popen([sys.executable, "-c", code], start_new_session=True).wait()
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def mark() -> Iterator[str]:
    value = uuid.uuid4().hex
    yield value
    processes.end_all(lambda environment: environment.get(SIGN) == value)


def start(mark: str, code: str) -> subprocess.Popen[str]:
    """Start a program and wait for its first word."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, SIGN: mark}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_all_with_the_sign_are_ended_orphans_and_stubborn_ones_too(mark: str) -> None:
    def sign(environment: dict[str, str]) -> bool:
        return environment.get(SIGN) == mark

    with start(mark, STUBBORN) as process:
        before = processes.running(sign)
        assert len(before) == 2
        assert processes.end_all(sign, patience=0.2) == []
        assert process.wait(60) == -9, "it did not hear the request"
    assert not any(processes.alive(one) for one in before)
    assert processes.end_all(lambda environment: environment.get(SIGN) == "nobody's") == []


# Has a child, and says when it is asked to end.
POLITE = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
signal.signal(signal.SIGTERM, lambda *_: (print("asked", flush=True), sys.exit()))
print("ready", flush=True)
while True:
    signal.pause()
"""


def test_a_tree_is_ended_and_a_stopped_process_is_woken_to_hear_the_request(mark: str) -> None:
    with start(mark, POLITE) as process:
        tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
        assert len(tree) == 2
        for one in tree:
            one.suspend()
        processes.end_tree(process.pid, patience=60)
        assert process.stdout.read() == "asked\n"
    assert not any(processes.alive(one) for one in tree)
    processes.end_tree(process.pid)  # it is gone: nothing to do
