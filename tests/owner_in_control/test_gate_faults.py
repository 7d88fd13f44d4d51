"""The release gate around real jobs of real syft clients: what it holds back, what it survives, what it cannot stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property

import pandas as pd
import psutil
import pytest

from ppml_helpers.errors import DatasiteError, PrivacyParameterError, ReleaseRefused
from ppml_helpers.owner_in_control import Network, closed_room, ledger, runner
from ppml_helpers.owner_in_control.gate import CANNOT_STOP, Defences, ReleaseGate
from ppml_helpers.owner_in_control.people import make_client, silence

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="syft cannot be imported on Windows")

SECRET = "Zebedee"  # a name that no file of the researcher may ever hold
PRIVATE = "$SYFTBOX_FOLDER/$SYFTBOX_EMAIL/private/syft_datasets/patients/patients_private.csv"
SITE = "$SYFTBOX_FOLDER/$SYFTBOX_EMAIL"
GATE = "$SYFTBOX_FOLDER/../SyftBox-gate"
EVERYBODY = "rules: [{pattern: '**', access: {read: ['*'], write: [], admin: []}}]"
ANSWER = "echo 42 > code/outputs/answer.txt\n"


class Desk:
    """A hospital, two researchers, and a gate."""

    def __init__(self, network, defences=None, total=1.0):
        with silence():
            self.network = network
            self.north, self.rita = network.hospital("north"), network.researcher("rita")
            network.pair()
            private = pd.DataFrame({"name": [SECRET, "Yolanda"], "age": [51, 62]})
            network.publish(self.north, "patients", private=private, mock=private.assign(name="X", age=1))
        self.total = total
        self.gate = self.open(defences)

    @cached_property
    def eve(self):
        """A second researcher, for those tests that need one."""
        with silence():
            eve = self.network.researcher("eve")
            self.network.pair(eve, self.north)
        return eve

    def open(self, defences=None):
        budgets = {f"{name}@university.example": self.total for name in ("rita", "eve")}
        return ReleaseGate(self.north, budgets=budgets, defences=defences)

    def send(self, name, script, by=None):
        sender = by or self.rita
        with silence():
            sender.submit_bash_job(self.north.email, f"set -e\nmkdir -p code/outputs\n{script}", name)
        self.gate.sync()

    def approved(self, name, script, by=None, epsilon=0.1):
        self.send(name, script, by)
        review = self.gate.review(name, (by or self.rita).email)
        self.gate.approve(review, epsilon=epsilon)
        return review

    def run(self, name, script, epsilon=0.1):
        return self.gate.run(self.approved(name, script, epsilon=epsilon))

    def arrived(self, who=None):
        """Everything of north's on a researcher's disk after a sync of both, by file name."""
        who = who or self.rita
        with silence():
            self.gate.sync()
            who.sync()
        files = [path for path in (who.syftbox_folder / self.north.email).rglob("*") if path.is_file()]
        return {str(path.relative_to(who.syftbox_folder)): path.read_text() for path in files}

    def leaked(self, who=None):
        return [path for path, text in self.arrived(who).items() if SECRET in text]


@pytest.fixture
def desk(tmp_path):
    with Network(folder=tmp_path) as network:
        yield Desk(network)


@pytest.fixture(scope="module")
def waiting(tmp_path_factory):
    """A desk with a job that waits, for tests that change nothing."""
    with Network(folder=tmp_path_factory.mktemp("network")) as network:
        desk = Desk(network)
        desk.send("count", ANSWER)
        yield desk


def weak(desk, **switches):
    desk.gate = desk.open(replace(Defences(), **switches))
    return desk


# ------------------------------------------------------------------------------------------------- the ordinary way


def test_only_the_answer_arrives_and_it_is_paid(desk):
    run = desk.run("count", ANSWER, epsilon=0.4)
    assert (run.status, run.outputs, run.epsilon) == ("done", {"answer.txt": b"42\n"}, 0.4)
    assert not [path for path in desk.arrived() if "answer" in path]
    receipt = desk.gate.release(run)
    assert list(receipt.files) == ["answer.txt"]
    assert receipt.left.epsilon == pytest.approx(0.6)
    assert [text for path, text in desk.arrived().items() if "answer.txt" in path] == ["42\n"]
    assert desk.gate.held() == ()
    with silence():
        assert desk.rita.jobs["count"].status == "done"
    with pytest.raises(ReleaseRefused, match="not held any more"):
        desk.gate.release(run)
    assert desk.gate.log.verify().sound
    assert [line["event"] for line in desk.gate.log.entries][:5] == ["reviewed", "approved", "run", "ended", "released"]


def test_a_python_job_with_syft_in_it(desk):
    code = (
        "import json, pandas as pd, syft as sy\n"
        "patients = pd.read_csv(sy.resolve_dataset_file_path('patients'))\n"
        "print(patients)\n"
        "json.dump({'rows': len(patients)}, open('outputs/result.json', 'w'))\n"
    )
    with silence():
        desk.rita.submit_python_job(
            desk.north.email, str(desk.network.write(desk.rita, "rows.py", code)), job_name="rows"
        )
    desk.gate.sync()
    review = desk.gate.review("rows")
    assert "python rows.py" in str(review)
    assert "pd.read_csv" in str(review)
    desk.gate.approve(review, epsilon=0.5)
    run = desk.gate.run(review)
    assert run.outputs == {"result.json": b'{"rows": 2}'}
    assert run.removed == ()  # the environment that syft makes is nobody's concern
    assert SECRET in run.logs["stdout.txt"]
    desk.gate.release(run)
    assert desk.leaked() == []


def test_rejecting_costs_nothing_and_holds(desk):
    desk.send("count", ANSWER)
    desk.gate.reject("count", reason="no")
    with pytest.raises(ReleaseRefused, match="is rejected, so it is decided"):
        desk.gate.run("count")
    assert desk.gate.budget(desk.rita.email).spent.epsilon == 0
    desk.arrived()
    with silence():
        assert (desk.rita.jobs["count"].status, desk.rita.jobs["count"].review_reason) == ("rejected", "no")


def test_a_yes_given_in_syft_can_be_withdrawn_at_the_gate(desk):
    desk.send("count", ANSWER)
    with silence():
        desk.north.job_client.jobs["count"].approve()
    desk.gate.reject("count", reason="second thoughts")
    with silence():
        assert desk.north.job_client.jobs["count"].status == "rejected"
        desk.north.process_approved_jobs(stream_output=False)
    assert not (desk.north.job_client.jobs["count"].job_review_path / "stdout.txt").exists()


@pytest.mark.parametrize("act", ["review", "run", "reject"])
def test_a_job_that_is_not_there(waiting, act):
    with pytest.raises(ReleaseRefused, match=r"There is no job 'nothing' from anybody, there is count: sync first"):
        getattr(waiting.gate, act)("nothing")


def test_two_researchers_with_jobs_of_one_name(desk):
    desk.send("count", ANSWER)
    desk.send("count", ANSWER, by=desk.eve)
    with pytest.raises(ReleaseRefused, match=r"2 researchers sent a job 'count': say whose with by="):
        desk.gate.review("count")
    review = desk.gate.review("count", desk.rita.email)
    desk.gate.approve(review, epsilon=0.1)
    with pytest.raises(ReleaseRefused, match="'count' was not approved at this gate"):
        desk.gate.run("count", by=desk.eve.email)  # a yes to one is no yes to the other
    assert desk.gate.run(review).by == desk.rita.email


def test_nothing_runs_unapproved_or_twice(desk):
    desk.send("count", ANSWER)
    with pytest.raises(ReleaseRefused, match="was not approved at this gate"):
        desk.gate.run("count")
    with silence():
        desk.north.job_client.jobs["count"].approve()  # syft's yes is none of the gate's
    with pytest.raises(ReleaseRefused, match="was not approved at this gate"):
        desk.gate.run("count")
    review = desk.gate.review("count")
    desk.gate.approve(review, epsilon=0.1)
    run = desk.gate.run(review)
    for decide in (
        lambda: desk.gate.run(review),
        lambda: desk.gate.approve(review, 0.1),
        lambda: desk.gate.reject(review),
    ):
        with pytest.raises(ReleaseRefused):
            decide()
    desk.gate.drop(run)
    assert desk.gate.budget(desk.rita.email).spent.epsilon == pytest.approx(0.1)


def test_an_approval_needs_an_epsilon(waiting):
    review = waiting.gate.review("count")
    for epsilon in (None, 0, -1, True, "1", float("inf"), float("nan")):
        with pytest.raises(ReleaseRefused, match=r"'count' is not approved: epsilon is"):
            waiting.gate.approve(review, epsilon=epsilon)
    for delta in (-1e-6, 1.0, float("nan")):
        with pytest.raises(ReleaseRefused, match=r"'count' is not approved: delta is"):
            waiting.gate.approve(review, epsilon=0.1, delta=delta)
    with pytest.raises(ReleaseRefused, match="not approved at this gate"):
        waiting.gate.run("count")


def test_names_are_neither_reviews_nor_runs(waiting):
    with pytest.raises(ReleaseRefused, match="'count' is no review"):
        waiting.gate.approve("count", epsilon=0.1)
    for decide in (waiting.gate.release, waiting.gate.drop):
        with pytest.raises(ReleaseRefused, match="'count' is no run"):
            decide("count")
    for timeout in (0, -1, None, float("nan")):
        with pytest.raises(DatasiteError, match="it is a number of seconds above 0"):
            waiting.gate.run("count", timeout=timeout)


@pytest.mark.parametrize("total", [0, -1.0, "1", (1.0,), (1.0, 2.0), [1.0, 0.0]])
def test_a_total_that_is_none(waiting, total):
    with pytest.raises(PrivacyParameterError):
        ReleaseGate(waiting.north, budgets={"new@university.example": total})


def test_a_researcher_or_a_stranger_has_no_gate(waiting):
    with pytest.raises(DatasiteError, match="owns no data"):
        ReleaseGate(waiting.rita)
    with pytest.raises(DatasiteError, match="owns no data"):
        ReleaseGate(None)
    for wrong in ({"budgets": [1.0]}, {"defences": "off"}):
        with pytest.raises(DatasiteError, match="must be a dictionary of totals by email, and defences"):
            ReleaseGate(waiting.north, **wrong)


# ----------------------------------------------------------------------------- each defence, and what it is good for

REVIEW = f"{SITE}/app_data/job/review/rita@university.example/v1"

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
    weak(desk, **{defence: False})
    desk.gate.release(desk.run("leak2", script.replace("JOB", "leak2") + "\n" + ANSWER))
    assert sorted(path.rpartition("/")[2] for path in desk.leaked()) == ways


def test_the_exit_code_is_no_letter_box(desk):
    run = desk.run("code", "exit 51")
    assert (run.status, run.outputs) == ("failed", {})
    [state] = [text for path, text in desk.arrived().items() if path.endswith("code/state.yaml")]
    assert "return_code: 1\n" in state
    assert "completed_at: null" in state
    weak(desk, logs=False).run("code2", "exit 51")
    assert "return_code: 51" in next(text for path, text in desk.arrived().items() if path.endswith("code2/state.yaml"))


def test_outputs_with_a_rule_of_their_own_reach_nobody(desk):
    script = f'cp {PRIVATE} code/outputs/rows.csv\necho "{EVERYBODY}" > code/outputs/syft.pub.yaml'
    with pytest.raises(ReleaseRefused, match="outside its own folders"):
        desk.run("rules", script)
    assert desk.leaked() == desk.leaked(desk.eve) == []
    weak(desk, datasite_diff=False, stray_files=False).run("rules2", script)
    assert desk.leaked()  # before any release


def test_code_that_was_swapped_after_the_review(desk):
    review = desk.approved("swap", ANSWER)
    path = desk.rita.syftbox_folder / desk.north.email
    [script] = path.rglob("swap/run.sh")
    script.write_text(f"mkdir -p code/outputs; cp {PRIVATE} code/outputs/answer.txt")
    with silence():
        desk.rita.sync_engine.push_job_files(script.parent)
    desk.gate.sync()
    with pytest.raises(ReleaseRefused, match=r"run\.sh was changed in job 'swap' after it was reviewed"):
        desk.gate.run(review)
    assert desk.gate.budget(desk.rita.email).spent.epsilon == 0
    weak(desk, fingerprint=False)
    desk.gate.release(desk.gate.run(review))
    assert desk.leaked()


def test_a_run_script_that_does_not_start_the_code_that_is_shown(desk):
    with silence():
        desk.rita.submit_python_job(
            desk.north.email, str(desk.network.write(desk.rita, "nice.py", "print(1)")), job_name="nice"
        )
        [script] = (desk.rita.syftbox_folder / desk.north.email).rglob("nice/run.sh")
        script.write_text(
            script.read_text().replace("python nice.py", f"mkdir outputs; cp {PRIVATE} outputs/answer.txt")
        )
        desk.rita.sync_engine.push_job_files(script.parent)
    desk.gate.sync()
    with pytest.raises(ReleaseRefused, match=r"run script of 'nice' has the line 'mkdir outputs; cp"):
        desk.gate.review("nice")
    assert weak(desk, run_script=False).gate.review("nice").code == "print(1)"


def test_a_job_approved_earlier_does_not_run_along(desk):
    def both(gate, first, second):
        desk.send(first, f"cat {PRIVATE}")
        with silence():
            desk.north.job_client.jobs[first].approve()
        gate.release(desk.run(second, ANSWER))
        with silence():
            return desk.north.job_client.jobs[first].status

    assert both(desk.gate, "old", "new") == "approved"
    assert desk.leaked() == []
    weak(desk, one_job=False)
    assert both(desk.gate, "old2", "new2") == "done"
    assert desk.leaked()


def test_a_job_approved_earlier_with_the_same_name(desk):
    desk.send("count", ANSWER, by=desk.eve)
    with silence():
        desk.north.job_client.jobs["count"].approve()
    review = desk.approved("count", ANSWER)
    with pytest.raises(ReleaseRefused, match=r"eve@university.example has an approved job 'count' too"):
        desk.gate.run(review)
    assert desk.gate.budget(desk.rita.email).spent.epsilon == 0


def test_asking_again_and_again_runs_out(desk):
    desk.gate.release(desk.run("first", ANSWER, epsilon=0.7))
    with pytest.raises(ReleaseRefused, match=r"'second' costs epsilon 0\.7, but 0\.3 of 1 is left"):
        desk.run("second", ANSWER, epsilon=0.7)
    desk.gate = desk.open()  # a restart gives nothing back
    with pytest.raises(ReleaseRefused, match="is left"):
        desk.gate.run("second")
    assert weak(desk, budget=False).gate.run("second").status == "done"


def test_a_failed_job_costs_nothing_and_has_nothing_to_release(desk):
    run = desk.run("fails", f"cp {PRIVATE} code/outputs/rows.csv; false", epsilon=0.9)
    assert (run.status, run.outputs) == ("failed", {})
    with pytest.raises(ReleaseRefused, match="has no result, it is failed"):
        desk.gate.release(run)
    assert desk.gate.budget(desk.rita.email).spent.epsilon == 0
    assert desk.leaked() == []


def test_a_job_that_takes_too_long_is_ended(desk):
    start = time.monotonic()
    run = desk.gate.run(desk.approved("slow", f"sleep 60; {ANSWER}"), timeout=1)
    assert run.status == "failed"
    assert time.monotonic() - start < 20


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
    before = {path: path.read_bytes() for path in desk.north.syftbox_folder.rglob("*") if path.is_file()}
    spent = desk.gate.budget(desk.rita.email).spent
    with pytest.raises(ReleaseRefused, match="outside its own folders"):
        desk.gate.run(review)
    after = {path: path.read_bytes() for path in desk.north.syftbox_folder.rglob("*") if path.is_file()}
    changed = {path.name for path in {*before, *after} if before.get(path) != after.get(path)}
    assert changed <= {"state.yaml", "syft.pub.yaml"}  # syft's record, and the rule that outputs are the owner's
    assert not list(desk.north.syftbox_folder.rglob("link"))
    assert desk.gate.log.verify().sound
    assert desk.gate.budget(desk.rita.email).spent == spent
    assert desk.leaked() == []


def test_outputs_whose_names_are_no_text_are_taken_out(desk):
    """The one would stop every later sync, the other would write a line of its own into what the owner reads."""
    run = desk.run("names", ANSWER + "cd code/outputs; touch $'a\\xff' $'b\\n  9  released'\n")
    assert list(run.outputs) == ["answer.txt"]
    assert run.removed == ("outputs/a\\udcff", "outputs/b\\n  9  released")
    desk.gate.release(run)
    assert any(path.endswith("answer.txt") for path in desk.arrived())
    assert len(repr(desk.gate.log).splitlines()) == len(desk.gate.log)


def test_a_rule_is_a_rule_in_whatever_case(desk):
    with pytest.raises(ReleaseRefused, match=r"outputs/Syft\.PUB\.yaml, which is outside its own folders"):
        desk.run("case", f"{ANSWER}echo '{EVERYBODY}' > code/outputs/Syft.PUB.yaml")


def test_links_in_the_outputs_lead_nowhere(desk):
    outputs = f"{REVIEW}/links/outputs"
    script = f'rm -r code/outputs "{outputs}"; ln -s {SITE}/private/syft_datasets/patients "{outputs}"\n'
    run = desk.run("links", script)
    assert (run.outputs, run.removed) == ({}, ("outputs",))
    desk.gate.release(run)
    assert desk.leaked() == []
    [private] = desk.north.syftbox_folder.rglob("patients_private.csv")
    assert SECRET in private.read_text()


def test_a_job_that_spoils_syfts_record_has_failed(desk):
    run = desk.run("spoils", f'{ANSWER}echo "[" > "{REVIEW}/spoils/state.yaml"', epsilon=0.9)
    assert (run.status, run.outputs) == ("failed", {})
    desk.arrived()
    with silence():
        assert desk.rita.jobs["spoils"].status == "failed"


def test_a_job_that_spoils_the_gates_copy_opens_nothing(desk):
    review = desk.approved("spoils", f"rm -r {GATE}/before; cp {PRIVATE} code/rows.txt; cat {PRIVATE}")
    for use in (lambda: desk.gate.run(review), desk.gate.sync, desk.gate.held, lambda: desk.gate.review("spoils")):
        with pytest.raises(
            DatasiteError, match=r"The gate's copy of .* was (changed|damaged) while a job ran: restore"
        ):
            use()
    with silence():
        desk.north.sync()
        desk.rita.sync()
    assert not list(desk.rita.syftbox_folder.rglob("rows.txt"))


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="nothing is closed to root")
def test_a_job_that_closes_a_folder_hides_nothing(desk):
    review = desk.approved("closes", f"chmod 0 {SITE}/private")
    before = sorted(desk.north.syftbox_folder.rglob("*"))
    assert desk.gate.run(review).status == "done"
    assert sorted(path for path in desk.north.syftbox_folder.rglob("*") if path in before) == before


def test_what_a_job_leaves_running_is_ended(desk):
    script = f"(sleep 2; cp {PRIVATE} code/late.txt) > /dev/null 2>&1 &\n{ANSWER}"
    desk.run("late", script)
    time.sleep(2.5)
    assert not list(desk.north.syftbox_folder.rglob("late.txt"))


def test_a_job_does_not_see_the_owners_variables(desk, monkeypatch):
    monkeypatch.setenv("HOSPITAL_PASSWORD", SECRET)
    run = desk.run("environment", "env > code/outputs/answer.txt")
    assert SECRET.encode() not in run.outputs["answer.txt"]
    assert os.environ["HOSPITAL_PASSWORD"] == SECRET


# -------------------------------------------------------------------------------------------------------- messages


def forged(desk, path, content):
    """Eve's message that says it is Rita's."""
    from syft.sync.messages.proposed_filechange import ProposedFileChange, ProposedFileChangesMessage

    change = ProposedFileChange(path_in_datasite=path, content=content, datasite_email=desk.north.email)
    message = ProposedFileChangesMessage(sender_email=desk.rita.email, proposed_file_changes=[change])
    router = desk.eve.peer_manager.connection_router
    router.watcher_send_proposed_file_changes_message(desk.north.email, message)


def test_a_file_planted_in_a_colleagues_job(desk):
    desk.send("count", ANSWER)
    job = desk.north.job_client.jobs["count"].job_submission_path
    planted = (job / "code" / "sitecustomize.py").relative_to(desk.north.syftbox_folder / desk.north.email)
    forged(desk, planted, "print('planted')")
    [aside] = desk.gate.sync()
    assert aside.sender == desk.eve.email
    assert "names rita@university.example as its sender" in aside.why
    assert not (job / "code" / "sitecustomize.py").exists()
    assert desk.gate.log.entries[-1]["event"] == "set aside"
    weak(desk, sender_check=False)
    forged(desk, planted, "print('planted')")
    assert desk.gate.sync() == ()
    assert desk.gate.review("count").unlisted == ("sitecustomize.py",)
    assert "not in the sender's list of files" in str(desk.gate.review("count"))


@pytest.mark.parametrize("data", [b"", b"no message", b"\x1f\x8b" + bytes(50)])
def test_a_damaged_message_does_not_stop_the_others(desk, data):
    folder = desk.network.connection(desk.eve)
    folder.watcher_send_raw_bytes_to_inbox(desk.north.email, f"msgv2_{time.time()}_x.tar.gz", data)
    with silence():
        desk.rita.submit_bash_job(desk.north.email, ANSWER, "count")
    with pytest.raises(DatasiteError, match="cannot sync"):
        weak(desk, quarantine=False).gate.sync()
    [aside] = desk.open().sync()
    assert (aside.sender, "cannot be read" in aside.why) == (desk.eve.email, True)
    assert (desk.gate.folder / "quarantine" / aside.sender / aside.file).read_bytes() == data
    assert desk.gate.review("count").by == desk.rita.email
    assert desk.gate.sync() == ()


def test_a_message_that_is_out_of_date_does_not_stop_the_others(desk):
    from syft.sync.messages.proposed_filechange import ProposedFileChange, ProposedFileChangesMessage

    desk.send("count", ANSWER)
    job = desk.north.job_client.jobs["count"].job_submission_path.relative_to(
        desk.north.syftbox_folder / desk.north.email
    )
    for path in (job / "run.sh", job / "code"):  # changed since, and not a file at all
        change = ProposedFileChange(path_in_datasite=path, content="x", datasite_email=desk.north.email)
        message = ProposedFileChangesMessage(sender_email=desk.rita.email, proposed_file_changes=[change])
        router = desk.rita.peer_manager.connection_router
        router.watcher_send_proposed_file_changes_message(desk.north.email, message)
    desk.eve.submit_bash_job(desk.north.email, ANSWER, "later")
    with pytest.raises(DatasiteError, match="cannot sync"):
        weak(desk, quarantine=False).gate.sync()
    aside = desk.open().sync()
    assert {found.sender for found in aside} == {desk.rita.email}
    assert len(aside) == 2
    assert desk.gate.review("later").by == desk.eve.email


def propose(desk, path, content="x", old=None):
    """Rita's own message about any path in the datasite: new contents, in place of old ones or of nothing."""
    from syft.sync.messages.proposed_filechange import ProposedFileChange, ProposedFileChangesMessage
    from syft.sync.utils.syftbox_utils import get_event_hash_from_content

    before = None if old is None else get_event_hash_from_content(old)
    change = ProposedFileChange(
        path_in_datasite=path, content=content, old_hash=before, datasite_email=desk.north.email
    )
    message = ProposedFileChangesMessage(sender_email=desk.rita.email, proposed_file_changes=[change])
    router = desk.rita.peer_manager.connection_router
    router.watcher_send_proposed_file_changes_message(desk.north.email, message)


