"""Ways that once got all 60 patients through the `gate` with every defence on; each is still one without the gate."""

from __future__ import annotations

import py_compile
import re

import pytest

from ppml_helpers.owner_in_control import Defences, attacks
from ppml_helpers.owner_in_control.attacks import COUNT, Attack

COPIES = 'import shutil; shutil.copy(sy.resolve_dataset_file_path("patients"), "outputs/result.json")'
ESCAPED = "".join(f"\\x{byte:02x}" for byte in f"\n{COPIES}".encode())
HELPER = (
    "import glob, os, shutil\n"
    'for table in glob.glob(os.environ["SYFTBOX_FOLDER"] + "/*/private/**/*private*.csv", recursive=True):\n'
    '    shutil.copy(table, "outputs/rows.csv")\n'
)


def proposed(scene, sender, name, content):
    """Make a message that puts a file beside the code of a sender's job; return it and whose router carries it."""
    from syft.sync.messages.proposed_filechange import ProposedFileChange, ProposedFileChangesMessage

    code = sender.job_client.jobs["count"].code_dir.relative_to(sender.syftbox_folder / scene.hospital.email)
    change = ProposedFileChange(path_in_datasite=code / name, content=content, datasite_email=scene.hospital.email)
    return ProposedFileChangesMessage(sender_email=sender.email, proposed_file_changes=[change])


def into_a_colleagues_inbox(scene):
    message = proposed(scene, scene.colleague, attacks._PLANTED_NAME, attacks._PLANTED)
    inbox = scene.network.shared / "datasites" / scene.hospital.email / "inbox" / scene.colleague.email
    (inbox / message.message_filename.as_string()).write_bytes(message.as_compressed_data())


def compiled(scene):
    folder = scene.network.machine(scene.researcher)
    (folder / "helpers.py").write_text(HELPER)
    py_compile.compile(str(folder / "helpers.py"), cfile=str(folder / "helpers.pyc"))
    message = proposed(scene, scene.researcher, "helpers.pyc", (folder / "helpers.pyc").read_bytes())
    router = scene.researcher.sync_engine.datasite_watcher_syncer.connection_router
    router.watcher_send_proposed_file_changes_message(scene.hospital.email, message)


def from_an_address(scene):
    job = scene.researcher.job_client.jobs["count"]
    script = job.job_submission_path / "run.sh"
    script.write_text(script.read_text().replace('"syft==0.10.0"', '"syft==0.10.0" "helpers @ file:///tmp/helpers"'))
    scene.researcher.sync_engine.push_job_files(job.job_submission_path)


ROUTES = {
    "coding line": (
        Attack("", "", None, f"# -*- coding: unicode_escape -*-\n{COUNT}\n# sha256 of this file: {ESCAPED}\n"),
        "coding",
    ),
    "planted in an inbox": (
        Attack("", "", None, _by_colleague=True, _before=into_a_colleagues_inbox),
        "set aside|own list",
    ),
    "compiled helper": (
        Attack("", "", None, COUNT.replace("import random", "import random\nimport helpers"), _before=compiled),
        "helpers.pyc",
    ),
    "package from a path": (Attack("", "", None, _before=from_an_address), "helpers would be fetched|packages"),
}


@pytest.mark.parametrize("name", ROUTES)
def test_a_route_of_old_gets_no_patient_out(name, monkeypatch):
    plan, said = ROUTES[name]
    monkeypatch.setitem(attacks._BY_NAME, name, plan)
    leak = attacks.attack(name, Defences())
    assert (leak.recovered, leak.ways, leak.blocked) == (0, (), False)
    assert re.search(said, leak.why)


def test_the_routes_are_open_without_the_gate(monkeypatch):
    for name in ("coding line", "compiled helper"):
        monkeypatch.setitem(attacks._BY_NAME, name, ROUTES[name][0])
        assert attacks.attack(name).recovered == 60
