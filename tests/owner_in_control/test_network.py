"""Hospitals and researchers over a shared folder: what travels, who sees it, and that syft behaves as on its own.

Of `network`, `syft_client`, `access`, `offline_uv` and `mock_data`; the transport and what goes wrong have files of
their own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from ppml_helpers import cohort
from ppml_helpers.errors import DatasiteError
from ppml_helpers.owner_in_control import Network, access_matrix, mock_patients, offline_uv, silence
from ppml_helpers.owner_in_control.syft_client import make_client

RITA, EVE = "rita@university.example", "eve@university.example"
PRIVATE = pd.DataFrame({"age": [61, 62, 63], "hospdead": [0, 1, 1], "note": ["secret-one", "secret-two", "secret-3"]})
MOCK = pd.DataFrame({"age": [20], "hospdead": [0], "note": ["invented"]})
COUNT = """import json
import syft as sy
rows = open(sy.resolve_dataset_file_path("patients")).readlines()[1:]
json.dump({"died": sum(int(row.split(",")[1]) for row in rows)}, open("outputs/result.json", "w"))
"""


@pytest.fixture
def network(tmp_path):
    with Network(folder=tmp_path) as network, silence():
        yield network


def files_below(folder):
    """All files of a folder, and those packed in its messages, as one text."""
    from ppml_helpers.owner_in_control.access import readable

    return "\n".join(f"{path}\n{readable(path.read_bytes())}" for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("encryption", [False, True])
def test_the_whole_story_and_who_sees_what(tmp_path, encryption):
    with Network(encryption, tmp_path) as network, silence():
        north, south = network.hospital("north"), network.hospital("south")
        rita, eve = network.researcher("rita"), network.researcher("eve")
        for hospital in (north, south):
            rita.add_peer(hospital.email)
            hospital.load_peers()
            hospital.approve_peer_request(rita.email)
            network.publish(hospital, "patients", PRIVATE, MOCK)
        eve.add_peer(north.email)  # nobody approves
        rita.sync()
        eve.sync()

        found = rita.datasets.get_all()
        assert sorted(dataset.owner for dataset in found) == [north.email, south.email]
        assert pd.read_csv(found[0].mock_files[0]).equals(MOCK)
        assert eve.datasets.get_all() == []
        with pytest.raises(FileNotFoundError):
            _ = rita.datasets.get("patients", datasite=north.email).private_files

        code = network.write(rita, "count.py", COUNT)
        for name in ("count", "refused"):
            rita.submit_python_job(user=north.email, code_path=str(code), job_name=name, dependencies=["pandas"])
        passing = files_below(network.shared)
        north.sync()
        assert north.jobs["count"].code == COUNT
        north.jobs["count"].approve(reason="a number")
        north.jobs["refused"].reject(reason="asked twice")
        north.process_approved_jobs(stream_output=False)
        north.sync()
        rita.sync()
        mine = {job.name: job for job in rita.jobs}
        assert (mine["count"].status, mine["count"].output_paths) == ("done", [])
        assert (mine["refused"].status, mine["refused"].review_reason) == ("rejected", "asked twice")

        north.jobs["count"].share_outputs([rita.email])
        north.sync()
        rita.sync()
        (result,) = {job.name: job for job in rita.jobs}["count"].output_paths
        assert json.loads(result.read_text()) == {"died": 2}

        everything = files_below(network.shared)
        for place in (everything, passing, files_below(network.machine(rita)), files_below(network.machine(eve))):
            assert "secret" not in place
        assert ("json.dump" in passing) is not encryption
        assert ('died\\": 2' in everything) is not encryption
        assert "invented" in everything  # mock data is published as it is
        assert RITA in everything  # so is who talks to whom
        assert "secret-two" in files_below(network.machine(north))
    assert list(tmp_path.iterdir()) == []


def test_syft_does_the_same_as_over_its_own_mock_drive(tmp_path, network):
    from syft_rds import SyftRDSClient

    theirs = SyftRDSClient.pair_with_mock_drive_service_connection(
        email1="north@hospital.example",
        email2=RITA,
        base_path1=tmp_path / "drive" / "north",
        base_path2=tmp_path / "drive" / "rita",
        use_in_memory_cache=False,
        check_versions=True,
    )
    rita, north = network.researcher("rita"), network.hospital("north")
    network.pair()
    assert story(network, north, *theirs) == story(network, north, rita, north)


def story(network, owner, rita, north):
    """What a short story leaves behind: both sides' lists, and every file of both SyftBoxes that carries no time."""
    paths = {
        f"{kind}_path": network.write(owner, f"{kind}.csv", table)
        for kind, table in (("mock", MOCK), ("private", PRIVATE))
    }
    north.create_dataset(name="patients", summary="s", users=[RITA], **paths)
    for name, script in (("good", "echo 1 > code/outputs/a; echo hello"), ("bad", "echo sorry >&2; exit 4")):
        rita.submit_bash_job(north.email, script, name)
    rita.submit_bash_job(north.email, "true", "no")
    north.sync()
    for name in ("good", "bad"):
        north.jobs[name].approve(reason="fine")
    north.jobs["no"].reject(reason="no")
    north.process_approved_jobs(stream_output=False)
    north.jobs["good"].share_outputs([RITA])
    north.sync()
    rita.sync()
    boxes = {}
    for client in (rita, north):
        box = client.syftbox_folder
        paths = sorted(path.relative_to(box) for path in box.rglob("*") if path.is_file())
        changing = ("yaml", "json")  # these hold the time or a random number
        boxes[client.email] = {
            str(path): None if path.suffix[1:] in changing else (box / path).read_text() for path in paths
        }
    jobs = [(job.name, job.status, job.submitted_by, job.review_reason) for job in rita.jobs]
    peers = [[(peer.email, peer.state.value) for peer in client.peers] for client in (rita, north)]
    return {"boxes": boxes, "jobs": jobs, "peers": peers, "data": [one.name for one in rita.datasets.get_all()]}


