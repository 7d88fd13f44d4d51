"""The release gate killed at every step, stopped, and shared by several: nothing is lost and nothing gets out."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from desk import ANSWER, PRIVATE, SECRET, in_a_child_that_is_killed, killed, wait_until

from ppml_helpers import processes
from ppml_helpers.errors import ReleaseRefused
from ppml_helpers.owner_in_control import closed_room, records, runs, silence
from ppml_helpers.owner_in_control.syft_client import make_client


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def dying_after(step):
    """Make one step of the gate the last thing that this program does."""
    owner, name = {
        "reserve": (records.Ledger, "reserve"),
        "close": (closed_room.ClosedRoom, "close"),
        "start": (runs, "start"),
        "hold": (closed_room.ClosedRoom, "hold"),
        "settle": (records.Ledger, "settle"),
        "open": (closed_room.ClosedRoom, "open"),
    }[step]
    done = getattr(owner, name)

    def last(*arguments, **named):
        done(*arguments, **named)
        die()

    setattr(owner, name, last)


@pytest.mark.parametrize("step", ["reserve", "close", "start", "hold", "settle", "open"])
def test_killed_at_any_step_loses_nothing_and_releases_nothing(desk, step):
    leak = f"cat {PRIVATE}; cp {PRIVATE} code/rows.txt; cp {PRIVATE} code/outputs/rows.csv\n"
    review = desk.approved("count", leak + ANSWER, epsilon=0.6)

    def work():
        dying_after(step)
        desk.gate.run(review)

    killed(in_a_child_that_is_killed(work))
    with silence():  # an owner who forgets the gate and syncs by hand
        make_client(desk.north.email, True, desk.network.machine(desk.north), desk.network.shared, False).sync()
        desk.rita.sync()
    mirror = desk.rita.syftbox_folder / desk.north.email
    assert [path for path in mirror.rglob("*") if path.is_file() and SECRET in path.read_text()] == []
    gate = desk.open()
    assert gate.log.verify().sound
    held = gate.held()
    if held:
        [run] = held
        assert gate.budget(desk.rita.email).spent.epsilon == pytest.approx(0.6)
    else:
        assert gate.budget(desk.rita.email).spent.epsilon == 0
        run = gate.run(review)
    assert (run.status, run.outputs["answer.txt"]) == ("done", b"42\n")
    assert SECRET in run.logs["stdout.txt"]
    desk.gate = gate
    assert desk.leaked() == []
    gate.release(run)
    assert [path.rpartition("/")[2] for path in desk.leaked()] == ["rows.csv"]  # the owner looked, and released it
    assert gate.budget(desk.rita.email).spent.epsilon == pytest.approx(0.6)
    assert desk.told("count").status == "done"


def test_killed_while_the_job_runs(desk):
    review = desk.approved("long", f"cat {PRIVATE}; cp {PRIVATE} code/rows.txt; sleep 600\n", epsilon=0.6)
    child = in_a_child_that_is_killed(lambda: desk.gate.run(review))
    job = desk.job("long").job_submission_path
    wait_until((job / "code" / "rows.txt").exists)
    os.kill(child, signal.SIGKILL)
    killed(child)
    with silence():
        desk.north.sync()
        desk.rita.sync()
    assert "rows.txt" not in {path.name for path in desk.rita.syftbox_folder.rglob("*")}
    desk.gate = desk.open()
    assert desk.gate.held() == ()
    assert not (job / "code" / "rows.txt").exists()
    assert desk.gate.log.entries[-1]["event"] == "interrupted"
    box = str(desk.north.syftbox_folder.resolve())
    assert processes.running(lambda variables: variables.get("SYFTBOX_FOLDER") == box) == []
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
    names = ["a", "b", "c", "d"]
    for name in names:
        desk.approved(name, ANSWER, epsilon=0.4)
    results = {}

    def go(name):
        try:
            results[name] = desk.open().run(name).status
        except ReleaseRefused as refusal:
            results[name] = str(refusal)

    threads = [threading.Thread(target=go, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result == "done" for result in results.values()) == [False, False, True, True]
    assert desk.spent() == pytest.approx(0.8)
    assert desk.gate.log.verify().sound