INBOX = "app_data/job/inbox/rita@university.example/v1"


@pytest.mark.parametrize(
    "path", [f"{INBOX}/{'a' * 300}", f"{INBOX}/a\0b", f"{INBOX}/a\rb", "/elsewhere", f"{INBOX}/../../x"]
)
def test_a_name_that_no_file_can_have_does_not_stop_the_others(desk, path):
    propose(desk, path)
    desk.send("count", ANSWER)
    assert desk.gate.review("count").by == desk.rita.email
    assert "names a file as no file can be named" in desk.gate.log.entries[-2]["details"]["why"]


def test_a_message_that_arrives_during_the_sync_is_looked_at_as_well(desk, monkeypatch):
    desk.send("count", ANSWER)
    job = desk.north.job_client.jobs["count"].job_submission_path
    site = desk.north.syftbox_folder / desk.north.email
    inbox = type(desk.network.connection(desk.eve))
    honest = inbox.waiting

    def waiting(connection, sender):
        found = honest(connection, sender)
        if sender == desk.eve.email and not found and not (desk.gate.folder / "quarantine").exists():
            forged(desk, (job / "code" / "x.py").relative_to(site), "x")
        return honest(connection, sender)

    monkeypatch.setattr(inbox, "waiting", waiting)
    [aside] = desk.gate.sync()
    assert aside.sender == desk.eve.email
    assert not (job / "code" / "x.py").exists()


