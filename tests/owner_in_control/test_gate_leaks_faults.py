"""What a bash job tries behind the release gate, with each defence on and off; more ways are tried by the attacks."""

from __future__ import annotations

import pytest
from desk import ANSWER, EVERYBODY, GATE, PRIVATE, SECRET, SITE, jobs_in

from ppml_helpers.errors import ReleaseRefused
from ppml_helpers.owner_in_control import silence
from ppml_helpers.sandbox import runner

# Every place that a job can look into but for programs, whatever it is called from there.
LOOK = (
    "for place in / /proc/1/root /proc/1/cwd /proc/[0-9]*/fd/; do find $place -xdev -maxdepth 9 -type f; done"
    " 2> /dev/null | xargs -r -d '\\n' timeout 9 grep -sl"
)
FOLDERS = "for i in $(seq 300); do mkdir d; cd d; done"
namespaces = pytest.mark.skipif(runner.confinement() != "namespaces", reason="these need namespaces of the system")


def test_strays_in_its_own_folders_pass_without_their_defence_alone(desk):
    script = f"cp {PRIVATE} code/rows.txt; cat {PRIVATE} >> code/script.sh; cat {PRIVATE}; cat {PRIVATE} >&2\n{ANSWER}"
    desk.gate.release(desk.run("leak", script))
    assert desk.leaked() == []
    desk.weaken(stray_files=False)
    desk.gate.release(desk.run("leak2", script))
    assert desk.leaked() == ["rows.txt", "script.sh"]


def test_the_exit_code_is_no_letter_box(desk):
    run = desk.run("code", "exit 51")
    assert (run.status, run.outputs) == ("failed", {})
    [state] = [text for path, text in desk.arrived().items() if path.endswith("code/state.yaml")]
    assert "return_code: 1\n" in state
    assert "completed_at: null" in state
    desk.weaken(logs=False).run("code2", "exit 51")
    assert [text for path, text in desk.arrived().items() if path.endswith("code2/returncode.txt")] == ["51"]


def test_outputs_with_a_rule_of_their_own_reach_nobody(desk):
    script = f'cp {PRIVATE} code/outputs/rows.csv\necho "{EVERYBODY}" > code/outputs/'
    for job, rule in (("rules", "syft.pub.yaml"), ("in-whatever-case", "Syft.PUB.yaml")):
        assert "only .json, .csv, .txt leave" in desk.run(job, script + rule).why
    assert desk.leaked() == desk.leaked(desk.eve) == []


def test_a_run_script_that_was_swapped_after_the_review_costs_nothing(desk):
    review = desk.approved("swap", ANSWER)
    desk.swap("swap", f"mkdir -p code/outputs; cp {PRIVATE} code/outputs/answer.txt")
    with pytest.raises(ReleaseRefused, match=r"run\.sh was changed in job 'swap' after it was reviewed"):
        desk.gate.run(review)
    assert desk.spent() == 0


def test_a_job_approved_earlier_does_not_run_along(shared):
    shared.send("old", f"cat {PRIVATE}")
    shared.yes_in_syft("old")
    shared.send("count", ANSWER, by=shared.eve)  # and one of the same name
    shared.yes_in_syft("count")
    shared.gate.release(shared.run("count", ANSWER))
    assert shared.job("old").status == "approved"
    assert shared.leaked() == shared.leaked(shared.eve) == []


@namespaces
@pytest.mark.parametrize(
    "script",
    [
        f"cd {GATE}/records; sed -i s/epsilon/nothing/ audit.log; echo > ledger.db; rm -r held",
        f"mkdir -p {GATE}/before/box; echo {{}} > {GATE}/before/box/hashes.json; echo > {GATE}/records/ledger.db; "
        f"mkdir -p {SITE}/public; cp {PRIVATE} {SITE}/public/rows.csv; kill -INT $PPID; kill -INT 1; kill -INT -1",
        f"echo changed >> {PRIVATE}; chmod -R 0777 {SITE}; ln -s {PRIVATE} {SITE}/link; mkfifo {SITE}/pipe",
        f"rm -r {SITE}/private; rm -r {SITE}/app_data; ln -s / {SITE}/app_data",
        f"echo '[' > {SITE}/syft.pub.yaml; mkdir {SITE}/results; echo '{EVERYBODY}' > {SITE}/results/syft.pub.yaml; "
        f"cp {PRIVATE} {SITE}/results",
    ],
    ids=["the gate's records", "interrupt after rewriting", "rights, data and links", "folders", "rules"],
)
def test_what_a_job_changes_elsewhere_never_reaches_the_datasite(shared, script, request):
    name = request.node.callspec.id.replace(" ", "-").replace("'", "").replace(",", "")
    review = shared.approved(name, f"set +e\n({script}) || true\n{ANSWER}")
    before, rights = shared.files(), {path: path.stat().st_mode for path in shared.north.syftbox_folder.rglob("*")}
    run = shared.gate.run(review)
    assert run.status == ("failed" if "app_data" in script else "done")
    after = shared.files()
    assert {path.name for path in after if before.get(path) != after[path]} <= {"state.yaml", "syft.pub.yaml"}
    assert {path for path, mode in rights.items() if path.stat().st_mode != mode} == set()
    assert shared.gate.log.verify().sound
    (shared.gate.release if run.status == "done" else shared.gate.drop)(run)
    assert shared.leaked() == []


