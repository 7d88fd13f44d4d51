"""What a bash job tries behind the release gate, with each defence on and off; more ways are tried by the attacks."""

from __future__ import annotations

import os

import pytest
from desk import ANSWER, EVERYBODY, GATE, PRIVATE, REVIEW, SECRET, SITE, jobs_in

from ppml_helpers.errors import DatasiteError, ReleaseRefused


def test_strays_and_changes_in_its_own_folders_pass_without_their_defence_alone(desk):
    script = (
        f"cp {PRIVATE} code/rows.txt; cat {PRIVATE} >> code/script.sh\n"
        f'cp {PRIVATE} "{REVIEW}/JOB/beside.txt"\n'
        f"name=$(sed -n 2p {PRIVATE} | cut -d, -f1)\n"
        f'sed -i "s/review_reason: .*/review_reason: $name/" "{REVIEW}/JOB/state.yaml"\n'  # syft takes its words over
        f"cat {PRIVATE}; cat {PRIVATE} >&2\n{ANSWER}"
    )
    desk.gate.release(desk.run("leak", script.replace("JOB", "leak")))
    assert desk.leaked() == []
    desk.weaken(stray_files=False)
    desk.gate.release(desk.run("leak2", script.replace("JOB", "leak2")))
    assert desk.leaked() == ["beside.txt", "rows.txt", "script.sh", "state.yaml"]


def test_the_exit_code_is_no_letter_box(desk):
    run = desk.run("code", "exit 51")
    assert (run.status, run.outputs) == ("failed", {})
    [state] = [text for path, text in desk.arrived().items() if path.endswith("code/state.yaml")]
    assert "return_code: 1\n" in state
    assert "completed_at: null" in state
    desk.weaken(logs=False).run("code2", "exit 51")
    assert "return_code: 51" in next(text for path, text in desk.arrived().items() if path.endswith("code2/state.yaml"))


def test_outputs_with_a_rule_of_their_own_reach_nobody(desk):
    script = f'cp {PRIVATE} code/outputs/rows.csv\necho "{EVERYBODY}" > code/outputs/'
    for job, rule in (("rules", "syft.pub.yaml"), ("in-whatever-case", "Syft.PUB.yaml")):
        with pytest.raises(ReleaseRefused, match=f"outputs/{rule}, which is outside its own folders"):
            desk.run(job, script + rule)
    assert desk.leaked() == desk.leaked(desk.eve) == []
    desk.weaken(datasite_diff=False, stray_files=False).run("rules2", script + "syft.pub.yaml")
    assert desk.leaked()  # before any release


def test_a_run_script_that_was_swapped_after_the_review_costs_nothing(desk):
    review = desk.approved("swap", ANSWER)
    desk.swap("swap", f"mkdir -p code/outputs; cp {PRIVATE} code/outputs/answer.txt")
    with pytest.raises(ReleaseRefused, match=r"run\.sh was changed in job 'swap' after it was reviewed"):
        desk.gate.run(review)
    assert desk.spent() == 0


def test_a_job_approved_earlier_does_not_run_along(desk):
    def both(gate, first, second):
        desk.send(first, f"cat {PRIVATE}")
        desk.yes_in_syft(first)
        gate.release(desk.run(second, ANSWER))
        return desk.job(first).status

    assert both(desk.gate, "old", "new") == "approved"
    assert desk.leaked() == []
    desk.weaken(one_job=False)
    assert both(desk.gate, "old2", "new2") == "done"
    assert desk.leaked()


def test_a_job_approved_earlier_with_the_same_name(desk):
    desk.send("count", ANSWER, by=desk.eve)
    desk.yes_in_syft("count")
    review = desk.approved("count", ANSWER)
    with pytest.raises(ReleaseRefused, match=r"eve@university.example has an approved job 'count' too"):
        desk.gate.run(review)
    assert desk.spent() == 0


@pytest.mark.parametrize(
    "script",
    [
        f"cd {GATE}/records; sed -i s/epsilon/nothing/ audit.jsonl; echo > ledger.db; rm -r approvals",
        f"echo changed >> {PRIVATE}; ln -s {PRIVATE} {SITE}/public/link; mkfifo {SITE}/public/pipe",
        f"rm -r {SITE}/private; rm -r {SITE}/app_data/job/review; ln -s / {SITE}/app_data/job/review",
        f"rm {SITE}/syft.pub.yaml; echo '[' > {SITE}/public/syft.pub.yaml",  # no YAML: it would stop every later sync
    ],
    ids=["the gate's records", "data and links", "folders", "rules"],
)
def test_what_a_job_changes_elsewhere_is_put_back(desk, script):
    review = desk.approved("wild", script)
    before = desk.files()
    with pytest.raises(ReleaseRefused, match="outside its own folders"):
        desk.gate.run(review)
    after = desk.files()
    changed = {path.name for path in {*before, *after} if before.get(path) != after.get(path)}
    assert changed <= {"state.yaml", "syft.pub.yaml"}  # syft's record, and the rule that outputs are the owner's
    assert not list(desk.north.syftbox_folder.rglob("link"))
    assert desk.gate.log.verify().sound
    assert desk.spent() == 0
    assert desk.leaked() == []


def test_links_in_the_outputs_lead_nowhere(shared):
    outputs = f"{REVIEW}/links/outputs"
    script = f'rm -r code/outputs "{outputs}"; ln -s {SITE}/private/syft_datasets/patients "{outputs}"\n'
    run = shared.run("links", script)
    assert (run.outputs, run.removed) == ({}, ("outputs",))
    shared.gate.release(run)
    assert shared.leaked() == []
    assert any(SECRET.encode() in text for path, text in shared.files().items() if "private" in path.name)


def test_a_job_that_spoils_the_gates_copy_opens_nothing(desk):
    review = desk.approved("spoils", f"rm -r {GATE}/before; cp {PRIVATE} code/rows.txt; cat {PRIVATE}")
    for use in (lambda: desk.gate.run(review), desk.gate.sync, desk.gate.held, lambda: desk.gate.review("spoils")):
        with pytest.raises(
            DatasiteError, match=r"The gate's copy of .* was (changed|damaged) while a job ran: restore"
        ):
            use()
    assert desk.leaked(by_hand=True) == []


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="nothing is closed to root")
def test_a_job_that_closes_a_folder_hides_nothing(desk):
    review = desk.approved("closes", f"chmod 0 {SITE}/private")
    before = sorted(desk.north.syftbox_folder.rglob("*"))
    assert desk.gate.run(review).status == "done"
    assert sorted(path for path in desk.north.syftbox_folder.rglob("*") if path in before) == before


def test_what_a_job_leaves_running_is_ended(shared):
    later = f"(until [ -e go ]; do sleep 0.1; done; cp {PRIVATE} code/late.txt)"
    run = shared.run("late", f"{later} > /dev/null 2>&1 &\n{ANSWER}")
    assert run.status == "done"
    assert jobs_in(shared.north.syftbox_folder) == []
