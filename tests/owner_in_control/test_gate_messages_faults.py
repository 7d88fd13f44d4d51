"""Messages that wait for an owner: the bad ones are set aside before syft stumbles over them (`review`)."""

from __future__ import annotations

import time

import pytest
from desk import ANSWER, INBOX, opened

from ppml_helpers.errors import DatasiteError, ReleaseRefused
from ppml_helpers.sandbox import runner


def propose(desk, path, content="x", old=None, sender=None):
    """Send Rita's message about any path in the datasite: new contents, in place of old ones or of nothing."""
    from syft.sync.messages.proposed_filechange import ProposedFileChange, ProposedFileChangesMessage
    from syft.sync.utils.syftbox_utils import get_event_hash_from_content

    before = None if old is None else get_event_hash_from_content(old)
    change = ProposedFileChange(
        path_in_datasite=path, content=content, old_hash=before, datasite_email=desk.north.email
    )
    message = ProposedFileChangesMessage(sender_email=desk.rita.email, proposed_file_changes=[change])
    router = (sender or desk.rita).peer_manager.connection_router
    router.watcher_send_proposed_file_changes_message(desk.north.email, message)


def forged(desk, path):
    """Send Eve's message that says it is Rita's."""
    propose(desk, path, sender=desk.eve)


@pytest.mark.parametrize("data", [b"", b"no message", b"\x1f\x8b" + bytes(50)])
def test_a_damaged_message_does_not_stop_the_others(desk, data):
    folder = desk.network.connection(desk.eve)
    folder.watcher_send_raw_bytes_to_inbox(desk.north.email, f"msgv2_{time.time()}_x.tar.gz", data)
    with pytest.raises(DatasiteError, match="cannot sync"):
        desk.weaken(quarantine=False).send("count", ANSWER)
    [aside] = desk.open().sync()
    assert (aside.sender, "cannot be read" in aside.why) == (desk.eve.email, True)
    assert (desk.gate.folder / "quarantine" / aside.sender / aside.file).read_bytes().endswith(data)
    assert desk.gate.review("count").by == desk.rita.email
    assert desk.gate.sync() == ()


def test_a_message_that_is_out_of_date_does_not_stop_the_others(desk):
    desk.send("count", ANSWER)
    for name in ("run.sh", "code"):  # changed since, and not a file at all
        propose(desk, f"{INBOX}/count/{name}")
    with pytest.raises(DatasiteError, match="cannot sync"):
        desk.weaken(quarantine=False).send("later", ANSWER, by=desk.eve)
    aside = desk.open().sync()
    assert {found.sender for found in aside} == {desk.rita.email}
    assert len(aside) == 2
    assert desk.gate.review("later").by == desk.eve.email


def test_names_that_no_file_can_have_do_not_stop_the_others(desk):
    for path in (f"{INBOX}/{'a' * 300}", f"{INBOX}/a\0b", f"{INBOX}/a\rb", "/elsewhere", f"{INBOX}/../../x"):
        propose(desk, path)
    assert ["names a file as no file can be named" in found.why for found in desk.gate.sync()] == [True] * 5
    desk.send("count", ANSWER)
    assert desk.gate.review("count").by == desk.rita.email


def test_a_message_that_arrives_during_the_sync_is_looked_at_as_well(desk, monkeypatch):
    desk.send("count", ANSWER)
    job = desk.job("count").job_submission_path
    inbox = type(desk.network.connection(desk.eve))
    honest = inbox.waiting

    def waiting(connection, sender):
        found = honest(connection, sender)
        if sender == desk.eve.email and not found and not (desk.gate.folder / "quarantine").exists():
            forged(desk, f"{INBOX}/count/code/x.py")
        return honest(connection, sender)

    monkeypatch.setattr(inbox, "waiting", waiting)
    [aside] = desk.gate.sync()
    assert (aside.sender, "names rita@university.example as its sender" in aside.why) == (desk.eve.email, True)
    assert desk.gate.log.entries[-1]["event"] == "set aside"
    assert not (job / "code" / "x.py").exists()


def test_a_message_that_arrives_while_the_job_runs_waits(desk, monkeypatch):
    def run(*arguments, honest=runner.run, **named):
        propose(desk, f"{INBOX}/count/code/late.txt")
        return honest(*arguments, **named)

    monkeypatch.setattr(runner, "run", run)
    run = desk.run("count", ANSWER)
    assert (run.status, run.removed) == ("done", ())
    assert desk.network.connection(desk.north).waiting(desk.rita.email)


def test_a_job_in_two_layouts_has_a_sentence(desk):
    desk.send("count", ANSWER)
    config = desk.job("count").job_submission_path / "config.yaml"
    propose(desk, f"{INBOX}/count/config.yaml".replace("/v1", ""), config.read_text())
    desk.gate.sync()
    with pytest.raises(ReleaseRefused, match="sent two jobs 'count', in an older and a newer layout"):
        desk.gate.review("count")


def test_messages_are_screened_with_encryption_on(tmp_path):
    with opened(tmp_path, encryption=True) as desk:
        desk.send("count", ANSWER)
        forged(desk, f"{INBOX}/count/x.py")
        desk.network.connection(desk.eve).watcher_send_raw_bytes_to_inbox(
            desk.north.email, f"msgv2_{time.time()}_x.tar.gz", b"SYC1 but nothing else"
        )
        assert sorted(found.why.partition(" ")[0] for found in desk.gate.sync()) == ["cannot", "names"]
        desk.gate.release(desk.gate.run(desk.approved("more", ANSWER)))
        assert any(path.endswith("answer.txt") for path in desk.arrived())