#: What we tried ourselves, and what the job may answer with; None: nothing at all.
OWN = {
    "a link as answer": (f"ln -s {PRIVATE} code/outputs/answer.txt", None),
    "a link as folder": (f"rm -r code/outputs; ln -s {SITE}/private code/outputs; : outputs/patients.csv", None),
    "a pipe as answer": ("mkfifo code/outputs/answer.txt", None),
    "the name of a file": (f"touch code/outputs/$(tail -n 1 {PRIVATE} | cut -d, -f1).txt", None),
    "white space": ("printf ' 42\\t \\n\\n\\u2028' > code/outputs/answer.txt", "42\n"),
    "order and zeros": ("""printf '{"b":\\n2.50, "a": 1e0}' > code/outputs/answer.json""", '{"a":1,"b":2.5}\n'),
    "rows": ("printf 'k,v\\r\\n\"b\",02.0\\na, 1.10\\n' > code/outputs/answer.csv", "k,v\na,1.1\nb,2\n"),
    "too much": ("head -c 5000000 /dev/zero | tr '\\0' 7 > code/outputs/answer.txt", None),
    "signals to its keeper": (f"kill -9 1; kill -STOP 1; {ANSWER}", "42\n"),
    "rights": (f"unshare -Ur mount -o remount,rw /usr; mknod d b 8 0; touch /usr/x || {ANSWER}", "42\n"),
    "other data": (f"p=$(printf pati; printf ents); ls {SITE}/private/syft_datasets/$p || {ANSWER}", "42\n"),
    "a daemon": (
        f"(env -i setsid sh -c 'while sleep 0.1; do cp * /job/late; done' &) > /dev/null 2>&1; {ANSWER}",
        "42\n",
    ),
    "left for the next": (
        f"cat {PRIVATE}; cp {PRIVATE} /tmp; cp {PRIVATE} /dev/shm; cp {PRIVATE} ~\n{ANSWER}",
        "42\n",
    ),
    "others' files": (f"{LOOK} {SECRET[:-1]}[e] > code/outputs/answer.txt", ""),
    "deep folders": (f"({FOLDERS}); {ANSWER}", "42\n"),
}


@namespaces
def test_attacks_of_our_own_get_the_answer_out_and_nothing_else(shared, monkeypatch):
    shared.network.write(shared.north, "key.txt", SECRET)  # beside the results that are held, for "others' files"
    with silence():
        for number, (script, _) in enumerate(OWN.values()):
            script = f"mkdir -p code/outputs\n{script}\ntrue\n"
            shared.rita.submit_bash_job(shared.north.email, script, f"own-{number}")
    shared.gate.sync()
    for number, (what, (_, answer)) in enumerate(OWN.items()):
        review = shared.gate.review(f"own-{number}")
        shared.gate.approve(review, epsilon=0.1)
        run = shared.gate.run(review)
        assert (what, run.status) == (what, "done"), run.logs
        assert (what, list(run.outputs.values())) == (what, [] if answer is None else [answer])
        assert jobs_in(shared.gate.folder / runner.SCRATCH) == []
    with monkeypatch.context() as patch:
        patch.setattr(shared.gate, "_sync", lambda: ())  # once for all, below
        for run in shared.gate.held():
            shared.gate.release(run)
    assert len([path for path in shared.arrived() if "/own-" in path and "/outputs/answer" in path]) == 10
    assert shared.leaked() == []
