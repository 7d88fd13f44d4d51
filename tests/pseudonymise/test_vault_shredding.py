"""Crypto-shredding: an erased key takes every copy of the record with it, and a copy of the keys undoes that."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from ppml_helpers.errors import VaultError
from ppml_helpers.people.identifiers import new_key
from ppml_helpers.pseudonymise.vault import ShredStore

KEY = bytes(range(32))


@pytest.fixture
def store(tmp_path: Path) -> ShredStore:
    made = ShredStore(tmp_path / "store", KEY)
    made.put_many({f"p{number}": f"record of {number}" for number in range(20)})
    return made


def names_in(store: ShredStore) -> set[str]:
    return {file.name for file in store.keys_file.parent.iterdir()}


def refused(words: str):
    return pytest.raises(VaultError, match=words)


def test_what_is_put_can_be_got(store: ShredStore) -> None:
    store.put_many({"p3": "Befund: größer"})
    store.put_many({7: b"\x00\xff"})
    store.put_many({"Zoë": ""})
    again = ShredStore(store.keys_file.parent, KEY)
    assert again.get("p3").decode() == "Befund: größer"
    assert again.get("7") == again.get(7) == b"\x00\xff"
    assert again.get(" Zoe\u0308") == b""
    assert again.get("p4") == b"record of 4"
    assert again.patients() == sorted([f"p{number}" for number in range(20)] + ["7", "Zoë"])


def test_an_erased_patient_is_gone_from_every_copy_of_the_data(store: ShredStore, tmp_path: Path) -> None:
    old = shutil.copy(store.data_file, tmp_path / "old backup")
    store.put_many({"p3": "newer"})
    newer = shutil.copy(store.data_file, tmp_path / "newer backup")
    store.erase("p3")
    with refused("No record of patient 'p3', never stored or erased"):
        store.get("p3")
    for backup in (old, newer):
        shutil.copy(backup, store.data_file)
        with refused("The key of patient 'p3' has been erased"):
            store.get("p3")
        assert store.get("p4") == b"record of 4"
        assert "p3" not in store.patients()
        assert len(store.patients()) == 19


def test_a_backup_of_the_keys_brings_the_erased_patient_back(store: ShredStore, tmp_path: Path) -> None:
    keys, data = (shutil.copy(file, tmp_path / file.stem) for file in (store.keys_file, store.data_file))
    store.erase("p3")
    store.put_many({"p3": "second stay"})  # under another key
    assert store.get("p3") == b"second stay"
    shutil.copy(data, store.data_file)
    with refused("The record of patient 'p3' is altered, or belongs to another patient or key"):
        store.get("p3")
    shutil.copy(keys, store.keys_file)
    assert store.get("p3") == b"record of 3"


def test_the_erased_key_is_overwritten_in_the_file(store: ShredStore) -> None:
    with sqlite3.connect(store.keys_file) as connection:
        wrapped = connection.execute("SELECT wrapped FROM keys WHERE patient = 'p3'").fetchone()[0]
    connection.close()
    assert wrapped in store.keys_file.read_bytes()
    store.erase("p3")
    for file in store.keys_file.parent.iterdir():
        assert wrapped not in file.read_bytes()
    assert names_in(store) == {"keys.db", "data.db"}


def test_the_files_hold_no_record_and_no_key_in_plain(store: ShredStore) -> None:
    store.put_many({"p3": "Beispielbefund"})
    for file in (store.data_file, store.keys_file):
        assert b"record of" not in file.read_bytes()
        assert b"Beispiel" not in file.read_bytes()
        assert KEY not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0
    assert KEY.hex() not in repr(store)


@pytest.mark.parametrize("with_their_keys", [False, True])
def test_swapped_records_are_detected(store: ShredStore, with_their_keys: bool) -> None:
    tables = [(store.data_file, "records", "record"), (store.keys_file, "keys", "wrapped")]
    for file, table, column in tables[: 1 + with_their_keys]:
        with sqlite3.connect(file) as connection:
            rows = dict(connection.execute(f"SELECT patient, {column} FROM {table}"))
            for one, other in (("p1", "p2"), ("p2", "p1")):
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE patient = ?", (rows[other], one))
        connection.close()
    for patient in ("p1", "p2"):
        with refused("is altered, or belongs to another patient"):
            store.get(patient)
    assert store.get("p4") == b"record of 4"


def test_a_wrong_master_key_is_refused_also_by_an_empty_store(store: ShredStore, tmp_path: Path) -> None:
    ShredStore(tmp_path / "empty", KEY)
    for folder in (store.keys_file.parent, tmp_path / "empty"):
        with refused("does not open with this master key: use the right one") as caught:
            ShredStore(folder, new_key())
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda store: ShredStore(store.keys_file.parent / "new", b"short"), r"^master_key .*make one with new_key"),
        (lambda store: store.put_many({"  ": "x"}), "^patient is"),
        (lambda store: store.put_many({7: "x", "7": "y"}), "records holds patient '7' 2 times"),
        (lambda store: store.get(1.5), "^patient is"),
        (lambda store: store.get(["p1"]), "^patient is of type list"),
        (lambda store: store.put_many({"p1": "changed", "nan": "x"}), "^patient is the text 'nan'"),
        (lambda store: store.erase(True), "^patient is"),
        (lambda store: store.put_many({"p1": "changed", "p9": 5}), "record of patient 'p9' is a int, it must be bytes"),
        (lambda store: store.put_many({"p1": "changed", "p9": "\ud800"}), "record of patient 'p9' is .* valid text"),
        (lambda store: store.put_many([("p1", "x")]), "records is a list, it must be a dict"),
        (lambda store: store.get("nobody"), "No record of patient 'nobody'"),
        (lambda store: store.erase("nobody"), "No key of patient 'nobody', never stored or erased already"),
    ],
)
def test_what_is_refused_changes_nothing(store: ShredStore, step: Callable[[ShredStore], object], words: str) -> None:
    with refused(words):
        step(store)
    assert store.get("p1") == b"record of 1", "none or all"
    assert names_in(store) == {"keys.db", "data.db"}


def test_a_missing_file_is_named_and_not_made_anew(store: ShredStore) -> None:
    folder = store.keys_file.parent
    for file in (store.keys_file, store.data_file):
        content = file.read_bytes()
        file.unlink()
        with refused(f"{file.name} is missing and its companion is there"):
            ShredStore(folder, KEY)
        with refused("cannot be opened or written"):
            store.get("p1")
        assert not file.exists()
        file.write_bytes(content)
    assert store.get("p1") == b"record of 1"


def test_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "none" / "store", tmp_path / "file"):
        with refused("cannot be made"):
            ShredStore(path, KEY)


@pytest.mark.parametrize("which", ["keys_file", "data_file"])
def test_flipped_bytes_never_alter_a_record(store: ShredStore, which: str) -> None:
    file: Path = getattr(store, which)
    whole = file.read_bytes()
    expected = {f"p{number}": f"record of {number}".encode() for number in range(20)}
    caught = 0
    for position in [*range(0, 100, 3), *range(100, len(whole), max(len(whole) // 170, 1))]:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << (position % 8)
        file.write_bytes(damaged)
        for patient in ("p0", "p7", "p19"):
            try:
                assert store.get(patient) == expected[patient]
            except VaultError:
                caught += 1
    assert caught > 5
    file.write_bytes(b"no database at all" * 500)
    with refused("is damaged"):
        store.get("p1")
