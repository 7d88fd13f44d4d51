"""The ordinary way through the release gate, and what it refuses: `gate`, `runs`, `defences`, with real jobs."""

from __future__ import annotations

import os

import pytest
from desk import ANSWER, PRIVATE, SECRET, SITE

from ppml_helpers.errors import DatasiteError, PrivacyParameterError, ReleaseRefused, SandboxError
from ppml_helpers.owner_in_control import OutputRule, ReleaseGate, silence


def test_only_the_answer_arrives_and_it_is_paid(desk):
    run = desk.run("count", ANSWER, epsilon=0.4)
    assert (run.status, run.outputs, run.epsilon) == ("done", {"answer.txt": "42\n"}, 0.4)
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
    events = [line["event"] for line in desk.gate.log.entries if line["event"] not in ("budget", "refused")]
    assert events == ["reviewed", "approved", "run", "ended", "released"]


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
    with pytest.raises(SandboxError, match="seconds = 0 must be a finite number above 0"):
        gate.run("wrong", timeout=0)
    with pytest.raises(DatasiteError, match="owns no data"):
        ReleaseGate(shared.rita)
    for wrong in ({"budgets": [1.0]}, {"defences": "off"}, {"rule": 3}, {"limits": 60}):
        with pytest.raises(DatasiteError, match=r"must be a (Mapping|Defences|OutputRule|Limits): give one"):
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
    ("name", "script", "status", "why"),
    [
        ("fails", f"cp {PRIVATE} code/outputs/rows.csv; false", "failed", ""),
        ("slow", f"{ANSWER}sleep 600", "failed", "more seconds than its limit"),
        ("odd", "echo '[NaN]' > code/outputs/odd.json", "withheld", "nan is no number"),
        ("hides", "printf 'a\\u200bb' > code/outputs/odd.txt", "withheld", "characters that do not show"),
        ("pickle", "touch code/outputs/x.pkl", "withheld", "only .json, .csv, .txt leave"),
    ],
)
def test_what_failed_costs_nothing_and_what_may_not_leave_is_paid(shared, name, script, status, why):
    before = shared.spent()
    run = shared.gate.run(shared.approved(name, script, epsilon=0.9), timeout=1.5 if name == "slow" else 60)
    assert (run.status, run.outputs, why in run.why) == (status, {}, True)
    with pytest.raises(ReleaseRefused, match=f"has no result, it is {status}"):
        shared.gate.release(run)
    assert shared.spent() == pytest.approx(before + (0.9 if status == "withheld" else 0))
    assert shared.told(name).status == "failed"
    assert shared.leaked() == []


def test_the_owners_rule_is_kept_by_code_also_when_it_became_stricter_meanwhile(desk):
    script = """echo '{"patients": 4, "share": 0.123456}' > code/outputs/answer.json"""
    run = desk.run("lax", script)
    assert run.outputs == {"answer.json": '{"patients":4,"share":0.123456}\n'}
    desk.gate = ReleaseGate(desk.north, rule=OutputRule(digits=2, smallest=0))
    with pytest.raises(ReleaseRefused, match="has become stricter since 'lax' ran"):
        desk.gate.release(run)
    assert desk.run("rounded", script).outputs == {"answer.json": '{"patients":4,"share":0.12}\n'}
    desk.gate = ReleaseGate(desk.north, rule=OutputRule())
    run = desk.run("small", script)
    assert (run.status, "a cell of 4, and cells below 10" in run.why) == ("withheld", True)
    with pytest.raises(ReleaseRefused, match="it is withheld"):
        desk.gate.release(run)


def test_a_job_gets_the_data_and_gives_the_outputs_that_were_agreed(shared):
    shared.send(
        "agreed", f"ls {SITE}/private/syft_datasets > code/outputs/a.txt; cp code/outputs/a.txt code/outputs/b.txt"
    )
    review = shared.gate.review("agreed")
    with pytest.raises(ReleaseRefused, match="There is no data set 'others' here, there is patients"):
        shared.gate.approve(review, epsilon=0.1, data=["others"])
    shared.gate.approve(review, epsilon=0.1, data=["patients"], outputs=["a.txt"])
    run = shared.gate.run(review)
    assert (run.outputs, run.removed) == ({"a.txt": "patients\n"}, ("code/outputs/b.txt",))
    run = shared.run("unnamed", f"ls {SITE} > code/outputs/a.txt")  # names no data set, and gets none
    assert run.outputs == {"a.txt": "app_data\n"}


def test_a_job_does_not_see_the_owners_variables(shared, monkeypatch):
    monkeypatch.setenv("HOSPITAL_PASSWORD", SECRET)
    before = dict(os.environ)
    run = shared.run("environment", "env > code/outputs/answer.txt")
    assert "SYFT_IS_IN_JOB=true" in run.outputs["answer.txt"]
    assert SECRET not in run.outputs["answer.txt"]
    assert dict(os.environ) == before


def test_a_name_that_is_no_text_writes_no_line_into_what_the_owner_reads(shared):
    run = shared.run("names", ANSWER + "cd code/outputs; touch $'a\\xff' $'b\\n  9  released'\n")
    assert list(run.outputs) == ["answer.txt"]
    assert run.removed == ("code/outputs/a\\udcff", "code/outputs/b\\n  9  released")
    assert "removed: code/outputs/b\\n" in str(run)
    shared.gate.release(run)
    assert any(path.endswith("answer.txt") for path in shared.arrived())
    assert len(repr(shared.gate.log).splitlines()) == len(shared.gate.log.entries)


def test_a_result_that_was_changed_while_it_waited_is_not_released(shared):
    run = shared.run("changed", ANSWER)
    held = shared.gate.folder / "records" / "held" / f"{run.id}.json"
    held.write_text(held.read_text().replace('.txt": "42', f'.txt": "{SECRET}'))
    with pytest.raises(ReleaseRefused, match="changed after they were looked at"):
        shared.gate.release(run)
    assert shared.leaked() == []
