"""The ordinary way through the release gate, and what it refuses: `gate`, `runs`, `defences`, with real jobs."""

from __future__ import annotations

import os

import pytest
from desk import ANSWER, PRIVATE, REVIEW, SECRET

from ppml_helpers.errors import DatasiteError, PrivacyParameterError, ReleaseRefused
from ppml_helpers.owner_in_control import ReleaseGate, silence


def test_only_the_answer_arrives_and_it_is_paid(desk):
    run = desk.run("count", ANSWER, epsilon=0.4)
    assert (run.status, run.outputs, run.epsilon) == ("done", {"answer.txt": b"42\n"}, 0.4)
    assert not [path for path in desk.arrived() if "answer" in path]
    receipt = desk.gate.release(run)
    assert list(receipt.files) == ["answer.txt"]
    assert receipt.left.epsilon == pytest.approx(0.6)
    assert [text for path, text in desk.arrived().items() if "answer.txt" in path] == ["42\n"]
    assert desk.gate.held() == ()
    assert desk.told("count").status == "done"
    with pytest.raises(ReleaseRefused, match="not held any more"):
        desk.gate.release(run)
    assert desk.gate.log.verify().sound
    assert [line["event"] for line in desk.gate.log.entries][:5] == ["reviewed", "approved", "run", "ended", "released"]


def test_rejecting_costs_nothing_and_holds(desk):
    desk.send("count", ANSWER)
    desk.gate.reject("count", reason="no")
    with pytest.raises(ReleaseRefused, match="is rejected, so it is decided"):
        desk.gate.run("count")
    assert desk.spent() == 0
    assert (desk.told("count").status, desk.told("count").review_reason) == ("rejected", "no")


def test_a_yes_given_in_syft_can_be_withdrawn_at_the_gate(shared):
    shared.send("withdrawn", ANSWER)
    shared.yes_in_syft("withdrawn")
    shared.gate.reject("withdrawn", reason="second thoughts")
    assert shared.job("withdrawn").status == "rejected"
    with silence():
        shared.north.process_approved_jobs(stream_output=False)
    assert not (shared.job("withdrawn").job_review_path / "stdout.txt").exists()


def test_two_researchers_with_jobs_of_one_name(desk):
    desk.send("count", ANSWER)
    desk.send("count", ANSWER, by=desk.eve)
    for act in (desk.gate.review, desk.gate.run, desk.gate.reject):
        with pytest.raises(ReleaseRefused, match=r"There is no job 'nothing' from anybody, there is .*: sync first"):
            act("nothing")
        with pytest.raises(ReleaseRefused, match=r"2 researchers sent a job 'count': say whose with by="):
            act("count")
    review = desk.gate.review("count", desk.rita.email)
    desk.gate.approve(review, epsilon=0.1)
    with pytest.raises(ReleaseRefused, match="'count' was not approved at this gate"):
        desk.gate.run("count", by=desk.eve.email)  # a yes to one is no yes to the other
    assert desk.gate.run(review).by == desk.rita.email


def test_nothing_runs_unapproved_or_twice(desk):
    desk.send("count", ANSWER)
    desk.yes_in_syft("count")  # which is none of the gate's
    with pytest.raises(ReleaseRefused, match="was not approved at this gate"):
        desk.gate.run("count")
    review = desk.gate.review("count")
    desk.gate.approve(review, epsilon=0.1)
    run = desk.gate.run(review)
    for decide in (desk.gate.run, lambda again: desk.gate.approve(again, 0.1), desk.gate.reject):
        with pytest.raises(ReleaseRefused):
            decide(review)
    desk.gate.drop(run)
    assert desk.spent() == pytest.approx(0.1)


