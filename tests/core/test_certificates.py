"""`certificates`: a server is trusted under its own addresses, and only for what its authority signed."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from handshake import visit

from ppml_helpers.certificates import ADDRESS, Pair
from ppml_helpers.files import write_secret


def written(folder: Path, **pairs: Pair) -> dict[str, Path]:
    for name, pair in pairs.items():
        write_secret(folder / f"{name}.crt", pair.certificate)
        write_secret(folder / f"{name}.key", pair.key)
    return {name: folder / f"{name}.crt" for name in pairs}


def test_a_server_is_trusted_under_its_own_addresses_by_who_knows_its_authority(tmp_path: Path) -> None:
    authority = Pair("authority", signs=True)
    other, server, alone = Pair("authority", signs=True), Pair("a", authority, serves=True), Pair("b", serves=True)
    party = Pair("party 7", authority)
    at = written(tmp_path, authority=authority, other=other, server=server, alone=alone, party=party)
    for shown, trusted, name in [
        *(("server", "authority", own) for own in (ADDRESS, "localhost")),
        ("alone", "alone", ADDRESS),
        ("party", "authority", "party 7"),
    ]:
        visit(at[shown], at[shown].with_suffix(".key"), at[trusted], name)
    for shown, trusted, name in [
        ("server", "authority", "hospital.example"),
        ("server", "other", ADDRESS),  # of the same name
        ("alone", "authority", ADDRESS),
        ("party", "authority", ADDRESS),
        ("party", "authority", "party 8"),
    ]:
        with pytest.raises(ssl.SSLCertVerificationError):
            visit(at[shown], at[shown].with_suffix(".key"), at[trusted], name)


@pytest.mark.parametrize("between", [Pair("between"), Pair("between", serves=True)])
def test_who_was_signed_signs_nobody(tmp_path: Path, between: Pair) -> None:
    """Nor does an authority that an authority signed: a chain is one link long."""
    authority = Pair("authority", signs=True)
    for number, middle in enumerate((Pair("m", authority, serves=True), Pair("m", authority, signs=True), between)):
        folder = tmp_path / str(number)
        folder.mkdir()
        at = written(folder, authority=authority, end=Pair("a", middle, serves=True))
        chain = folder / "chain.crt"
        chain.write_bytes(at["end"].read_bytes() + middle.certificate)
        with pytest.raises(ssl.SSLCertVerificationError):
            visit(chain, at["end"].with_suffix(".key"), at["authority"], ADDRESS)


@pytest.mark.skipif(os.name == "nt", reason="permissions as on Linux and macOS")
def test_a_secret_is_its_owners_alone_and_never_written_over_another(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        file = write_secret(tmp_path / "secret", b"1")
    finally:
        os.umask(mask)
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_secret(file, b"2")
    assert file.read_bytes() == b"1"
