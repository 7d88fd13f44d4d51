"""The transport over a shared folder: complete for syft, ordered, confined, and clear about what is damaged."""

from __future__ import annotations

import gzip
import inspect
import io
import re
import tarfile
import tracemalloc
import zlib
from types import SimpleNamespace

import pytest
from syft.sync.connections import connection_router
from syft.sync.connections.base_connection import SyftboxPlatformConnection
from syft.sync.sync import datasite_owner_syncer
from syft.sync.utils.syftbox_utils import compress_data

from ppml_helpers.errors import DatasiteError
from ppml_helpers.owner_in_control import transport
from ppml_helpers.owner_in_control.transport import LocalFolderConfig, LocalFolderConnection, unpacked

NORTH, RITA = "north@hospital.example", "rita@university.example"
UID = "291134af-f414-412e-bb2b-28f893bf6e5"


@pytest.fixture
def connect(tmp_path):
    (tmp_path / "shared").mkdir()

    def connect(email):
        config = LocalFolderConfig(email=email, shared=tmp_path / "shared", private=tmp_path / email)
        return SyftboxPlatformConnection.from_config(config)

    return connect


@pytest.fixture
def north(connect):
    return connect(NORTH)


@pytest.fixture
def rita(connect, north):
    """Rita, whose key the owner has, and who has the owner's."""
    rita = connect(RITA)
    for one, other in ((rita, north), (north, rita)):
        one.add_peer(other.email)
    for one, other in ((rita, north), (north, rita)):
        one._update_peer_state(other.email, "accepted")
    return rita


def inbox_of(north, sender=RITA):
    return north.shared / "datasites" / NORTH / "inbox" / sender


def message(time, number=0):
    return f"msgv2_{time}_{UID}{number}.tar.gz"


def event(time, number=0):
    return f"syfteventsmessagev3_{time}_{UID}{number}.tar.gz"


def test_every_method_that_syft_has_or_calls_on_a_connection_is_there(north):
    assert type(north) is LocalFolderConnection, "syft makes it from our configuration"
    source = inspect.getsource(connection_router) + inspect.getsource(datasite_owner_syncer)
    called = set(re.findall(r"\b(?:connection|conn)\.(\w+)\(", source)) - {"copy"}  # copy: of Google Drive alone
    assert len(called) > 40
    inherited = [getattr(LocalFolderConnection, name, None) is getattr(SyftboxPlatformConnection, name, None)
                 for name in sorted(called)]  # fmt: skip
    # Three that nothing in syft asks its router for, and two for `delete_syftbox`: closing a network deletes all.
    uncalled = {"owner_list_collections", "get_events_count_since_checkpoint",
                "read_own_version_file",
                "gather_all_file_and_folder_ids", "find_orphaned_message_files"}  # fmt: skip
    assert {name for name, left in zip(sorted(called), inherited, strict=True) if left} == uncalled


def test_messages_come_oldest_first_by_time_and_not_by_name(north, rita):
    sent = {time: compress_data(time.encode()) for time in ("1000000010.5", "999999999.5", "1000000002.5")}
    for number, (time, data) in enumerate(sent.items()):
        rita.watcher_send_raw_bytes_to_inbox(NORTH, message(time, number), data)
    seen = []
    while (found := north.owner_download_next_raw_proposed_message_from_inbox(RITA)) is not None:
        data, place = found
        seen.append(data)
        north.owner_remove_proposed_filechange_message_from_inbox(SimpleNamespace(platform_id=place))
    assert seen == [sent[time] for time in ("999999999.5", "1000000002.5", "1000000010.5")]
    assert len(list((north.private / "archive" / RITA).iterdir())) == 3


def test_what_is_no_message_is_not_taken_for_one(north, rita, tmp_path):
    inbox = inbox_of(north)
    for name in ("notes.txt", "msgv2_soon_x.tar.gz", "msgv2_nan_x.tar.gz", f".{message(1.0)}.part"):
        (inbox / name).write_bytes(b"x")
    (tmp_path / "a-file-of-the-owner").write_bytes(compress_data(b"{}"))
    (inbox / message(2.0)).symlink_to(tmp_path / "a-file-of-the-owner")
    (inbox / message(3.0)).mkdir()
    assert north.waiting(RITA) == []
    assert north.owner_download_next_raw_proposed_message_from_inbox(RITA) is None


