"""What no gate can stop, each by a job that does it: `CANNOT_STOP` in `defences` is true (the first: attacks)."""

from __future__ import annotations

import os
import signal
import threading
import time

from desk import ANSWER, PRIVATE, REVIEW, SECRET, in_a_child_that_is_killed, killed, wait_until

from ppml_helpers.owner_in_control import CANNOT_STOP


def test_how_long_an_answer_takes_tells_something(shared):
    """An owner who releases as soon as the job ends shows whether it waited: here, for a file that is made later."""
    script = f"if grep -q NEEDLE {PRIVATE}; then until [ -e code/go ]; do sleep 0.05; done; fi\n{ANSWER}"
    shared.gate.release(shared.run("absent", script.replace("NEEDLE", "Nobody")))  # did not wait
    review = shared.approved("there", script.replace("NEEDLE", SECRET))
    code = shared.job("there").job_submission_path / "code"
    go = threading.Timer(0.5, (code / "go").touch)
    go.start()
    shared.gate.release(shared.gate.run(review))
    assert go.finished.is_set(), "it ended before the file was there"
    assert "how long the job ran" in CANNOT_STOP[1]


def test_a_failure_is_one_bit_for_nothing(shared):
    for name, needle in (("is-there", SECRET), ("is-absent", "Nobody")):
        shared.run(name, f"grep -q {needle} {PRIVATE}\n{ANSWER}")
    assert [shared.told(name).status for name in ("is-there", "is-absent")] == ["done", "failed"]
    assert "failed is one bit" in CANNOT_STOP[2]


def test_approved_code_writes_outside_the_syftbox(shared):
    elsewhere = shared.network.shared / "rows.csv"
    shared.gate.release(shared.run("elsewhere", f"cp {PRIVATE} {elsewhere}\n{ANSWER}"))
    assert SECRET in elsewhere.read_text()
    assert "outside the SyftBox" in CANNOT_STOP[3]  # and to the network: the attack "calls home"


def test_a_program_that_hides_outlives_its_job(desk):
    """The gate knows a job's programs by their environment, which a program can throw away."""
    # It tries until the network is closed, and not for ever.
    again = 'for i in $(seq 90); do sleep 0.3; [ -d "$PLACE" ] || exit; cp "$TABLE" "$PLACE/late.txt"; done'
    hide = f'env -i PATH="$PATH" TABLE="{PRIVATE}" PLACE="$PWD/code" sh -c \'{again}\' > /dev/null 2>&1 &'
    desk.gate.release(desk.run("hides", f"{hide}\n{ANSWER}"))
    wait_until(desk.leaked)  # if it does not pass any more, take it out of CANNOT_STOP
    assert "leave a program behind that hides" in CANNOT_STOP[3]


def test_a_job_keeps_the_owner_waiting(desk):
    """Syft opens its record of a job when the job has ended, and a pipe in its place never answers."""
    record = f"{REVIEW}/waits/state.yaml"
    review = desk.approved("waits", f'rm "{record}"; mkfifo "{record}"\n{ANSWER}')
    child = in_a_child_that_is_killed(lambda: desk.gate.run(review, timeout=0.3))
    wait_until((desk.job("waits").job_review_path / "state.yaml").is_fifo)
    time.sleep(0.6)  # more than the time that the job has
    assert os.waitpid(child, os.WNOHANG) == (0, 0), "it did not wait"
    os.kill(child, signal.SIGKILL)
    killed(child)
    assert desk.open().log.entries[-1]["event"] == "interrupted"
    assert "keep the owner waiting" in CANNOT_STOP[3]


def test_two_researchers_with_a_budget_each_spend_both(desk):
    desk.gate.release(desk.run("one", ANSWER, epsilon=1.0))
    desk.gate.release(desk.gate.run(desk.approved("two", ANSWER, by=desk.eve, epsilon=1.0)))
    assert sum(desk.gate.budget(who.email).spent.epsilon for who in (desk.rita, desk.eve)) == 2.0
    assert "have spent both" in CANNOT_STOP[4]