def test_a_message_that_arrives_while_the_job_runs_waits(desk):
    review = desk.approved("count", f"touch code/started; sleep 1\n{ANSWER}")
    job = desk.north.job_client.jobs["count"].job_submission_path

    def late():
        while not (job / "code" / "started").exists():
            time.sleep(0.02)
        propose(desk, f"{INBOX}/count/code/late.txt")

    sender = threading.Thread(target=late)
    sender.start()
    run = desk.gate.run(review)
    sender.join()
    assert (run.status, run.removed) == ("done", ("code/started",))
    assert len(desk.network.waiting(desk.north)) == 1


def test_code_where_no_review_shows_it_is_refused(desk):
    """The line `cd code` with a carriage return starts what lies in a folder of that name."""
    with silence():
        desk.rita.submit_python_job(
            desk.north.email, str(desk.network.write(desk.rita, "nice.py", "print(1)")), job_name="nice"
        )
    [script] = (desk.rita.syftbox_folder / desk.north.email).rglob("nice/run.sh")
    written = script.read_bytes()
    propose(desk, f"{INBOX}/nice/run.sh", written.replace(b"cd code\n", b"cd code\r\n"), written)
    assert desk.gate.sync() == ()
    with pytest.raises(ReleaseRefused, match=r"has the line 'cd code.+r', which is none that syft writes"):
        desk.gate.review("nice")
    propose(desk, f"{INBOX}/nice/more/nice.py")
    desk.gate.sync()
    with pytest.raises(ReleaseRefused, match=r"has the file 'more/nice\.py' beside its code"):
        desk.gate.review("nice")


