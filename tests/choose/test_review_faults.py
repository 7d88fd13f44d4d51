"""A review that is written to by several processes at once, and by one that is killed, keeps every answer whole."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from ppml_helpers.choose.questions import QUESTIONS
from ppml_helpers.choose.review import Review

WRITER = """
import sys
from ppml_helpers.choose.questions import QUESTIONS
from ppml_helpers.choose.review import Answer, Review

review, me = Review(sys.argv[1]), sys.argv[2]
names, before = list(QUESTIONS)[int(me) :: 2], {}
print("ready", flush=True)
sys.stdin.readline()
for turn in range(int(sys.argv[3])):
    for name in ("purpose", names[turn % len(names)]):
        new = Answer(f"{me} wrote this in turn {turn} " * 50, me, "2026-11-29T08:00:00")
        review.write(name, new, before.get(name))
        before[name] = new
    print(turn, flush=True)
"""


def writer(path: Path, me: int, turns: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), str(me), str(turns)]
    running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert running.stdout.readline() == "ready\n"
    return running


def test_two_processes_that_write_at_once_lose_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "review.json"
    both = [writer(path, me, turns=20) for me in (0, 1)]
    for one in both:
        one.stdin.write("go\n")
        one.stdin.flush()
    assert [one.communicate()[0].split()[-1] for one in both] == ["19", "19"]
    kept = Review(path).read()
    assert set(kept) == set(QUESTIONS)  # each had 17 of its own, in 20 turns
    assert {one.text.split(" ")[0]: one.text.split(" ")[5] for one in kept["purpose"].answers} == {"0": "19", "1": "19"}


def test_a_writer_that_is_killed_leaves_the_last_answer_whole(tmp_path: Path) -> None:
    for delay in (0.0, 0.007):
        path = tmp_path / f"{delay}.json"
        one = writer(path, 0, turns=100_000)
        one.stdin.write("go\n")
        one.stdin.flush()
        told = [one.stdout.readline() for _ in range(3)]
        time.sleep(delay)
        one.send_signal(signal.SIGKILL)
        told += one.communicate()[0].splitlines()
        last = int([line for line in told if line.strip()][-1])
        [answer] = Review(path).read()["purpose"].answers
        turn = int(answer.text.split()[5])
        assert turn >= last
        assert answer.text == f"0 wrote this in turn {turn} " * 50
        Review(path).settle("purpose", answer)  # no lock is left behind