def test_an_owner_who_lost_the_syftbox_gets_it_back_from_the_log(network):
    north, rita = network.hospital("north"), network.researcher("rita")
    network.pair()
    public = north.syftbox_folder / north.email / "public"
    public.mkdir(exist_ok=True)
    for number in range(52):  # syft makes checkpoints from 50 changes on: nothing is kept of them, the log has all
        (public / f"{number}.txt").write_text(str(number))
    north.sync()
    machine = network.machine(north)
    for place in ("SyftBox", "SyftBox-events"):
        (machine / place).rename(machine / f"lost-{place}")
    again = make_client(north.email, True, machine, network.shared, encryption=False)
    again.sync()
    restored = {path.name: path.read_text() for path in (again.syftbox_folder / again.email / "public").iterdir()}
    assert restored == {f"{number}.txt": str(number) for number in range(52)}
    assert [peer.email for peer in again.peers] == [rita.email]


@pytest.mark.parametrize("by", ["nobody", "eve"])
def test_an_answer_that_somebody_else_wrote_into_the_shared_folder_is_refused(network, by):
    from syft.sync.events.file_change_event import FileChangeEventsMessage

    from ppml_helpers.owner_in_control.transport import unsigned

    north, rita, eve = network.hospital("north"), network.researcher("rita"), network.researcher("eve")
    network.pair()
    rita.submit_bash_job(north.email, "echo 2 died > code/outputs/answer", "job")
    north.sync()
    north.jobs["job"].approve()
    north.process_approved_jobs(stream_output=False)
    north.jobs["job"].share_outputs([RITA])
    north.sync()
    rita.sync()
    outbox = network.shared / "datasites" / north.email / "outbox" / RITA
    said = FileChangeEventsMessage.from_compressed_data(
        unsigned(max(outbox.iterdir(), key=os.path.getmtime).read_bytes())
    )
    [event] = [event for event in said.events if event.path_in_datasite.name == "answer"]
    lie = FileChangeEventsMessage(events=[event.model_copy(update={"content": "0 died"})])
    data, target = lie.as_compressed_data(), outbox / lie.message_filepath.as_string()
    if by == "eve":
        network.connection(eve)._send(target, data)
    else:
        target.write_bytes(data)
    with pytest.raises(
        DatasiteError, match=rf"bears no signature of {north.email}, .*: somebody else wrote it; set it"
    ) as told:
        rita.sync()
    assert str(told.value).count(". ") == 0, "one sentence"
    target.unlink()
    rita.sync()
    assert rita.jobs["job"].output_paths[0].read_text() == "2 died\n"


