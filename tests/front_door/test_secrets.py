"""Nothing that the kit hands out holds a secret, a folder or a host of the machine that made it."""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import NOT_THE_COURSE

REPO = Path(__file__).resolve().parents[2]
# Some files of the tests hold made-up secrets, on purpose.
LEFT_OUT = (*NOT_THE_COURSE, "tests", ".hypothesis")
PICTURE = re.compile(r'"image/png": "([\w+/=\\]+)"')
SECRETS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "a token": r"\b(?:gh[pousr]_|github_pat_|glpat-|hf_|xox[abprs]-|sk-|AKIA|AIza|pypi-AgE|npm_)[\w-]{16,}",
    "a web token": r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}",
    "a token of Jupyter's": r"token=[0-9a-f]{16,}",
    "a password in an address": r"://[^\s/:@'\"]+:[^\s/@'\"{}<>]+@",
    "a home": r"(?:/home/(?!learner\b)|/Users/|[A-Z]:\\{1,2}Users\\{1,2}|(?<![\w.])/root/)\w",
    "an index of one's own": r"(?:https?|file)://(?!pypi\.org|registry\.npmjs\.org)[\w.:-]*/?(?:\S*/)?\+?simple\b"
    r"|\b(?:pypi|npm|registry|devpi|nexus|artifactory)\.(?!org\b|npmjs\b|k8s\.io\b)\w+\.\w+",
    "an address inside a network": r"(?<![\d.])(?:10\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+(?![\d.])",
}


def found(text: str) -> list[str]:
    """Return what stands in a text and should not, each with its kind."""
    here = [str(Path.home()), str(REPO), socket.gethostname()]
    kinds = SECRETS | {"this machine": "|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in here if len(word) > 5)}
    return [f"{kind}: {hit[0][:60]}" for kind, pattern in kinds.items() for hit in re.finditer(pattern, text)]


def told_by_a_picture(png: bytes) -> str:
    """Return what a PNG says beside its pixels: comments, programs, times, places."""
    said, at = "", 8
    while at + 8 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        if kind in (b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"tIME"):
            said += f"{kind.decode()} {png[at + 8 : at + 8 + length].decode('latin-1')}\n"
        at += 12 + length
    return said


def handed_out(folder: Path = REPO) -> Iterator[Path]:
    """Yield the files that a clone has, where somebody has worked in it too."""
    for path in sorted(folder.iterdir()):
        if not any(path.match(name) for name in LEFT_OUT):
            yield from handed_out(path) if path.is_dir() else [path]


def spoken(path: Path) -> str:
    """Return the text of a file, and what its pictures say."""
    if path.suffix == ".png":
        return told_by_a_picture(path.read_bytes())
    text = path.read_text("utf-8", errors="replace")
    if path.suffix == ".ipynb":
        pictures = [base64.b64decode(json.loads(f'"{code}"')) for code in PICTURE.findall(text)]
        return PICTURE.sub("", text) + "".join(map(told_by_a_picture, pictures))
    return text


def test_no_file_of_the_kit_holds_a_secret_or_names_the_machine_that_made_it() -> None:
    files = [path for path in handed_out() if path.suffix != ".gz"]
    assert {"README.md", "05_private_training.ipynb", "attack.json"} <= {path.name for path in files}
    wrong = {str(path.relative_to(REPO)): hits for path in files if (hits := found(spoken(path)))}
    assert wrong == {}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("-----BEGIN RSA PRIVATE KEY-----", "a private key"),
        ("ghp_0123456789abcdefABCD", "a token"),
        ("key=hf_0123456789abcdefABCD", "a token"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.x", "a web token"),
        ("http://127.0.0.1:8888/lab?token=0123456789abcdef01", "a token of Jupyter's"),
        ("https://ada:secret@example.org", "a password in an address"),
        ('"saved to /home/ada/x"', "a home"),
        ('"C:\\\\Users\\\\ada"', "a home"),
        ("Looking in indexes: https://clinic.example/root/pypi/+simple", "an index of one's own"),
        ("--extra-index-url file:///srv/wheels/simple", "an index of one's own"),
        ("from pypi.clinic.example", "an index of one's own"),
        ("reached 192.168.1.7", "an address inside a network"),
        (f"in {REPO}/x", "this machine"),
    ],
)
def test_each_kind_is_found(text: str, kind: str) -> None:
    assert kind in [hit.split(":")[0] for hit in found(text)]


def test_what_a_picture_says_is_read(tmp_path: Path) -> None:
    chunk = b"tEXtAuthor\0made in /home/ada/x"
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(chunk) - 4) + chunk + b"\0\0\0\0"
    (tmp_path / "x.png").write_bytes(png)
    (tmp_path / "x.ipynb").write_text(f'{{"image/png": "{base64.b64encode(png).decode()}\\n"}}')
    assert [found(spoken(tmp_path / name)) for name in ("x.png", "x.ipynb")] == [["a home: /home/a"]] * 2
