"""``kit.py doctor --bundle``: names and secrets are put into everything that it reads, and looked for in the zip."""

from __future__ import annotations

import itertools
import json
import tempfile
import unicodedata
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from front_door import bundle, commands, doctor, personal, places

# What must not be in it, in small letters and without accents; and every one of them was put in somewhere.
NEVER = (
    "zoe",
    "dupont",
    "meier",
    "unal",
    "klinik",
    "laptop",
    "geheim9",
    "ghp_",
    "deadbeef",
    "1944",
    "c34.1",
    "10.20.30",
)
LOG = """[I 2026-11-29 10:11:12.123 ServerApp] Serving local directory: {root}
[I 2026-11-29 10:11:12.124 ServerApp] http://127.0.0.1:8888/lab/tree/notebooks?token=deadbeef01deadbeef02deadbeef03
[W 2026-11-29 10:11:13.124 ServerApp] 404 GET /api/contents/Meier.ipynb (10.20.30.40) referer=https://klinik.example/x
[W 2026-11-29 10:11:14.124 ServerApp] Notebook {root}/notebooks/Frau Meier.ipynb is not trusted
[W 2026-11-29 10:11:14.125 ServerApp] Notebook {root}/notebooks/00_start_here.ipynb is not trusted
[E 2026-11-29 10:11:15.124 ServerApp] Could not open static file {quoted}/x, asked by zoe@klinik.example
Meier,1944,C34.1
    Traceback (most recent call last):
      File "{home}/lib/x.py", line 7, in meier
      File "{root}/front_door/lab.py", line 7, in serve
    ValueError: no patient Meier, born 1944
[C 2026-11-29 10:11:16.124 ServerApp] password: geheim9 wort, key ghp_0123456789abcdefABCDEF0123456789abcd
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a kit full of names and secrets, in the home of somebody who has a name."""
    home = tmp_path / "Zoé Dupont"
    root = home / "Frau Meier Ünal" / "kit"
    chromium = home / "Apps Meier" / "chromium"
    site = root / ".venv" / "lib" / "python3.11" / "site-packages"
    files: dict[Path, str] = {
        chromium: "",
        root / ".kit" / "logs" / "lab-1.log": LOG.format(root=root, home=home, quoted=json.dumps(str(root))[1:-1]),
        root / ".kit" / "jupyter" / "runtime" / "jupyter_cookie_secret": "deadbeef",
        root / ".results" / "answers.json": '{"Zoé": "geheim9"}',
        root / "notebooks" / "Frau Meier.ipynb": '{"cells": ["C34.1"]}',
        root / "notebooks" / "00_start_here.ipynb": "{}",
        root / "data" / "klinik.csv": "Meier,1944,C34.1\n",
        root / "requirements.lock": "numpy==1.2.3\ntorch==2.13.0\nabsent==1.0\n",
        root / "requirements-optional.lock": "onnx==1.0  # as Zoé DUPONT says\n",
        root / "pyproject.toml": '[project]\nname = "ppml-helpers"\nversion = "0.1.0"\n# Zoé Dupont\n',
        root / ".venv" / "kit-stamp.json": '{"key": "deadbeef", "entries": ["meier"]}',
        **{site / f"{name}.dist-info" / "METADATA": "" for name in ("numpy-1.2.3", "torch-2.12.0", "klinik_tools-1.0")},
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    (home / "tmp Meier").mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setattr(tempfile, "tempdir", str(home / "tmp Meier"))
    monkeypatch.setattr(personal.socket, "gethostname", lambda: "zoes-laptop.klinik.example")
    monkeypatch.setattr(personal.sys, "executable", str(home / "python meier" / "bin" / "python3"))
    monkeypatch.setattr(personal.sys, "prefix", str(home / "python meier"))
    person = SimpleNamespace(pw_name="zdupont", pw_gecos="Zoé Dupont-Ünal,Klinik,10.20.30", pw_dir=str(home))
    monkeypatch.setattr("pwd.getpwuid", lambda number: person, raising=False)
    values = {"HOME": str(home), "USERPROFILE": str(home), "LOGNAME": "zdupont", "KIT_CHROMIUM": str(chromium)}
    values |= {"HTTPS_PROXY": "http://zdupont:geheim9wort@proxy.klinik.example:3128", "GITHUB_TOKEN": "ghp_0123456789"}
    values |= {"PIP_INDEX_URL": "https://klinik:ghp_01234567@pypi.klinik.example", "PYTHONPATH": f"{home}/meier"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return root


def flat(text: str) -> str:
    """Return a text in small letters, without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).lower()


def test_nothing_that_names_anybody_is_in_the_zip(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.doctor(root, bundle=str(root.parent / "out.zip")) == 1
    printed = capsys.readouterr().out
    assert "Look through it before you send it" in printed
    with zipfile.ZipFile(root.parent / "out.zip") as archive:
        parts = {info.filename: archive.read(info).decode() for info in archive.infolist()}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    raw = (root.parent / "out.zip").read_bytes().decode("latin-1")
    texts = [*parts.values(), *map(json.dumps, parts.values()), *parts, raw]
    assert [pair for pair in itertools.product(NEVER, texts) if pair[0] in flat(pair[1])] == []
    put_in = flat(printed + LOG + str(root) + personal.socket.gethostname())
    assert [word for word in NEVER if word not in put_in] == []


def test_what_helps_to_mend_it_is_in_the_zip(root: Path) -> None:
    doctor.doctor(root, bundle="out.zip")
    with zipfile.ZipFile("out.zip") as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert set(parts) == {"about.txt", "findings.txt", "packages.txt", "system.json", "log-1.txt"}
    assert "-> run 'git checkout data' or fetch the folder data/ from the kit again" in parts["findings.txt"]
    assert "the kit's folder can be written to (<kit>)" in parts["findings.txt"]
    assert "(<python>/bin/python3)" in parts["findings.txt"]
    assert parts["packages.txt"].splitlines() == [
        ".venv: made, stamp: there",
        *("numpy 1.2.3", "torch 2.13.0: 2.12.0", "absent 1.0: not there", "onnx 1.0: not there"),
        "packages that are not the kit's: 1",
    ]
    system = json.loads(parts["system.json"])
    assert system["kit"] == "0.1.0"
    assert {"PYTHONPATH", "PIP_INDEX_URL", "HTTPS_PROXY"} <= set(system["set"])
    assert "[W ServerApp] Notebook <kit>/notebooks/00_start_here.ipynb is not trusted" in parts["log-1.txt"]
    assert "  line 7 of <kit>/front_door/lab.py" in parts["log-1.txt"]


def test_a_file_of_somebodys_stays_and_one_of_ours_is_renewed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, content in (("thesis.zip", b"mine"), ("notes.txt", b"")):
        Path(name).write_bytes(content)
        with pytest.raises(bundle.Stop, match=f"{name} is there already and was not written by this command"):
            bundle.bundle(name, [], root)
        assert Path(name).read_bytes() == content
    assert bundle.bundle("out.zip", ["one"], root) == bundle.bundle("out.zip", ["two"], root)
    with pytest.raises(bundle.Stop, match="cannot be written"):
        bundle.bundle("absent/out.zip", [], root)


def test_without_the_option_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(doctor, "doctor", lambda bundle: asked.append(bundle) or 0)
    monkeypatch.chdir(tmp_path)
    for words in (["doctor"], ["doctor", "--bundle"], ["doctor", "--bundle", "x.zip"]):
        commands.main(words)
    assert asked == ["", "kit-bundle.zip", "x.zip"]
    assert places.ROOT.is_dir()
