"""The token vault: random tokens, one a person, and a file that tells nothing without its key."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pandas as pd
import pytest
from sqlcipher3 import dbapi2 as sqlcipher

from ppml_helpers.errors import VaultError
from ppml_helpers.people.identifiers import new_key
from ppml_helpers.pseudonymise.vault import TokenVault

KEY = bytes(range(32))
NAMES = [f"Zoë Beispiel-Müller {number}" for number in range(300)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.db"


@pytest.fixture
def filled(path: Path) -> Path:
    with TokenVault(path, KEY) as vault:
        vault.token(NAMES)
    return path


def refused(words: str):
    return pytest.raises(VaultError, match=words)


def test_tokens_are_random_one_a_person_and_stay(path: Path, tmp_path: Path) -> None:
    with TokenVault(path, KEY) as vault:
        first = vault.token([*NAMES, NAMES[0], "  " + NAMES[1]])
        assert len(vault) == 300
        assert first[300] == first[0]
        assert first[301] == first[1]
        assert len(set(first)) == 300
        assert all(len(token) == 32 and set(token) <= set("0123456789abcdef") for token in first)
    with TokenVault(path, KEY) as vault:
        assert list(vault.token(NAMES)) == list(first[:300])
    with TokenVault(tmp_path / "another.db", KEY) as other:
        assert not set(other.token(NAMES)) & set(first), "another vault, other tokens, with the same key"


def test_odd_identifiers_stay_apart(path: Path) -> None:
    odd = ["a\0b", "a\0c", "a", "A", "' OR 1=1 --", "\N{GRINNING FACE}", "007", "7", "x" * 100_000]
    with TokenVault(path, KEY) as vault:
        tokens = vault.token(odd)
        assert len(set(tokens)) == len(odd)
        assert list(vault.identify(tokens, "test")) == odd
        assert list(vault.identify([token.upper() + "\ufeff" for token in tokens], "test")) == odd


def test_who_asked_is_logged_with_the_reason(path: Path) -> None:
    with TokenVault(path, KEY, who="Dr. Example") as vault:
        tokens = vault.token(["a", "b"])
        vault.identify([tokens[0], tokens[0]], " recall for a new test ")
        with refused(r"tokens\[1\] is no token of tokens.db"):  # it might be a name, so it is not shown
            vault.identify([tokens[1], "no such token"], "curious")
        log = vault.accesses()
    assert log[["who", "reason", "tokens"]].values.tolist() == [["Dr. Example", "recall for a new test", 1]]
    assert pd.Timestamp(log.loc[0, "at"]).tzinfo is not None


def test_the_files_hold_nothing_in_plain(path: Path) -> None:
    with TokenVault(path, KEY) as vault:
        tokens = list(vault.token(NAMES))
        vault._connection.execute("BEGIN IMMEDIATE")
        vault._connection.executemany(
            "INSERT INTO people VALUES (?, ?)", [(f"Journal {name}", f"{i}") for i, name in enumerate(NAMES)]
        )
        vault._connection.execute("UPDATE people SET token = token || 'x'")
        vault._connection.execute("PRAGMA cache_spill = 1")
        during = {file.name: file.read_bytes() for file in path.parent.iterdir()}
        vault._connection.execute("ROLLBACK")
    after = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert set(after) == {"tokens.db"}, "no journal and no WAL is left"
    for content in [*during.values(), *after.values()]:
        for secret in ("Beispiel", "Müller", "identifier", "SQLite format", KEY.hex(), tokens[0]):
            assert secret.encode() not in content
        assert KEY not in content
    assert "tokens.db-journal" in during
    assert path.stat().st_mode & 0o077 == 0, "only its owner may read it"


def test_a_wrong_key_says_so_once_and_changes_nothing(filled: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = filled.read_bytes()
    with refused("does not open with this key: use the right key") as caught:
        TokenVault(filled, new_key())
    assert caught.value.__cause__ is None
    assert filled.read_bytes() == before
    assert capfd.readouterr() == ("", ""), "SQLCipher must not write to stderr"


def test_what_is_no_key_no_identifier_and_no_reason(filled: Path) -> None:
    for key in (b"short", b"a password of 32 characters, yes"):
        with refused(r"^key .*make one with new_key\(\)"):
            TokenVault(filled, key)
    with TokenVault(filled, KEY) as vault:
        for ids in (["a", None], "a", ["a", "nan"], [["a"], ["b", "c"]], pd.DataFrame({"a": ["b"]})):
            with refused("^ids"):
                vault.token(ids)
            with refused("^tokens"):
                vault.identify(ids, "test")
        for reason in (None, "  "):
            with refused("^reason is"):
                vault.identify(vault.token(NAMES[:1]), reason)
        assert len(vault) == 300
        assert vault.accesses().empty


def test_what_is_no_vault(tmp_path: Path) -> None:
    plain, other = tmp_path / "plain.db", tmp_path / "other.db"
    for module, path, unlock in ((sqlite3, plain, "user_version"), (sqlcipher, other, f"key = \"x'{KEY.hex()}'\"")):
        connection = module.connect(str(path))
        connection.execute(f"PRAGMA {unlock}")
        connection.execute("CREATE TABLE something (else_ TEXT)")
        connection.close()
    before = plain.read_bytes()
    for path, words in (
        (plain, "is an SQLite file in plain text and no vault"),
        (other, "SQLCipher file but no token vault"),
        (tmp_path / "none" / "tokens.db", "cannot be made .No such file or directory"),
        (tmp_path, "cannot be opened or written"),
    ):
        with refused(words):
            TokenVault(path, KEY)
    assert plain.read_bytes() == before


def test_a_closed_vault_answers_nothing(filled: Path) -> None:
    vault = TokenVault(filled, KEY)
    assert "open" in repr(vault)
    vault.close()
    vault.close()
    with refused("is closed: open it again"):
        vault.token(["a"])
    assert "closed" in repr(vault)
    assert KEY.hex() not in repr(vault)


def test_a_locked_vault_is_named(filled: Path) -> None:
    with TokenVault(filled, KEY) as first, TokenVault(filled, KEY) as second:
        first._connection.execute("BEGIN IMMEDIATE")
        second._connection.execute("PRAGMA busy_timeout = 50")
        with refused("is in use by another program"):
            second.token(["a"])
        first._connection.execute("ROLLBACK")
        assert second.token(["a"])


def test_a_file_cut_short_anywhere_is_refused(filled: Path) -> None:
    whole = filled.read_bytes()
    for length in [*range(0, len(whole), 4096), 1, 15, 16, 17, 100, 4095, len(whole) - 1, len(whole) - 100]:
        filled.write_bytes(whole[:length])
        with refused("is empty or cut short|does not open|is damaged"):
            TokenVault(filled, KEY)


def test_any_flipped_byte_is_refused(filled: Path) -> None:
    whole = filled.read_bytes()
    positions = [*range(0, len(whole), len(whole) // 250), *range(16), *range(4096 - 80, 4096), len(whole) - 1]
    assert len(positions) > 300
    for position in positions:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << (position % 8)
        filled.write_bytes(damaged)
        with refused("does not open|is damaged"):
            TokenVault(filled, KEY)