def test_code_that_is_no_text_and_a_job_in_two_layouts_have_a_sentence(desk):
    desk.send("count", ANSWER)
    propose(desk, f"{INBOX}/count/code/x.py", b"\xff\xfe")
    desk.gate.sync()
    assert desk.gate.review("count").files["x.py"].startswith("<2 bytes that are no text")
    job = desk.north.job_client.jobs["count"].job_submission_path
    propose(desk, f"{INBOX}/count/config.yaml".replace("/v1", ""), (job / "config.yaml").read_text())
    desk.gate.sync()
    with pytest.raises(ReleaseRefused, match="sent two jobs 'count', in an older and a newer layout"):
        desk.gate.review("count")


def test_messages_are_screened_with_encryption_on(tmp_path):
    with Network(folder=tmp_path, encryption=True) as network:
        desk = Desk(network)
        desk.send("count", ANSWER)
        job = desk.north.job_client.jobs["count"].job_submission_path
        forged(desk, (job / "x.py").relative_to(desk.north.syftbox_folder / desk.north.email), "x")
        desk.network.connection(desk.eve).watcher_send_raw_bytes_to_inbox(
            desk.north.email, f"msgv2_{time.time()}_x.tar.gz", b"SYC1 but nothing else"
        )
        assert sorted(found.why.partition(" ")[0] for found in desk.gate.sync()) == ["cannot", "names"]
        desk.gate.release(desk.gate.run(desk.approved("more", ANSWER)))
        assert any(path.endswith("answer.txt") for path in desk.arrived())