def test_many_messages_are_merged_and_none_is_lost(network):
    from syft_perms import SyftPermContext

    north, rita = network.hospital("north"), network.researcher("rita")
    network.pair()
    datasite = north.syftbox_folder / north.email
    SyftPermContext(datasite=datasite).open("public/").grant_read_access(rita.email)
    outbox = network.shared / "datasites" / north.email / "outbox" / rita.email
    most = 0
    for number in range(21):  # syft merges from 20 on
        (datasite / "public" / f"{number}.txt").write_text(str(number))
        north.sync()
        most = max(most, len(list(outbox.iterdir())))
    rita.sync()
    received = {path.name for path in (rita.syftbox_folder / north.email / "public").glob("*.txt")}
    assert received == {f"{number}.txt" for number in range(21)}
    assert len(list(outbox.iterdir())) < most <= 20


def test_jobs_run_in_this_environment_and_nothing_is_installed(network):
    north, rita = network.hospital("north"), network.researcher("rita")
    network.pair()
    script = f"import sys, numpy\nopen('outputs/python', 'w').write(sys.prefix)\nassert sys.prefix == {sys.prefix!r}\n"
    code = network.write(rita, "where.py", script)
    wanted = {"here": ["numpy"], "absent": ["no-such-package"], "newer": ["pandas>=99"], "from-far": ["x @ file:///x"]}
    for name, dependencies in wanted.items():
        rita.submit_python_job(north.email, str(code), name, dependencies=dependencies)
    north.sync()
    for name in wanted:
        north.jobs[name].approve()
    north.process_approved_jobs(stream_output=False)
    said = {name: (north.jobs[name].job_review_path / "stderr.txt").read_text() for name in wanted}
    assert {name: north.jobs[name].status for name in wanted} == dict.fromkeys(wanted, "failed") | {"here": "done"}
    assert said["absent"] == "offline: no-such-package is not in the owner's environment: ask the owner for it\n"
    assert said["newer"].startswith("offline: pandas>=99 was asked for, but the owner's environment has 3.")
    assert said["from-far"].startswith("offline: x would be fetched from an address: there is no internet here")
    assert north.jobs["here"].output_paths[0].read_text() == sys.prefix


