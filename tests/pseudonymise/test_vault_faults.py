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
NAMES = [f"Beispiel {number}" for number in range(300)]
TABLE = pd.DataFrame({"name": NAMES})

pytestmark = pytest.mark.skipif(os.name == "nt", reason="limits, permissions and signals as on Linux and macOS")

START = """
import os, resource, signal, sys
from pathlib import Path
import pandas as pd
from ppml_helpers.errors import VaultError
from ppml_helpers.pseudonymise.vault import ShredStore, TokenVault, write_encrypted

folder, KEY, NEW = Path(sys.argv[1]), bytes(range(32)), bytes(range(1, 33))
_, MOST = resource.getrlimit(resource.RLIMIT_FSIZE)

def limit(size):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails with EFBIG and does not kill
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, MOST))

def refused(step):
    try:
        step()
    except VaultError as error:
        print(error)
    else:
        sys.exit("was not refused")

def encrypt(names):
    for name in ("x.parquet", "new.parquet"):
        refused(lambda: write_encrypted(pd.DataFrame({"name": names}), folder / name, {"a": ["name"]}, {"a": NEW}, "a"))
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


class Vaults:
    """One of each in a folder, filled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with TokenVault(folder / "tokens.db", KEY) as vault:
            self.tokens = list(vault.token(NAMES))
        ShredStore(folder / "store", KEY).put_many({name: f"record of {name}" for name in NAMES})
        write_encrypted(TABLE, folder / "x.parquet", {"a": ["name"]}, {"a": KEY}, "a")
        self.files = self.content()

    def content(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}

    def check_whole(self) -> None:
        """Everything can be read as before, and no half of a new file is there."""
        with TokenVault(self.folder / "tokens.db", KEY) as vault:
            assert len(vault) == 300
            assert list(vault.identify(self.tokens, "test")) == NAMES
        store = ShredStore(self.folder / "store", KEY)
        assert store.patients() == sorted(NAMES)
        assert all(store.get(name) == f"record of {name}".encode() for name in NAMES)
        assert read_as(self.folder / "x.parquet", {"a": KEY}).equals(TABLE)
        assert set(self.content()) == {"tokens.db", "keys.db", "data.db", "x.parquet"}


@pytest.fixture
def vaults() -> Iterator[Vaults]:
    """In a folder that everybody may reach, and that may be shut for writing."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        vaults = Vaults(Path(name))
        yield vaults
        for path in [vaults.folder, *vaults.folder.rglob("*")]:
            path.chmod(0o755)


def test_no_more_room_for_a_file(vaults: Vaults) -> None:
    lines = told(
        run(
            """
            for size in (0, 1, 1000, 50_000):
                limit(size)
                encrypt([os.urandom(50).hex() for _ in range(1000)])
            limit((folder / "tokens.db").stat().st_size)
            with TokenVault(folder / "tokens.db", KEY) as vault:
                refused(lambda: vault.token([f"new {number}" for number in range(5000)]))
                assert len(vault) == 300
            limit(100)
            refused(lambda: TokenVault(folder / "new.db", KEY))
            limit(MOST)
            store = ShredStore(folder / "store", KEY)
            limit(store.data_file.stat().st_size)
            refused(lambda: store.put_many({f"new {number}": "x" * 100 for number in range(3000)}))
            refused(lambda: store.put_many({"Beispiel 3": "x" * 1_000_000}))
            limit(4096)
            refused(lambda: store.erase("Beispiel 3"))
            assert store.get("Beispiel 3") == b"record of Beispiel 3"
            limit(100)
            refused(lambda: ShredStore(folder / "new", KEY))
            """,
            vaults.folder,
        )
    )
    assert len(lines) == 14
    assert all("cannot be written (File too large): free the disk" in line for line in lines[:8])
    assert all("cannot be" in line and "free the disk" in line for line in lines[8:]), lines
    vaults.check_whole()
    assert vaults.content()["x.parquet"] == vaults.files["x.parquet"]


def test_a_folder_that_may_not_be_written(vaults: Vaults) -> None:
    for path in [*vaults.folder.rglob("*"), vaults.folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    lines = told(
        run(
            """
            if os.geteuid() == 0:  # root may write everywhere, so go on as nobody
                pd.DataFrame({"name": ["a"]}).to_parquet(os.devnull)  # pyarrow imports some of itself at first use
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            encrypt(["a"])
            with TokenVault(folder / "tokens.db", KEY) as vault:
                assert len(vault) == 300
                refused(lambda: vault.token(["new"]))
            refused(lambda: TokenVault(folder / "new.db", KEY))
            store = ShredStore(folder / "store", KEY)
            assert store.get("Beispiel 3") == b"record of Beispiel 3"
            refused(lambda: store.put_many({"p2": "y"}))
            refused(lambda: store.erase("Beispiel 3"))
            refused(lambda: ShredStore(folder / "new", KEY))
            """,
            vaults.folder,
        )
    )
    assert len(lines) == 7
    assert all(any(word in line for word in ("Permission denied", "readonly")) for line in lines), lines
    assert vaults.content() == vaults.files


def test_a_token_vault_killed_in_the_middle_of_a_change(vaults: Vaults) -> None:
    done = run(
        """
        import secrets
        vault = TokenVault(folder / "tokens.db", KEY)
        vault._connection.execute("PRAGMA cache_size = 10")  # pages reach the file before the change is complete
        def ids():
            for number in range(3_000):
                yield f"Beispiel new {number}", secrets.token_hex(16)
            os.kill(os.getpid(), signal.SIGKILL)
        vault._connection.execute("BEGIN IMMEDIATE")
        vault._connection.executemany("INSERT INTO people VALUES (?, ?)", ids())
        """,
        vaults.folder,
    )
    assert done.returncode == -signal.SIGKILL
    left = vaults.content()
    assert set(left) - set(vaults.files) == {"tokens.db-journal"}
    assert left["tokens.db"] != vaults.files["tokens.db"]
    assert all(b"Beispiel" not in left[name] for name in ("tokens.db", "tokens.db-journal"))
    vaults.check_whole()