# --------------------------------------------------------------------------------------------------------- crashes


def in_a_child_that_is_killed(work):
    """Do `work` in a copy of this program, which kills itself or is killed by the work."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(7)  # the work did not end this program
    return child


def killed(child):
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the child ended by itself: {os.waitstatus_to_exitcode(status)}"


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def dying_after(step):
    """Make one step of the gate the last thing that this program does."""
    owner, name = {
        "reserve": (ledger.Ledger, "reserve"),
        "close": (closed_room.ClosedRoom, "close"),
        "start": (runner, "start"),
        "hold": (closed_room.ClosedRoom, "hold"),
        "settle": (ledger.Ledger, "settle"),
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
    with silence():
        assert desk.rita.jobs["count"].status == "done"


def test_killed_while_the_job_runs(desk):
    review = desk.approved("long", f"cat {PRIVATE}; cp {PRIVATE} code/rows.txt; sleep 300\n", epsilon=0.6)
    child = in_a_child_that_is_killed(lambda: desk.gate.run(review))
    job = desk.north.job_client.jobs["long"].job_submission_path
    while not (job / "code" / "rows.txt").exists():
        time.sleep(0.05)
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
    box = str(desk.north.syftbox_folder)
    alive = [
        process for process in psutil.process_iter() if "sleep" in process.name() and box in str(_environ(process))
    ]
    assert alive == []
    assert desk.leaked() == []


def test_stopped_by_the_owner_while_the_job_runs(desk):
    review = desk.approved("long", f"cp {PRIVATE} code/rows.txt; sleep 300\n", epsilon=0.6)
    job = desk.north.job_client.jobs["long"].job_submission_path
    before = dict(os.environ)

    def press():
        while not (job / "code" / "rows.txt").exists():
            time.sleep(0.02)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        desk.gate.run(review)
    presser.join()
    assert dict(os.environ) == before
    assert not (job / "code" / "rows.txt").exists()
    assert desk.gate.log.entries[-1]["event"] == "interrupted"
    assert desk.gate.budget(desk.rita.email).spent.epsilon == 0
    assert desk.leaked() == []


def _environ(process):
    try:
        return process.environ()
    except psutil.Error:
        return {}


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
    assert desk.gate.budget(desk.rita.email).spent.epsilon == pytest.approx(0.6)


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
    assert desk.gate.budget(desk.rita.email).spent.epsilon == pytest.approx(0.8)
    assert desk.gate.log.verify().sound


def test_a_result_that_was_changed_while_it_waited_is_not_released(desk):
    run = desk.run("count", ANSWER)
    held = desk.gate._filing.place("count", desk.rita.email)
    (held / "outputs" / "answer.txt").write_text(SECRET)
    with pytest.raises(ReleaseRefused, match="changed after they were looked at"):
        desk.gate.release(run)
    assert desk.leaked() == []


# ------------------------------------------------------------------------------------------- what no gate can stop


def test_an_answer_that_looks_right_hides_a_patient(desk):
    """The last digits of a plausible mean are the age of the first patient."""
    script = f"age=$(sed -n 2p {PRIVATE} | cut -d, -f2)\necho 56.5000$age > code/outputs/answer.txt\n"
    desk.gate.release(desk.run("mean", script))
    assert [text for path, text in desk.arrived().items() if path.endswith("answer.txt")] == ["56.500051\n"]
    assert "hide a patient in an answer" in CANNOT_STOP[0]


def test_how_long_an_answer_takes_tells_something(desk):
    """An owner who releases as soon as the job ends shows how long it ran."""

    took = {}
    for name, needle in (("there", SECRET), ("absent", "Nobody")):
        review = desk.approved(name, f"if grep -q {needle} {PRIVATE}; then sleep 3; fi\n{ANSWER}")
        start = time.monotonic()
        desk.gate.release(desk.gate.run(review))
        took[name] = time.monotonic() - start
    assert took["there"] > 3
    assert "how long the job ran" in CANNOT_STOP[1]


def test_a_failure_is_one_bit_for_nothing(desk):
    for name, needle in (("there", SECRET), ("absent", "Nobody")):
        desk.run(name, f"grep -q {needle} {PRIVATE}\n{ANSWER}", epsilon=0.1)
    desk.arrived()
    with silence():
        told = {job.name: job.status for job in desk.rita.jobs}
    assert told == {"there": "done", "absent": "failed"}
    assert "failed is one bit" in CANNOT_STOP[2]


def test_approved_code_writes_outside_the_syftbox(desk):
    elsewhere = desk.network.shared / "rows.csv"
    desk.gate.release(desk.run("elsewhere", f"cp {PRIVATE} {elsewhere}\n{ANSWER}"))
    assert SECRET in elsewhere.read_text()
    assert "outside the SyftBox" in CANNOT_STOP[3]  # and to the network: the attack "calls home"


def test_a_program_that_hides_outlives_its_job(desk):
    """The gate knows a job's programs by their environment, which a program can throw away."""
    # It tries until the network is closed, and not for ever.
    again = 'for i in $(seq 90); do sleep 0.3; [ -d "$PLACE" ] || exit; cp "$TABLE" "$PLACE/late.txt"; done'
    hide = f'env -i PATH="$PATH" TABLE="{PRIVATE}" PLACE="$PWD/code" sh -c \'{again}\' > /dev/null 2>&1 &'
    desk.gate.release(desk.run("hides", f"{hide}\n{ANSWER}"))
    end = time.monotonic() + 20
    while not desk.leaked():
        assert time.monotonic() < end, "it does not pass any more: take it out of CANNOT_STOP"
        time.sleep(0.3)
    assert "leave a program behind that hides" in CANNOT_STOP[3]


def test_a_job_keeps_the_owner_waiting(desk):
    """Syft opens its record of a job when the job has ended, and a pipe in its place never answers."""
    record = f"{REVIEW}/waits/state.yaml"
    review = desk.approved("waits", f'rm "{record}"; mkfifo "{record}"\n{ANSWER}')
    child = in_a_child_that_is_killed(lambda: desk.gate.run(review, timeout=1))
    state = desk.north.job_client.jobs["waits"].job_review_path / "state.yaml"
    while not state.is_fifo():
        time.sleep(0.05)
    time.sleep(3)
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
