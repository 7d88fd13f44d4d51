"""Each defence of the release gate, and what it is good for: what a job leaks without it, and not with it."""

from __future__ import annotations

import os
from contextlib import nullcontext

import pytest
from desk import ANSWER, EVERYBODY, GATE, PRIVATE, REVIEW, SECRET, SITE, jobs_in

from ppml_helpers.errors import DatasiteError, ReleaseRefused
from ppml_helpers.owner_in_control import silence

#: By defence: what the job does, and the files in which it arrives without that defence alone.
LEAKS = {
    "logs": (f"cat {PRIVATE}; cat {PRIVATE} >&2", ["stderr.txt", "stdout.txt"]),
    "stray_files": (
        f"cp {PRIVATE} code/rows.txt; cat {PRIVATE} >> code/script.sh\n"
        f'cp {PRIVATE} "{REVIEW}/JOB/beside.txt"\n'
        f"name=$(sed -n 2p {PRIVATE} | cut -d, -f1)\n"
        f'sed -i "s/review_reason: .*/review_reason: $name/" "{REVIEW}/JOB/state.yaml"',  # syft takes its words over
        ["beside.txt", "rows.txt", "script.sh", "state.yaml"],
    ),
    "datasite_diff": (
        f"mkdir -p {SITE}/public/new; cp {PRIVATE} {SITE}/public/new/rows.csv\n"
        f'echo "{EVERYBODY}" > {SITE}/public/new/syft.pub.yaml',
        ["rows.csv"],
    ),
}


@pytest.mark.parametrize("defence", LEAKS)
def test_a_leak_passes_without_its_defence_alone_and_not_with_it(desk, defence):
    script, ways = LEAKS[defence]
    refused = pytest.raises(ReleaseRefused, match=r"public/new/rows\.csv") if "public" in script else nullcontext()
    with refused:
        desk.gate.release(desk.run("leak", script.replace("JOB", "leak") + "\n" + ANSWER))
    assert desk.leaked() == []
    desk.weaken(**{defence: False})
    desk.gate.release(desk.run("leak2", script.replace("JOB", "leak2") + "\n" + ANSWER))
    assert desk.leaked() == ways


def test_the_exit_code_is_no_letter_box(desk):
    run = desk.run("code", "exit 51")
    assert (run.status, run.outputs) == ("failed", {})
    [state] = [text for path, text in desk.arrived().items() if path.endswith("code/state.yaml")]
    assert "return_code: 1\n" in state
    assert "completed_at: null" in state
    desk.weaken(logs=False).run("code2", "exit 51")
    assert "return_code: 51" in next(text for path, text in desk.arrived().items() if path.endswith("code2/state.yaml"))


def test_outputs_with_a_rule_of_their_own_reach_nobody(desk):
    script = f'cp {PRIVATE} code/outputs/rows.csv\necho "{EVERYBODY}" > code/outputs/syft.pub.yaml'
    with pytest.raises(ReleaseRefused, match="outside its own folders"):
        desk.run("rules", script)
    assert desk.leaked() == desk.leaked(desk.eve) == []
    desk.weaken(datasite_diff=False, stray_files=False).run("rules2", script)
    assert desk.leaked()  # before any release


def test_code_that_was_swapped_after_the_review(desk):
    review = desk.approved("swap", ANSWER)
    desk.swap(desk.script("swap"), f"mkdir -p code/outputs; cp {PRIVATE} code/outputs/answer.txt")
    with pytest.raises(ReleaseRefused, match=r"run\.sh was changed in job 'swap' after it was reviewed"):
        desk.gate.run(review)
    assert desk.spent() == 0
    desk.weaken(fingerprint=False)
    desk.gate.release(desk.gate.run(review))
    assert desk.leaked()


def test_a_run_script_that_does_not_start_the_code_that_is_shown(shared):
    script = shared.send_python("nice", "print(1)")
    shared.swap(script, script.read_text().replace("python nice.py", f"mkdir outputs; cp {PRIVATE} outputs/answer.txt"))
    with pytest.raises(ReleaseRefused, match=r"run script of 'nice' has the line 'mkdir outputs; cp"):
        shared.gate.review("nice")
    assert shared.open(run_script=False).review("nice").code == "print(1)"


def test_a_job_approved_earlier_does_not_run_along(desk):
    def both(gate, first, second):
        desk.send(first, f"cat {PRIVATE}")
        with silence():
            desk.job(first).approve()
        gate.release(desk.run(second, ANSWER))
        return desk.job(first).status

    assert both(desk.gate, "old", "new") == "approved"
    assert desk.leaked() == []
    desk.weaken(one_job=False)
    assert both(desk.gate, "old2", "new2") == "done"
    assert desk.leaked()


def test_a_job_approved_earlier_with_the_same_name(desk):
    desk.send("count", ANSWER, by=desk.eve)
    with silence():
        desk.job("count").approve()
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


def test_a_rule_is_a_rule_in_whatever_case(shared):
    with pytest.raises(ReleaseRefused, match=r"outputs/Syft\.PUB\.yaml, which is outside its own folders"):
        shared.run("case", f"{ANSWER}echo '{EVERYBODY}' > code/outputs/Syft.PUB.yaml")


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
