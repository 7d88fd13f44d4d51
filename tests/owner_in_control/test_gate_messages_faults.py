"""Messages that wait for an owner: the bad ones are set aside before syft stumbles over them (`review`)."""

from __future__ import annotations

import threading
import time

import pytest
from desk import ANSWER, INBOX, opened

from ppml_helpers.errors import DatasiteError, ReleaseRefused


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


def test_a_file_planted_in_a_colleagues_job(desk):
    desk.send("count", ANSWER)
    job, planted = desk.job("count").job_submission_path, f"{INBOX}/count/code/sitecustomize.py"
    forged(desk, planted)
    [aside] = desk.gate.sync()
    assert aside.sender == desk.eve.email
    assert "names rita@university.example as its sender" in aside.why
    assert not (job / "code" / "sitecustomize.py").exists()
    assert desk.gate.log.entries[-1]["event"] == "set aside"
    desk.weaken(sender_check=False)
    forged(desk, planted)
    assert desk.gate.sync() == ()
    assert desk.gate.review("count").unlisted == ("sitecustomize.py",)
    assert "not in the sender's list of files" in str(desk.gate.review("count"))


@pytest.mark.parametrize("data", [b"", b"no message", b"\x1f\x8b" + bytes(50)])
def test_a_damaged_message_does_not_stop_the_others(desk, data):
    folder = desk.network.connection(desk.eve)
    folder.watcher_send_raw_bytes_to_inbox(desk.north.email, f"msgv2_{time.time()}_x.tar.gz", data)
    with pytest.raises(DatasiteError, match="cannot sync"):
        desk.weaken(quarantine=False).send("count", ANSWER)
    [aside] = desk.open().sync()
    assert (aside.sender, "cannot be read" in aside.why) == (desk.eve.email, True)
    assert (desk.gate.folder / "quarantine" / aside.sender / aside.file).read_bytes() == data
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
    assert aside.sender == desk.eve.email
    assert not (job / "code" / "x.py").exists()


def test_a_message_that_arrives_while_the_job_runs_waits(desk):
    review = desk.approved("count", f"touch code/started; until [ -e code/sent ]; do sleep 0.05; done\n{ANSWER}")
    code = desk.job("count").job_submission_path / "code"

    def late():
        while not (code / "started").exists():
            time.sleep(0.02)
        propose(desk, f"{INBOX}/count/code/late.txt")
        (code / "sent").touch()

    sender = threading.Thread(target=late)
    sender.start()
    run = desk.gate.run(review)
    sender.join()
    assert (run.status, run.removed) == ("done", ("code/sent", "code/started"))
    assert len(desk.network.connection(desk.north).waiting(desk.rita.email)) == 1


def test_code_where_no_review_shows_it_is_refused(desk):
    """The line `cd code` with a carriage return starts what lies in a folder of that name."""
    written = desk.send_python("nice", "print(1)").read_bytes()
    propose(desk, f"{INBOX}/nice/run.sh", written.replace(b"cd code\n", b"cd code\r\n"), written)
    assert desk.gate.sync() == ()
    with pytest.raises(ReleaseRefused, match=r"has the line 'cd code.+r', which is none that syft writes"):
        desk.gate.review("nice")
    propose(desk, f"{INBOX}/nice/more/nice.py")
    desk.gate.sync()
    with pytest.raises(ReleaseRefused, match=r"has the file 'more/nice\.py' beside its code"):
        desk.gate.review("nice")


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
