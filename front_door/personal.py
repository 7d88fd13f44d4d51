"""Take out of a text what tells whose it is: names, folders, addresses, secrets. For what people send to others."""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
import sys
import tempfile
import unicodedata
from pathlib import Path
from urllib.parse import quote, urlsplit

from front_door import places

# Accounts that many machines have: no person's names, and "root" is a word of many a message.
_NOBODY = {"root", "user", "runner", "jovyan", "vscode", "ubuntu", "localhost"}
# Folders below which nothing is a person's own, and the files that the kit has beside a person's.
_SYSTEM = r"(?:usr|bin|sbin|lib|proc|sys|dev|Applications|Library|System)/"
_OURS = r"\.venvs?|\.kit|front_door|ppml_helpers|jupyter_config|tests|kit\.py|pyproject\.toml|requirements[\w-]*\.\w+"
_SECRET = r"(?:token|passw|passphrase|secret|api.?key|authorization|cookie)\w*[\"']?\s*[=:]"
_PYTHON = re.compile(r"[/\\](?:(?:bin|Scripts)[/\\])?python[\d.]*(?:\.exe)?(?![\w./\\-])")
_DATA = "support2.csv.gz", "SHA256SUMS"

_PATTERNS = (
    # This machine's own addresses stay, without what is asked there; all others go with whatever stands in them.
    (re.compile(r"\b(https?://(?:127\.0\.0\.1|localhost)(?::\d+)?)[^\s'\"<>]*"), r"\1"),
    (re.compile(r"\b[a-z][a-z0-9+.-]*://(?!127\.0\.0\.1|localhost).*", re.IGNORECASE), "<address>"),
    (re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)*"), "<e-mail>"),
    (re.compile(rf"({_SECRET}).*", re.IGNORECASE), r"\1 <secret>"),
    (re.compile(r"\b(bearer|basic|token) (?=\S*\d)\S{8,}", re.IGNORECASE), r"\1 <secret>"),
    (re.compile(r"\b(?=\w*\d)(?=\w*[A-Za-z])\w{20,}", re.ASCII), "<token>"),
    (re.compile(r"(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[\w-]{24,}", re.ASCII), "<token>"),
    (re.compile(r"(?<![\d.])(?!127\.|0\.0\.0\.0)(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"), "<ip>"),
    (re.compile(r"(?<![\w:])(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{1,4}(?![\w:])", re.IGNORECASE), "<ip>"),
    # Where a path ends nobody knows, since it may hold blanks: the rest of the line goes with it.
    (re.compile(rf"(?<![\w<>./~\\-])/(?!{_SYSTEM})[^\s/].*"), "<path>"),
    (re.compile(r"(?<!\w)(?:~|[A-Za-z]:[\\/]|\\\\)(?!\s|Program Files).*"), "<path>"),
)  # fmt: skip


def words_here(root: Path = places.ROOT) -> dict[str, str]:
    """Return what names the person, the machine and their folders, each with what is to stand in its place."""
    folders = {Path.cwd(): "<here>", Path(sys.prefix): "<python>", Path(sys.base_prefix): "<python>"}
    folders |= {Path(tempfile.gettempdir()): "<temp>", _home(): "<home>", root: "<kit>"}
    told = {str(spelled): mark for path, mark in folders.items() for spelled in (path, path.resolve())}
    if os.environ.get("KIT_CHROMIUM"):
        told[os.environ["KIT_CHROMIUM"]] = "<browser>"
    told |= dict.fromkeys(_persons(), "<user>")
    told |= dict.fromkeys((socket.gethostname(), socket.gethostname().partition(".")[0]), "<host>")
    for name, value in os.environ.items():
        if re.search("proxy|url|index", name, re.IGNORECASE):
            told |= _parts_of_an_address(value)
    kept = {word: mark for word, mark in told.items() if len(word) > 1 and word.lower() not in _NOBODY}
    return {word: mark for word, mark in kept.items() if not re.fullmatch(r"/\w{0,4}", word)}  # "/usr" is nobody's


def _home() -> Path:
    """Return the person's home; a user id without a name may have none, at which ``Path.home`` raises."""
    return Path(os.path.expanduser("~"))


def _persons() -> set[str]:
    """Return the account's name, the full name behind it and its parts, and the name of the home folder."""
    names = {_home().name, *(os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME"))}
    try:
        import pwd

        entry = pwd.getpwuid(os.getuid())
        full = entry.pw_gecos.partition(",")[0]
        names |= {getpass.getuser(), entry.pw_name, full, *full.split()}
    except (ImportError, KeyError, OSError, AttributeError):
        pass  # Windows, or a user id without a name
    return names


def _parts_of_an_address(address: str) -> dict[str, str]:
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        found = {parts.username: "<user>", parts.password: "<secret>", parts.hostname: "<host>"}
    except ValueError:
        return {address: "<address>"}
    return {word: mark for word, mark in found.items() if word}


def _spellings(word: str) -> set[str]:
    """Return a word as programs write it: composed or not, escaped, quoted, or garbled by another encoding."""
    forms = {word, unicodedata.normalize("NFC", word), unicodedata.normalize("NFD", word)}
    forms |= {form.replace("\\", other) for form in forms for other in ("/", "\\\\")}
    spelled = set(forms)
    for form in forms:
        spelled |= {quote(form), quote(form, safe=""), json.dumps(form)[1:-1], form.encode("ascii", "replace").decode()}
        raw = form.encode("utf-8", "replace")
        spelled |= {form.encode("unicode_escape").decode(), str(raw)[2:-1]}
        spelled |= {raw.decode(name, "replace") for name in ("latin-1", "cp1252", "ascii")}
    return {form for form in spelled if len(form) > 1}


def anonymous(text: str, words: dict[str, str], chapters: tuple[str, ...] = ()) -> str:
    """Return a text without what tells whose it is.

    Parameters
    ----------
    text
        Lines for people; each is looked at alone.
    words
        What `words_here` found.
    chapters
        The names of the course's own notebooks. What else stands below a folder of a person goes, with the rest of
        its line.
    """
    marks = {spelled.lower(): mark for word, mark in words.items() for spelled in _spellings(word)}
    longest = sorted(marks, key=len, reverse=True)
    known = re.compile("|".join(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])" for word in longest) or "(?!)", re.I)
    files = "|".join(map(re.escape, (*chapters, *_DATA)))
    theirs = rf"(?:data|notebooks)(?:[/\\]+(?:{files})(?![\w.-])|(?![\w./\\-]))"
    ours = re.compile(rf"[/\\]+(?:(?:{_OURS})(?![\w.-])|{theirs}|$)", re.ASCII)
    return "\n".join(_line(line, known, marks, ours) for line in text.splitlines())


def _line(line: str, known: re.Pattern[str], marks: dict[str, str], ours: re.Pattern[str]) -> str:
    line = known.sub(lambda found: marks[found[0].lower()], line)
    for pattern, instead in _PATTERNS:
        line = pattern.sub(instead, line)
    for found in re.finditer(r"<(kit|home|temp|here|python|browser)>(?=[/\\])", line):
        kept = (
            ours if found[1] == "kit" else re.compile(r"[/\\](?:bin|Scripts)?[/\\]?python[\d.]*(?:\.exe)?(?![\w./\\-])")
        )
        if not kept.match(line, found.end()):
            return line[: found.end()]
    return line
