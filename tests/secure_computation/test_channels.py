"""MPyC's connections: on the loopback alone, and only for who has a certificate of this run."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

import pytest
from handshake import meet

from ppml_helpers.secure_computation import channels


def context(folder: Path, rank: int, purpose: ssl.Purpose) -> ssl.SSLContext:
    made = ssl.create_default_context(purpose, cafile=folder / channels.FOLDER / "mpyc_ca.crt")
    files = folder / channels.FOLDER
    made.load_cert_chain(files / f"party_{rank}.crt", files / f"party_{rank}.key")
    made.verify_mode = ssl.CERT_REQUIRED
    return made


@pytest.mark.parametrize("stranger", [False, True])
def test_a_party_of_another_run_is_not_let_in(tmp_path: Path, stranger: bool) -> None:
    folders = tmp_path / "ours", tmp_path / "theirs"
    for folder in folders:
        folder.mkdir()
        for listener in channels.prepare(folder, 2):
            assert listener.getsockname()[0] == "127.0.0.1"
            listener.close()
    assert {stat.S_IMODE(file.stat().st_mode) for file in (folders[0] / channels.FOLDER).iterdir()} == {0o600}
    sides = context(folders[0], 1, ssl.Purpose.CLIENT_AUTH), context(folders[stranger], 0, ssl.Purpose.SERVER_AUTH)
    if stranger:
        with pytest.raises(ssl.SSLError):
            meet(*sides, "MPyC party 1")
    else:
        _, server = meet(*sides, "MPyC party 1")
        assert server.getpeercert()["subject"] == ((("commonName", "MPyC party 0"),),)
