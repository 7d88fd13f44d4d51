"""What is sent to others names nobody: each kind of name, folder, address and secret is put in, and looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from front_door import personal

HOME = "/home/hélène dupont"
WORDS = {
    HOME: "<home>",
    f"{HOME}/cours ÿ/kit": "<kit>",
    "hélène": "<user>",
    "hdupont": "<user>",
    "charite-7": "<host>",
    "C:\\Users\\Jürg Zäch": "<home>",
}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f"{HOME}/cours ÿ/kit/.venv cannot be read", "<kit>/.venv cannot be read"),
        (f"in {HOME}/cours ÿ/kit/notebooks/05_x.ipynb: no", "in <kit>/notebooks/05_x.ipynb: no"),
        (f"in {HOME}/cours ÿ/kit/notebooks/Frau Meier.ipynb: no", "in <kit>"),
        (f"in {HOME}/cours ÿ/kit/data/clinic.csv", "in <kit>"),
        (f"in {HOME}/cours ÿ/kit/data/support2.csv.gz.meier", "in <kit>"),
        (f"saved to {HOME}/Frau Meier/report.html", "saved to <home>"),
        (f"({HOME!a})", "('<home>')"),
        ("/home/he\u0301le\u0300ne dupont is full", "<home> is full"),
        ("/home/h%C3%A9l%C3%A8ne%20dupont is full", "<home> is full"),
        ("/home/h\\u00e9l\\u00e8ne dupont is full", "<home> is full"),
        ("b'/home/h\\xc3\\xa9l\\xc3\\xa8ne dupont' is full", "b'<home>' is full"),
        ("/home/h?l?ne dupont is full", "<home> is full"),
        ("/home/hÃ©lÃ¨ne dupont is full", "<home> is full"),
        ("C:\\Users\\Jürg Zäch is full", "<home> is full"),
        ("'C:\\\\Users\\\\Jürg Zäch' is full", "'<home>' is full"),
        ("/home/helene/other is full", "<path>"),
        ("D:\\Patienten\\Meier is full", "<path>"),
        ("\\\\server\\share\\Meier", "<path>"),
        ("~meier/x", "<path>"),
        ("Hélène and HDUPONT on CHARITE-7.example.org", "<user> and <user> on <host>.example.org"),
        ("by anna.meier+x@clinic.example.org.", "by <e-mail>."),
        ("from https://anna:pa ss@clinic.example.org/simple", "from <address>"),
        ("at http://127.0.0.1:8888/lab?token=abc1 now", "at http://127.0.0.1:8888 now"),
        ("JUPYTER_TOKEN=abc def", "JUPYTER_TOKEN= <secret>"),
        ('"password": "x y"', '"password": <secret>'),
        ("sent Bearer abc12345", "sent Bearer <secret>"),
        ("with ghp_0123456789abcdefABCDEF in it", "with <token> in it"),
        ("10.1.2.3 and fe80:0:0:0:1:2:3:4", "<ip> and <ip>"),
    ],
)
def test_what_tells_whose_it_is_goes(line: str, told: str) -> None:
    assert personal.anonymous(line, WORDS, ("05_x.ipynb",)) == told


@pytest.mark.parametrize(
    "line",
    [
        "Python 3.11.7 (/usr/bin/python3.11) on Linux-6.1-x86_64-with-glibc2.36",
        "the data file is not the published one (its SHA-256 is 0123456789ab...)",
        "JupyterLab would use port 8888, at 127.0.0.1 and 10:31:51",
        "run 'python3 kit.py lab' and/or 'test': it sets up (openmined-psi==2.0.6, torch==2.13.0+cpu)",
        "dupontel and charite-77 are other words",
    ],
)
def test_what_helps_to_mend_stays(line: str) -> None:
    assert personal.anonymous(line, WORDS) == line


def test_the_words_of_this_person_are_found_wherever_the_system_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "Zoé"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "Zoé"))
    monkeypatch.setenv("LOGNAME", "zmartin")
    monkeypatch.setenv("https_proxy", "http://zoe:geheim9@proxy.clinic:3128")
    monkeypatch.setenv("NO_PROXY", "inside.clinic")
    monkeypatch.setattr(personal.socket, "gethostname", lambda: "zoes-laptop.clinic")
    words = personal.words_here(tmp_path / "kit")
    wanted = {str(tmp_path / "Zoé"): "<home>", str(tmp_path / "kit"): "<kit>", "zmartin": "<user>", "Zoé": "<user>"}
    wanted |= {"geheim9": "<secret>", "zoe": "<user>", "proxy.clinic": "<host>", "zoes-laptop": "<host>"}
    assert wanted.items() <= (words | {"inside.clinic": "<host>"}).items()
    monkeypatch.setenv("LOGNAME", "root")
    assert not {"root", "/", "/root", "/usr", ""} & set(personal.words_here())
