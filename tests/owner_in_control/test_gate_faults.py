"""The release gate killed at every step, stopped, and shared by several: nothing is lost and nothing gets out."""

from __future__ import annotations

import os
import signal
import sys
import threading

import pytest
from desk import ANSWER, PRIVATE, SECRET, in_a_child_that_is_killed, jobs_in, killed, wait_until

from ppml_helpers.errors import DatasiteError, ReleaseRefused
from ppml_helpers.owner_in_control import gate, records, runs
from ppml_helpers.sandbox import runner


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("owner", "step"),
    [
        (records.Ledger, "begin"),
        (runner, "run"),
        (runs.Held, "add"),
        (gate, "end_in_syft"),
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
    opened = desk.gate = desk.open()
    assert opened.log.verify().sound
    held = opened.held()
    assert desk.spent() == pytest.approx(0.6 if held else 0)
    [run] = held or [opened.run(review)]
    assert (run.status, run.outputs["answer.txt"]) == ("done", "42\n")
    assert SECRET in run.logs["stdout.txt"]
    assert desk.leaked() == []
    opened.release(run)
    assert desk.leaked() == ["rows.csv"]  # the owner looked, and released it
    assert desk.spent() == pytest.approx(0.6)
    assert desk.told("count").status == "done"


def at_work(desk):
    """Tell whether a job is at work in the gate's scratch folder, which nobody outside can look into."""
    return jobs_in(desk.gate.folder / runner.SCRATCH)


@pytest.mark.parametrize("confine", [True, False])
def test_killed_while_the_job_runs_leaves_nothing_at_work(desk, confine):
    review = desk.approved("long", f"cp {PRIVATE} code/rows.txt; sleep 600\n", epsilon=0.6)
    desk.weaken(scratch_copy=confine)
    child = in_a_child_that_is_killed(lambda: desk.gate.run(review))
    wait_until(lambda: at_work(desk))
    os.kill(child, signal.SIGKILL)
    killed(child)
    assert desk.leaked(by_hand=True) == []
    desk.gate = desk.open()
    assert desk.gate.held() == ()
    assert desk.gate.log.entries[-1]["details"]["status"] == "interrupted"
    assert at_work(desk) == []
    assert list((desk.gate.folder / runner.SCRATCH).glob("*")) == []
    assert desk.spent() == 0


def test_stopped_by_the_owner_while_the_job_runs(desk):
    review = desk.approved("long", f"cp {PRIVATE} code/rows.txt; sleep 300\n", epsilon=0.6)

    ended = threading.Event()

    def press():
        wait_until(lambda: at_work(desk))
        while not ended.is_set():  # a person presses again where nothing happens, before the job's own minute is over
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            ended.wait(15)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        desk.gate.run(review)
    ended.set()
    presser.join()
    assert at_work(desk) == []
    assert desk.gate.log.entries[-1]["details"]["status"] == "interrupted"
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


def test_a_gate_that_waits_in_vain_for_another_says_so(shared, monkeypatch):
    monkeypatch.setattr(gate, "_PATIENCE", 0.1)
    with shared.gate._alone(), pytest.raises(DatasiteError, match="Another gate of this owner is at work"):
        shared.open()


@pytest.mark.skipif(runner.confinement() != "namespaces", reason="no namespaces here")
def test_the_owners_service_goes_on_after_a_greedy_job(desk):
    desk.gate.limits = runner.Limits(seconds=20, memory=400 * 2**20, disk=16 * 2**20, processes=20, output=2**20)
    forks = "while True:\n try: os.fork()\n except OSError: pass"
    script = f"{sys.executable} -I -S -c 'import os\n{forks}' & head -c 20000000 /dev/zero > big || sleep 600"
    run = desk.gate.run(desk.approved("greedy", script), timeout=1)
    assert (run.status, run.why) == ("failed", "more seconds than its limit")
    assert desk.run("next", ANSWER).outputs == {"answer.txt": "42\n"}
    assert desk.spent() == pytest.approx(0.1)