def test_what_is_no_epsilon_no_review_no_run_no_time_and_no_gate(shared):
    shared.send("wrong", ANSWER)
    gate, review = shared.gate, shared.gate.review("wrong")
    for epsilon, delta in ((None, 0.0), (0, 0.0), (0.1, 1.0)):
        with pytest.raises(ReleaseRefused, match=r"'wrong' is not approved: (epsilon|delta)"):
            gate.approve(review, epsilon=epsilon, delta=delta)
    with pytest.raises(ReleaseRefused, match="'wrong' is no review"):
        gate.approve("wrong", epsilon=0.1)
    for decide in (gate.release, gate.drop):
        with pytest.raises(ReleaseRefused, match="'wrong' is no run"):
            decide("wrong")
    with pytest.raises(DatasiteError, match="timeout = 0 must be a finite number above 0"):
        gate.run("wrong", timeout=0)
    with pytest.raises(DatasiteError, match="owns no data"):
        ReleaseGate(shared.rita)
    for wrong in ({"budgets": [1.0]}, {"defences": "off"}):
        with pytest.raises(DatasiteError, match="must be a dictionary of totals by email, and defences"):
            ReleaseGate(shared.north, **wrong)
    with pytest.raises(PrivacyParameterError):
        ReleaseGate(shared.north, budgets={"new@university.example": (1.0, 2.0)})


def test_asking_again_and_again_runs_out(desk):
    desk.gate.release(desk.run("first", ANSWER, epsilon=0.7))
    with pytest.raises(ReleaseRefused, match=r"'second' costs epsilon 0\.7, but 0\.3 of 1 is left"):
        desk.run("second", ANSWER, epsilon=0.7)
    desk.gate = desk.open()  # a restart gives nothing back
    with pytest.raises(ReleaseRefused, match="is left"):
        desk.gate.run("second")
    assert desk.weaken(budget=False).gate.run("second").status == "done"


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("fails", f"cp {PRIVATE} code/outputs/rows.csv; false"),
        ("slow", f"{ANSWER}sleep 600"),
        ("spoils", f'{ANSWER}echo "[" > "{REVIEW}/spoils/state.yaml"'),  # syft's record of it
    ],
)
def test_a_job_that_failed_costs_nothing_and_has_nothing_to_release(shared, name, script):
    before = shared.spent()
    run = shared.gate.run(shared.approved(name, script, epsilon=0.9), timeout=0.5 if name == "slow" else 60)
    assert (run.status, run.outputs) == ("failed", {})
    with pytest.raises(ReleaseRefused, match="has no result, it is failed"):
        shared.gate.release(run)
    assert shared.spent() == before
    assert shared.told(name).status == "failed"
    assert shared.leaked() == []


def test_a_job_does_not_see_the_owners_variables(shared, monkeypatch):
    monkeypatch.setenv("HOSPITAL_PASSWORD", SECRET)
    before = dict(os.environ)
    run = shared.run("environment", "env > code/outputs/answer.txt")
    assert SECRET.encode() not in run.outputs["answer.txt"]
    assert dict(os.environ) == before


def test_outputs_whose_names_are_no_text_are_taken_out(shared):
    """The one would stop every later sync, the other would write a line of its own into what the owner reads."""
    run = shared.run("names", ANSWER + "cd code/outputs; touch $'a\\xff' $'b\\n  9  released'\n")
    assert list(run.outputs) == ["answer.txt"]
    assert run.removed == ("outputs/a\\udcff", "outputs/b\\n  9  released")
    shared.gate.release(run)
    assert any(path.endswith("answer.txt") for path in shared.arrived())
    assert len(repr(shared.gate.log).splitlines()) == len(shared.gate.log.entries)


def test_a_result_that_was_changed_while_it_waited_is_not_released(shared):
    run = shared.run("changed", ANSWER)
    held = shared.gate._filing.place("changed", shared.rita.email)
    (held / "outputs" / "answer.txt").write_text(SECRET)
    with pytest.raises(ReleaseRefused, match="changed after they were looked at"):
        shared.gate.release(run)
    assert shared.leaked() == []