def test_an_outbox_gives_what_came_after_a_time_and_to_nobody_else(north, rita, connect):
    for number, time in enumerate([10.0, 9.0, 11.0]):
        north.owner_write_raw_bytes_to_outbox(RITA, event(time, number), compress_data(str(time).encode()))
    found = rita.watcher_download_raw_events_from_outbox(NORTH, None)
    assert [unpacked(data) for data in found] == [b"9.0", b"10.0", b"11.0"]
    assert rita.watcher_download_raw_events_from_outbox(NORTH, 10.0) == found[2:]
    assert connect("eve@university.example").watcher_get_outbox_file_metadatas(NORTH, None) == []
    box = north._get_own_datasite_outbox_id(RITA)
    assert [entry["name"] for entry in north.get_file_metadatas_from_folder(box)] == [
        event(11.0, 2), event(10.0, 0), event(9.0, 1)
    ]  # fmt: skip
    assert unpacked(north.download_file(f"{box}/{event(11.0, 2)}")) == b"11.0", "syft merges one's own"
    north.owner_write_raw_bytes_to_outbox(RITA, event(12.0, 3), bomb(1))
    with pytest.raises(DatasiteError, match=rf"is damaged: set it aside, and let {NORTH} send it again"):
        rita.watcher_download_raw_events_from_outbox(NORTH, 11.0)


def test_a_message_is_there_whole_or_not_at_all(north, rita, monkeypatch):
    rita.watcher_send_raw_bytes_to_inbox(NORTH, message(1.0), compress_data(b"first"))
    monkeypatch.setattr("pathlib.Path.write_bytes", lambda path, data: (_ for _ in ()).throw(OSError(28, "No space")))
    with pytest.raises(DatasiteError, match=r"cannot be written \(No space\): give the folder room"):
        rita.watcher_send_raw_bytes_to_inbox(NORTH, message(2.0), compress_data(b"second"))
    monkeypatch.undo()
    assert [path.name for path in inbox_of(north).iterdir()] == [message(1.0)]


def test_a_peer_asks_once_and_is_answered_once(north, connect):
    eve = connect("eve@university.example")
    eve.add_peer(NORTH)
    assert north.get_peer_requests() == [eve.email]
    north._update_peer_state(eve.email, "accepted", {"key": 1})
    north._update_peer_state(eve.email, "accepted")
    assert north.get_peer_requests() == []
    entry = north._get_peers_json()[eve.email]
    assert len(bytes.fromhex(entry.pop("signing_key"))) == 32
    assert entry == {"state": "accepted", "public_encryption_bundle": {"key": 1}}
    assert eve._get_peers_json() == {}


class Way:
    """From researcher to owner, or back: who sends, who takes, the folder between them, and how messages are named."""

    def __init__(self, rita, north, back):
        self.back, self.name = back, event if back else message
        self.sender, self.taker = (north, rita) if back else (rita, north)
        self.box = north.shared / "datasites" / NORTH / ("outbox" if back else "inbox") / RITA

    def send(self, number, data=b"{}", by=None, to=None):
        by, to = by or self.sender, to or self.taker.email
        (by.owner_write_raw_bytes_to_outbox if self.back else by.watcher_send_raw_bytes_to_inbox)(
            to, self.name(number), compress_data(data)
        )
        owner, peer = (by.email, to) if self.back else (to, by.email)
        return (by.shared / "datasites" / owner / self.box.parent.name / peer / self.name(number)).read_bytes()

    def take(self):
        if self.back:
            return self.taker.watcher_download_raw_events_from_outbox(NORTH, None)
        return self.taker.owner_download_next_raw_proposed_message_from_inbox(RITA)


def new_key(way, eve):
    """Eve publishes a key of her own in the sender's name, after they became peers."""
    sender = way.sender.email
    (eve.shared / "people" / sender / "signing.pub").write_bytes(eve._signing_key().public_key().public_bytes_raw())
    way.taker._update_peer_state(sender, "accepted")
    data = compress_data(b"{}")
    return b"SIG1" + eve._signing_key().sign(transport._what_is_signed(way.box / way.name(1.0), data)) + data


