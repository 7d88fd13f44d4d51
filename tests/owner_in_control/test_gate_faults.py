"""The release gate killed at every step, stopped, and shared by several: nothing is lost and nothing gets out."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from desk import ANSWER, PRIVATE, SECRET, in_a_child_that_is_killed, jobs_in, killed, wait_until

from ppml_helpers.errors import ReleaseRefused
from ppml_helpers.owner_in_control import closed_room, records, runs


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("owner", "step"),
    [
        (records.Ledger, "reserve"),
        (closed_room.ClosedRoom, "close"),
        (runs, "start"),
        (closed_room.ClosedRoom, "hold"),
        (records.Ledger, "settle"),
        (closed_room.ClosedRoom, "open"),
    ],
)
def test_killed_after_any_step_loses_nothing_and_releases_nothing(desk, owner, step):
    leak = f"cat {PRIVATE}; cp {PRIVATE} code/rows.txt; cp {PRIVATE} code/outputs/rows.csv\n"
    review = desk.approved("count", leak + ANSWER, epsilon=0.6)

    def work():
        done = getattr(owner, step)
        setattr(owner, step, lambda *arguments, **named: (done(*arguments, **named), die()))
        desk.gate.run(review)

    killed(in_a_child_that_is_killed(work))
    assert desk.leaked(by_hand=True) == []
    gate = desk.gate = desk.open()
    assert gate.log.verify().sound
    held = gate.held()
    assert desk.spent() == pytest.approx(0.6 if held else 0)
    [run] = held or [gate.run(review)]
    assert (run.status, run.outputs["answer.txt"]) == ("done", b"42\n")
    assert SECRET in run.logs["stdout.txt"]
    assert desk.leaked() == []
    gate.release(run)
    assert desk.leaked() == ["rows.csv"]  # the owner looked, and released it
    assert desk.spent() == pytest.approx(0.6)
    assert desk.told("count").status == "done"


def test_killed_while_the_job_runs(desk):
    review = desk.approved("long", f"cat {PRIVATE}; cp {PRIVATE} code/rows.txt; sleep 600\n", epsilon=0.6)
    child = in_a_child_that_is_killed(lambda: desk.gate.run(review))
    job = desk.job("long").job_submission_path
    wait_until((job / "code" / "rows.txt").exists)
    os.kill(child, signal.SIGKILL)
    killed(child)
    assert desk.leaked(by_hand=True) == []
    desk.gate = desk.open()
    assert desk.gate.held() == ()
    assert not (job / "code" / "rows.txt").exists()
    assert desk.gate.log.entries[-1]["event"] == "interrupted"
    assert jobs_in(desk.north.syftbox_folder) == []
    assert desk.leaked() == []


def test_stopped_by_the_owner_while_the_job_runs(desk):
    review = desk.approved("long", f"cp {PRIVATE} code/rows.txt; sleep 300\n", epsilon=0.6)
    job = desk.job("long").job_submission_path
    before = dict(os.environ)

    def press():
        wait_until((job / "code" / "rows.txt").exists)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        desk.gate.run(review)
    presser.join()
    assert dict(os.environ) == before
    assert not (job / "code" / "rows.txt").exists()
    assert desk.gate.log.entries[-1]["event"] == "interrupted"
    assert desk.spent() == 0
    assert desk.leaked() == []


def test_killed_while_releasing_is_released_once_more(desk):
    run = desk.run("count", ANSWER, epsilon=0.6)

    def work():
        desk.gate._sync = die  # all is in place and shared, nothing was sent
        desk.gate.release(run)

    killed(in_a_child_that_is_killed(work))
    desk.gate = desk.open()
    [again] = desk.gate.held()
    assert again == run
    desk.gate.release(again)
    assert any(path.endswith("answer.txt") for path in desk.arrived())
    assert desk.spent() == pytest.approx(0.6)


def test_two_gates_of_one_owner_at_once(desk):
    names = ["a", "b", "c"]
    for name in names:
        desk.approved(name, ANSWER, epsilon=0.4)
    results = []

    def go(name):
        try:
            results.append(desk.open().run(name).status)
        except ReleaseRefused as refusal:
            results.append("is left" in str(refusal))

    threads = [threading.Thread(target=go, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results, key=str) == [True, "done", "done"]
    assert desk.spent() == pytest.approx(0.8)
    assert desk.gate.log.verify().sound
