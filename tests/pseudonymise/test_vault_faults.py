"""What the system can refuse a vault (said in `files`): the old file stays whole, no half of a new one is left.

The refusals are real: a limit on the size of files (EFBIG, which takes the way of a full disk), a folder that may not
be written, a kill in the middle of a change.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from ppml_helpers.pseudonymise.vault import ShredStore, TokenVault, read_as, write_encrypted

REPOSITORY = Path(__file__).resolve().parents[2]
KEY = bytes(range(32))
NEW = bytes(range(32, 64))
NAMES = [f"Beispiel {number}" for number in range(300)]
TABLE = pd.DataFrame({"name": NAMES})

pytestmark = pytest.mark.skipif(os.name == "nt", reason="limits, permissions and signals as on Linux and macOS")

START = """
import os, resource, signal, sys
from pathlib import Path
import pandas as pd
from ppml_helpers.errors import VaultError
from ppml_helpers.pseudonymise.vault import ShredStore, TokenVault, write_encrypted

folder, KEY, NEW = Path(sys.argv[1]), bytes(range(32)), bytes(range(32, 64))

def limit(size):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails with EFBIG and does not kill
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

def refused(step):
    try:
        step()
    except VaultError as error:
        print(error)
    else:
        sys.exit("was not refused")
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START + textwrap.dedent(code), str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def told(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the sentences of the refusals, of a process that met nothing else."""
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# ----------------------------------------------------------------------------------------- no more room for a file


def test_parquet_without_room(tmp_path: Path) -> None:
    path = write_encrypted(TABLE, tmp_path / "x.parquet", {"a": ["name"]}, {"a": KEY}, "a")
    before = path.read_bytes()
    lines = told(
        run(
            """
            table = pd.DataFrame({"name": [os.urandom(50).hex() for _ in range(1000)]})
            for size in (0, 1, 1000, 50_000):
                limit(50_000) if size == 50_000 else resource.setrlimit(resource.RLIMIT_FSIZE, (size, 50_000))
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                for name in ("x.parquet", "new.parquet"):
                    refused(lambda: write_encrypted(table, folder / name, {"a": ["name"]}, {"a": NEW}, "a"))
            """,
            tmp_path,
        )
    )
    assert len(lines) == 8
    assert all("cannot be written (File too large): free the disk" in line for line in lines)
    assert names_in(tmp_path) == {"x.parquet"}
    assert path.read_bytes() == before
    assert read_as(path, {"a": KEY}).equals(TABLE)


def test_a_token_vault_without_room(tmp_path: Path) -> None:
    path = tmp_path / "tokens.db"
    with TokenVault(path, KEY) as vault:
        tokens = list(vault.token(NAMES))
    lines = told(
        run(
            """
            limit((folder / "tokens.db").stat().st_size)
            with TokenVault(folder / "tokens.db", KEY) as vault:
                refused(lambda: vault.token([f"new {number}" for number in range(5000)]))
                assert len(vault) == 300
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
            refused(lambda: TokenVault(folder / "new.db", KEY))
            """,
            tmp_path,
        )
    )
    assert len(lines) == 2
    assert all("cannot be opened or written" in line for line in lines), lines
    with TokenVault(path, KEY) as vault:
        assert len(vault) == 300
        assert list(vault.identify(tokens, "test")) == NAMES
    assert names_in(tmp_path) == {"tokens.db"}


def test_a_shred_store_without_room(tmp_path: Path) -> None:
    store = ShredStore(tmp_path / "store", KEY)
    store.put_many({name: f"record of {name}" for name in NAMES})
    lines = told(
        run(
            """
            store = ShredStore(folder / "store", KEY)
            limit(store.data_file.stat().st_size)
            refused(lambda: store.put_many({f"new {number}": "x" * 100 for number in range(3000)}))
            refused(lambda: store.put_many({"Beispiel 3": "x" * 1_000_000}))
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
            refused(lambda: store.erase("Beispiel 3"))
            assert store.get("Beispiel 3") == b"record of Beispiel 3"
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
            refused(lambda: ShredStore(folder / "new", KEY))
            """,
            tmp_path,
        )
    )
    assert len(lines) == 4
    assert all("cannot be" in line and "free the disk" in line for line in lines)
    again = ShredStore(tmp_path / "store", KEY)
    assert again.patients() == sorted(NAMES)
    assert all(again.get(name) == f"record of {name}".encode() for name in NAMES)
    assert names_in(tmp_path / "store") == {"keys.db", "data.db"}
    assert names_in(tmp_path / "new") == set()


# -------------------------------------------------------------------------------------------- a folder shut for writing


@pytest.fixture
def shut() -> Iterator[Path]:
    """A folder that everybody may read and nobody but root may write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with TokenVault(folder / "tokens.db", KEY) as vault:
            vault.token(NAMES)
        ShredStore(folder / "store", KEY).put_many({"p1": "x"})
        write_encrypted(TABLE, folder / "x.parquet", {"a": ["name"]}, {"a": KEY}, "a")
        everything = [*folder.rglob("*"), folder]
        for path in everything:
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield folder
        for path in everything:
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_a_folder_that_may_not_be_written(shut: Path) -> None:
    before = {path: path.read_bytes() for path in shut.rglob("*") if path.is_file()}
    lines = told(
        run(
            """
            table = pd.DataFrame({"name": ["a"]})
            if os.geteuid() == 0:  # root may write everywhere, so go on as nobody
                pd.DataFrame(table).to_parquet(os.devnull)  # pyarrow imports some of itself at first use
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            for name in ("x.parquet", "new.parquet"):
                refused(lambda: write_encrypted(table, folder / name, {"a": ["name"]}, {"a": NEW}, "a"))
            with TokenVault(folder / "tokens.db", KEY) as vault:
                assert len(vault) == 300
                refused(lambda: vault.token(["new"]))
            refused(lambda: TokenVault(folder / "new.db", KEY))
            store = ShredStore(folder / "store", KEY)
            assert store.get("p1") == b"x"
            refused(lambda: store.put_many({"p2": "y"}))
            refused(lambda: store.erase("p1"))
            refused(lambda: ShredStore(folder / "new", KEY))
            """,
            shut,
        )
    )
    assert len(lines) == 7
    assert all(any(word in line for word in ("Permission denied", "readonly")) for line in lines), lines
    assert {path: path.read_bytes() for path in shut.rglob("*") if path.is_file()} == before


# ------------------------------------------------------------------------------------------- killed in the middle


def test_a_token_vault_killed_in_the_middle_of_a_change(tmp_path: Path) -> None:
    path = tmp_path / "tokens.db"
    with TokenVault(path, KEY) as vault:
        tokens = list(vault.token(NAMES))
    before = path.read_bytes()
    done = run(
        """
        import secrets
        vault = TokenVault(folder / "tokens.db", KEY)
        vault._connection.execute("PRAGMA cache_size = 10")  # pages reach the file before the change is complete
        def ids():
            for number in range(20_000):
                yield f"Beispiel new {number}", secrets.token_hex(16)
            os.kill(os.getpid(), signal.SIGKILL)
        vault._connection.execute("BEGIN IMMEDIATE")
        vault._connection.executemany("INSERT INTO people VALUES (?, ?)", ids())
        """,
        tmp_path,
    )
    assert done.returncode == -signal.SIGKILL
    assert names_in(tmp_path) == {"tokens.db", "tokens.db-journal"}
    assert path.read_bytes() != before
    assert all(b"Beispiel" not in file.read_bytes() for file in tmp_path.iterdir())
    with TokenVault(path, KEY) as vault:
        assert len(vault) == 300
        assert list(vault.identify(tokens, "test")) == NAMES
    assert names_in(tmp_path) == {"tokens.db"}