FORGERIES = {
    "written straight into the folder": lambda way, eve: compress_data(b"{}"),
    "no signature": lambda way, eve: b"SIG1" + bytes(64) + compress_data(b"{}"),
    "cut off": lambda way, eve: b"SIG1",
    "eve's own": lambda way, eve: way.send(1.0, by=eve),
    "renamed": lambda way, eve: way.send(0.0),
    "changed": lambda way, eve: way.send(1.0)[:-1] + b"x",
    "to somebody else": lambda way, eve: way.send(1.0, to=eve.email),
    "key": new_key,
}


@pytest.mark.parametrize("back", [False, True], ids=["to the owner", "to the researcher"])
@pytest.mark.parametrize("forged", FORGERIES.values(), ids=FORGERIES)
def test_a_message_that_its_sender_has_not_signed_is_not_taken(north, rita, connect, forged, back):
    way = Way(rita, north, back)
    data = forged(way, connect("eve@university.example"))
    (way.box / way.name(0.0)).unlink(missing_ok=True)
    (way.box / way.name(1.0)).write_bytes(data)
    if back:
        with pytest.raises(DatasiteError, match=rf"The file .* for {RITA} bears no signature of {NORTH}, .* set it"):
            way.take()
        return
    assert north.waiting(RITA) == [way.box / way.name(1.0)]
    screened = []
    with north.screening(lambda path, data: screened.append((path.name, data))):
        assert way.take() is None
    assert screened == [(way.name(1.0), None)]
    way.send(2.0, b"after it")
    assert unpacked(way.take()[0]) == b"after it"


def test_a_message_that_was_dealt_with_is_not_taken_again(north, rita):
    rita.watcher_send_raw_bytes_to_inbox(NORTH, message(1.0), compress_data(b"{}"))
    copy = (inbox_of(north) / message(1.0)).read_bytes()
    _, place = north.owner_download_next_raw_proposed_message_from_inbox(RITA)
    north.owner_remove_proposed_filechange_message_from_inbox(SimpleNamespace(platform_id=place))
    (inbox_of(north) / message(1.0)).write_bytes(copy)
    assert north.owner_download_next_raw_proposed_message_from_inbox(RITA) is None


def archived(entries, mode="w:gz"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, format=tarfile.PAX_FORMAT) as tar:
        for entry, data in entries:
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def bomb(kind):
    """What syft unpacks to 100 MB: 0.4 MB as it is or in a second part, 221 bytes with a hole; and a link to itself."""
    entry = tarfile.TarInfo("proposed_file_changes.json")
    if kind == 2:
        entry.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(10**8)}
        entry.pax_headers["GNU.sparse.name"] = entry.name
        holes = b"1\n99999999\n1\n".ljust(512, b"\0") + b"x"
        entry.size = len(holes)
        return archived([(entry, holes)])
    if kind == 3:
        entry.type, entry.linkname = tarfile.SYMTYPE, entry.name
        return archived([(entry, b"")])
    entry.size = 10**8
    packer = zlib.compressobj(1, wbits=31)
    header = entry.tobuf()
    if kind == 1:
        return gzip.compress(header) + packer.compress(bytes(entry.size + 1024)) + packer.flush()
    return packer.compress(header) + packer.compress(bytes(entry.size + 1024)) + packer.flush()


@pytest.mark.parametrize("kind", range(4))
def test_what_unpacks_to_a_thousand_times_its_size_is_not_unpacked(north, rita, kind):
    data = bomb(kind)
    assert len(data) < 600_000
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"larger|cut off"):
            unpacked(data)
        assert tracemalloc.get_traced_memory()[1] < 2.2 * transport._MOST
    finally:
        tracemalloc.stop()
    rita.watcher_send_raw_bytes_to_inbox(NORTH, message(1.0), data)
    with pytest.raises(DatasiteError, match="is damaged: set it aside"):
        north.owner_download_next_raw_proposed_message_from_inbox(RITA)


def test_a_message_of_any_size_on_disk_is_not_read(north, rita):
    with (inbox_of(north) / message(1.0)).open("wb") as file:
        file.truncate(10**10)  # which takes no room
    assert north.owner_download_next_raw_proposed_message_from_inbox(RITA) is None