@pytest.mark.parametrize(
    "arguments", [["sync"], ["pip", "install", "--index-url", "x", "pandas"], ["pip", "install", "../evil"], []]
)
def test_uv_refuses_whatever_else_it_is_asked_for(arguments, tmp_path, capsys):
    assert offline_uv.main(arguments, sys.executable, tmp_path) == offline_uv.REFUSED
    assert re.search("is not available: jobs run in|is no requirement of a package", capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def test_the_launcher_survives_awkward_folders_and_the_job_s_own_modules(tmp_path):
    folder = tmp_path / 'it\'s a "folder" $HOME'
    folder.mkdir()
    (folder / "packaging.py").write_text("raise SystemExit('the job decides')")
    uv = folder / "uv"
    uv.write_text(offline_uv.launcher(sys.executable))
    uv.chmod(0o700)
    for arguments in (["pip", "install", "pandas"], ["venv", "--python", "3.12"]):
        assert subprocess.run([uv, *arguments], cwd=folder, env={"PYTHONPATH": "."}, check=False).returncode == 0
    run = "source .venv/bin/activate; python -c 'import sys; print(sys.prefix)'"
    said = subprocess.run(["bash", "-c", run], cwd=folder, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == sys.prefix


def test_a_folder_where_programs_may_not_run_is_named_before_anything_is_sent(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.X_OK)  # as it is on a mount with noexec
    with pytest.raises(DatasiteError, match=r"programs may not run in .* set TMPDIR"):
        Network(folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_people_have_names_of_their_own(network):
    north, rita = network.hospital("north"), network.researcher("rita")
    assert (north.email, north.has_do_role) == ("north@hospital.example", True)
    assert (rita.email, rita.has_do_role) == (RITA, False)
    assert repr(network) == "Network(north, rita)"
    with pytest.raises(DatasiteError, match="'north' is in this network already: choose"):
        network.researcher("north")
    for name in ("North", "../x", "shared", None):
        with pytest.raises(DatasiteError, match="cannot be a person's name: use up to 30 lower-case letters"):
            network.hospital(name)


def test_strangers_and_lone_people_are_refused(network):
    north = network.hospital("north")
    with pytest.raises(DatasiteError, match="There is no pair: give at least one hospital and one researcher"):
        network.pair()
    with Network() as other:
        stranger = other.researcher("rita")
        for use in (lambda: network.pair(stranger, north), lambda: network.write(stranger, "a", "b")):
            with pytest.raises(DatasiteError, match="is nobody of this network: give a client that"):
                use()


def test_pairs_can_be_made_again_and_later_and_get_what_was_published_for_all(network):
    north, south, rita = network.hospital("north"), network.hospital("south"), network.researcher("rita")
    network.publish(north, "patients", PRIVATE, MOCK)
    network.pair(rita, south)
    network.pair(rita, south)
    assert ([peer.email for peer in rita.peers], rita.datasets.get_all()) == ([south.email], [])
    network.pair()
    states = [(peer.email, peer.state.value) for client in (rita, north) for peer in client.peers]
    assert sorted(states) == [(north.email, "accepted"), (RITA, "accepted"), (south.email, "accepted")]
    assert [dataset.name for dataset in rita.datasets.get_all()] == ["patients"]


def test_unsuitable_data_sets_and_files_are_refused(network):
    north, rita = network.hospital("north"), network.researcher("rita")
    network.publish(north, "patients", PRIVATE, MOCK)
    for owner, name, mock, words in (
        (rita, "patients", MOCK, f"{rita.email} owns no data: let a hospital publish"),
        (north, "../x", MOCK, "cannot be a data set's name: use up to 50 lower-case letters"),
        (north, "more", "mock.csv", "mock is of type str, it must be a pandas DataFrame"),
        (north, "more", MOCK[["age"]], r"private table has the columns .* and the mock table \['age'\]"),
        (north, "patients", MOCK, "has a data set 'patients' already: choose another name"),
    ):
        with pytest.raises(DatasiteError, match=words):
            network.publish(owner, name, PRIVATE, mock)
    for name, content, words in (
        ("../x", "", "cannot be a file's name: use letters"),
        ("a.json", {}, "A dict cannot be written: give a text or a DataFrame"),
    ):
        with pytest.raises(DatasiteError, match=words):
            network.write(north, name, content)


def test_the_shared_folder_is_shown_without_what_is_random(network):
    north, rita = network.hospital("north"), network.researcher("rita")
    network.pair()
    network.publish(north, "patients", PRIVATE, MOCK)
    rita.submit_bash_job(north.email, "echo the question", "job")
    seen = network.seen_in_shared_folder()
    assert list(seen.columns) == ["file", "bytes", "text"]
    (inbox,) = seen.index[seen.file.str.contains("/inbox/")]
    assert seen.file[inbox] == f"datasites/{north.email}/inbox/{RITA}/msgv2_…_….tar.gz"
    assert "echo the question" in seen.text[inbox]
    mock = f"collections/{north.email}/syft_datasetcollection_patients_…/patients_mock.csv"
    assert seen.text[seen.file == mock].to_list() == ["age,hospdead,note\n20,0,invented\n"]


def test_the_access_matrix_says_what_syft_says(network):
    from syft_perms import SyftPermContext

    north, rita, eve = network.hospital("north"), network.researcher("rita"), network.researcher("eve")
    network.pair(north, rita)
    network.publish(north, "patients", PRIVATE, MOCK)
    rita.submit_bash_job(north.email, "echo 1 > code/outputs/a", "job")
    north.sync()
    north.jobs["job"].approve()
    north.process_approved_jobs(stream_output=False)
    job = f"app_data/job/{{}}/{RITA}/v1/job/"
    expected = {
        job.format("inbox") + "code/script.sh": ["write", ""],
        job.format("inbox") + "run.sh": ["write", ""],
        job.format("review") + "outputs/a": ["", ""],
        job.format("review") + "stdout.txt": ["read", ""],
        "private/syft_datasets/patients/patients_private.csv": ["", ""],
        "public/syft_datasets/patients/patients_mock.csv": ["read", "read"],
    }
    matrix = access_matrix(north, [rita, eve], expected)
    assert matrix.to_numpy().tolist() == list(expected.values())
    assert (list(matrix.index), list(matrix.columns)) == (list(expected), [RITA, EVE])

    context = SyftPermContext(datasite=north.syftbox_folder / north.email)
    context.open(job.format("review") + "outputs/").grant_read_access(EVE)
    context.open("results/").grant_admin_access(RITA)
    paths = [job.format("review") + "outputs/a", "results/", "results/not-yet.csv"]
    assert access_matrix(north, [RITA, EVE], paths).to_numpy().tolist() == [["", "read"], ["admin", ""], ["admin", ""]]


def test_the_access_matrix_wants_addresses_and_paths_inside(network):
    north = network.hospital("north")
    for readers in ([], RITA):
        with pytest.raises(DatasiteError, match="must be addresses such as"):
            access_matrix(north, readers, ["results/"])
    for path in ("/etc/passwd", "../x", ""):
        with pytest.raises(DatasiteError, match="is no path in the datasite"):
            access_matrix(north, [RITA], [path])


def test_mock_patients_pass_for_real_ones():
    mock, real = mock_patients(cohort.COLUMNS, 2000, 0), cohort.load_patients()
    cohort.check_patients(mock)
    assert cohort.features(mock)[0].shape == (2000, 39)
    assert mock.dtypes.equals(real.dtypes)
    optional = [name for name, rule in cohort.COLUMNS.items() if not rule.required]
    assert mock[optional].isna().mean().between(0.07, 0.13).all()
    assert "invented" in mock.attrs["mock"]


def test_mock_patients_are_made_without_looking(monkeypatch):
    monkeypatch.setattr(cohort, "load_patients", lambda *_: pytest.fail("looked at the patients"))
    monkeypatch.setattr(cohort.table, "_read", lambda *_: pytest.fail("looked at the patients"))
    few = mock_patients(["age", "hospdead", "dzgroup"], 50, 1)
    assert few.equals(mock_patients(["age", "hospdead", "dzgroup"], 50, 1))
    assert not few.equals(mock_patients(["age", "hospdead", "dzgroup"], 50, 2))
    assert abs(np.corrcoef(mock_patients(["age", "hospdead"], 5000, 3), rowvar=False)[0, 1]) < 0.05


def test_mock_patients_want_published_columns_and_a_number():
    for columns in ("height", ["age", "age"]):
        with pytest.raises(DatasiteError, match="must be different columns of the published table: choose from sno"):
            mock_patients(columns, 5, 0)
    with pytest.raises(DatasiteError, match="rows = 0 must be a whole number of at least 1"):
        mock_patients(["age"], 0, 0)