def test_the_event_log_is_private_and_ordered(north):
    for time in (10.0, 9.0):
        place = north.owner_write_raw_bytes_to_syftbox(event(time), str(time).encode())
        assert north.private in type(north.private)(place).parents
    assert north.owner_download_all_raw_events_from_syftbox() == [b"9.0", b"10.0"]
    assert north.download_raw_events_since_timestamp(9.0) == [b"10.0"]
    assert list(north.shared.rglob("*")) == []


def test_a_collection_is_for_its_readers(north, rita, connect):
    eve = connect("eve@university.example")
    north.owner_create_collection_folder("mock", "stroke_unit", "abc", NORTH)
    north.owner_upload_collection_files("mock", "stroke_unit", "abc", {"a.csv": b"1", "b.csv": b"2"})
    north.owner_share_collection("mock", "stroke_unit", "abc", [RITA])
    assert rita.watcher_list_collections("mock") == [
        {"owner_email": NORTH, "tag": "stroke_unit", "content_hash": "abc"}
    ]
    assert rita.watcher_download_collection("mock", "stroke_unit", "abc", NORTH) == {"a.csv": b"1", "b.csv": b"2"}
    assert eve.watcher_list_collections("mock") == north.watcher_list_collections("mock") == []
    assert rita.watcher_list_collections("private") == []
    with pytest.raises(DatasiteError, match=r"There is no collection 'x' .* publish it first"):
        north.owner_share_collection("mock", "x", "abc", [RITA])


def test_a_collection_for_all_peers_is_found_by_those_whom_syft_names(north, rita):
    north.owner_create_collection_folder("mock", "all", "abc", NORTH)
    north.owner_tag_collection_as_any("mock", "all", "abc")
    assert rita.watcher_list_collections("mock") == []  # a link that nobody has told them, as on Google Drive
    assert [found.has_any_permission for found in north.owner_list_all_collections_with_permissions("mock")] == [True]
    north.owner_share_collection("mock", "all", "abc", [RITA])
    assert len(rita.watcher_list_collections("mock")) == 1
    north.owner_delete_collection("mock", "all")
    assert rita.watcher_list_collections("mock") == north.owner_list_all_collections_with_permissions("mock") == []


@pytest.mark.parametrize("name", ["../north", "", ".hidden", "a\nb"])
def test_no_name_leaves_the_shared_folder(rita, name):
    before = sorted(rita.shared.rglob("*"))
    for use in (
        lambda: rita.add_peer(name),
        lambda: rita.watcher_send_raw_bytes_to_inbox(NORTH, name, b""),
        lambda: rita.read_peer_version_file(name),
        lambda: rita.watcher_get_outbox_file_metadatas(name, None),
    ):
        with pytest.raises(DatasiteError, match="cannot be a name in the shared folder: use letters"):
            use()
    assert sorted(rita.shared.rglob("*")) == before


def test_a_file_that_is_gone_is_named(north):
    gone = str(north.shared / "gone.tar.gz")
    with pytest.raises(DatasiteError, match=r"The file gone\.tar\.gz cannot be read \(No such file or directory\)"):
        north.download_file(gone)
    north.delete_multiple_files_by_ids([gone], ignore_permissions_errors=True)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"3"])
def test_damaged_notes_are_named(north, rita, content):
    def damage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return rf"The file {path.name} in the folder {path.parent.name} is damaged: "

    people = north.shared / "people" / NORTH
    for path, use in (
        (north.private / "peers.json", north._get_peers_json),
        (people / f"for_{RITA}.json", lambda: rita.read_peer_encryption_bundle(NORTH)),
        (people / "version.json", lambda: rita.read_peer_version_file(NORTH)),
    ):
        with pytest.raises(DatasiteError, match=damage(path) + "restore it"):
            use()
    folder = north.shared / "collections" / NORTH / "mock_a_b"
    with pytest.raises(DatasiteError, match=damage(folder / ".readers.json")):
        rita.watcher_list_collections("mock")


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:-20], lambda data: b"hello" + data, lambda data: b"SYC1" + data]
)
def test_a_damaged_message_is_named_with_its_sender(north, rita, damage):
    rita.watcher_send_raw_bytes_to_inbox(NORTH, message(1.0), damage(compress_data(b"{}")))
    with pytest.raises(DatasiteError, match=rf"{message(1.0)} in the folder {RITA} is damaged: set it aside, and let"):
        north.owner_download_next_raw_proposed_message_from_inbox(RITA)
