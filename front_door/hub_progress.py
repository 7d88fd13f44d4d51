"""What the lecturer's progress page of ``kit.py hub`` knows and shows: those who asked for it, and no more of them.

Nothing of anybody's work is kept here. The page is made anew from the stores in the learners' own folders whenever it
is looked at; kept are who agreed, and the key of the pseudonyms. The learners' folders are theirs, and whoever runs
this may have rights that they have not: so no link is followed, and no more is read than a store can hold.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import html
import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

Choice = Literal["no", "pseudonym", "name"]
LEAST = 5  # learners under a pseudonym, below which nothing of them is shown
MOST_BYTES = 65_536  # of a store: that of the whole course has some four thousand
STORE = ("course", ".progress", "progress.json")  # in a learner's home
_EXERCISE = re.compile(r'^check\("(\d\d[a-z]?\.\d+)"', re.MULTILINE)
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is mistaken for another when it is read aloud


class Work(NamedTuple):
    """The exercises that a learner has solved, and read hints of. Wrong answers are kept nowhere."""

    solved: frozenset[str] = frozenset()
    hinted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Row:
    """One who agreed, as the lecturer sees them; without `work` their store could not be read."""

    label: str
    named: bool
    work: Work | None


class Consents:
    """Who agreed to be shown, in a folder that only the hub reads.

    Parameters
    ----------
    folder : Path
        Made with mode 0700 if need be; holds the key and the list of those who agreed.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._list, self._lock, key = folder / "consents.json", folder / "lock", folder / "key"
        with contextlib.suppress(FileExistsError), open(key, "xb", opener=_for_us) as file:
            file.write(secrets.token_bytes(32))
        self._key = key.read_bytes()

    def all(self) -> dict[str, Choice]:
        """Return what each learner who agreed has chosen; whoever is not named has said no, or nothing yet."""
        try:
            return json.loads(self._list.read_text("utf-8"))
        except FileNotFoundError:
            return {}

    def choose(self, learner: str, choice: str) -> None:
        """Keep a learner's choice; "no" leaves nothing of them behind.

        Raises
        ------
        ValueError
            When the choice is none of "no", "pseudonym" and "name".
        """
        if choice not in get_args(Choice):
            raise ValueError(f"{choice!r} is no choice: take one of {', '.join(get_args(Choice))}.")
        with open(self._lock, "w", opener=_for_us) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            agreed = {name: kept for name, kept in self.all().items() if name != learner}
            if choice != "no":
                agreed[learner] = choice  # type: ignore[assignment]
            fresh = self._list.with_suffix(".new")
            with open(fresh, "w", encoding="utf-8", opener=_for_us) as file:
                json.dump(agreed, file)
            fresh.replace(self._list)

    def pseudonym(self, learner: str) -> str:
        """Return a learner's pseudonym: without the key nobody goes from one to the other."""
        digest = hmac.digest(self._key, learner.encode(), hashlib.sha256)
        letters = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:8])
        return f"{letters[:4]}-{letters[4:]}"


def _for_us(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def exercises(paths: Iterable[Path]) -> list[str]:
    """Return the names of the exercises that stand in notebooks, in their order."""
    found: list[str] = []
    for path in paths:
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            if "exercise" in cell["metadata"].get("tags", []):
                found += _EXERCISE.findall("".join(cell["source"]))
    return sorted(set(found))


def read(home: Path, known: Iterable[str]) -> Work | None:
    """Return what the store in a learner's home says about exercises that exist, or None when it says nothing.

    A store that is not there is one of somebody who has not begun. Whatever else is in its place (a link, a pipe,
    another's file under a second name, too much, something that is no store) counts as unreadable.

    Parameters
    ----------
    home : Path
        The learner's home. The folder in which it lies must not be a learner's.
    known : iterable of str
        Names of exercises; others are passed over.
    """
    try:
        content = json.loads(_bytes(home))
        names = frozenset(known)
        solved = names & {name for name in content["done"] if isinstance(name, str)}
        hinted = names & {name for name, count in content["hints"].items() if isinstance(count, int) and count > 0}
    except FileNotFoundError:
        return Work()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return Work(solved, hinted)


def _bytes(home: Path) -> bytes:
    """Read the store in a home, step by step, so that no part of its path leads anywhere else."""
    with contextlib.ExitStack() as stack:

        def step(name: str | Path, flags: int, inside: int | None = None) -> int:
            handle = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=inside)
            stack.callback(os.close, handle)
            return handle

        at = first = step(home, os.O_RDONLY | os.O_DIRECTORY)
        for name in STORE[:-1]:
            at = step(name, os.O_RDONLY | os.O_DIRECTORY, at)
        file = step(STORE[-1], os.O_RDONLY, at)
        told = os.fstat(file)
        if not stat.S_ISREG(told.st_mode) or told.st_nlink != 1 or told.st_uid != os.fstat(first).st_uid:
            raise ValueError("no file of the learner's own")
        content = b""
        while len(content) <= MOST_BYTES and (more := os.read(file, MOST_BYTES + 1 - len(content))):
            content += more
    if len(content) > MOST_BYTES:
        raise ValueError("too long for a store")
    return content


def rows(consents: Consents, homes: Mapping[str, Path], known: Sequence[str]) -> list[Row]:
    """Return a row for each learner who agreed: those who asked to be named first, no order among the others."""
    found = []
    for learner, choice in consents.all().items():
        if learner in homes:
            named = choice == "name"
            label = learner if named else consents.pseudonym(learner)
            found.append(Row(label, named, read(homes[learner], known)))
    return sorted(found, key=lambda row: (not row.named, row.label))


# ------------------------------------------------------------------------------------------------------ the pages

_STYLE = (
    "body {font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em}"
    "table {border-collapse: collapse; margin: 1em 0} th, td {border: 1px solid #767676; padding: .2em .6em}"
    "td {text-align: right} th {text-align: left} caption {text-align: left; font-weight: bold}"
)
FEW = (
    f"Fewer than {LEAST} learners share under a pseudonym, and nothing of them is shown: among so few, each could be "
    "told from the others."
)


def lecturers_page(shown: Sequence[Row], known: Sequence[str]) -> str:
    """Return the lecturer's page."""
    others = [row for row in shown if not row.named]
    told = [row for row in shown if row.named or len(others) >= LEAST]
    parts = ["<p>Who has agreed is here, and nobody else. The page makes itself anew every minute.</p>"]
    parts += [f"<p>{FEW}</p>"] if len(others) < LEAST else []
    parts += [_by_learner(told, known)] if told else []
    # Named learners stand above one by one: taking them off this table must leave enough of the others.
    parts += [_by_exercise(told, known)] if len(others) >= LEAST else []
    return _html("Progress", "".join(parts), refresh=60)


def _by_learner(shown: Sequence[Row], known: Sequence[str]) -> str:
    chapters = sorted({name.partition(".")[0] for name in known})
    of = {chapter: {name for name in known if name.startswith(f"{chapter}.")} for chapter in chapters}
    lines = []
    for row in shown:
        work = row.work
        cells = [f"{len(work.solved & of[chapter])}" if work else "?" for chapter in chapters]
        cells.append(f"{len(work.hinted)}" if work else "?")
        lines.append([row.label, *cells])
    head = ["learner", *(f"{chapter} ({len(of[chapter])})" for chapter in chapters), "exercises with a hint read"]
    return _table("Exercises solved, by chapter (how many there are)", head, lines)


def _by_exercise(shown: Sequence[Row], known: Sequence[str]) -> str:
    works = [row.work for row in shown if row.work is not None]
    lines = []
    for name in known:
        counts = (sum(name in getattr(work, field) for work in works) for field in Work._fields)
        lines.append([name, *map(str, counts)])
    head = ["exercise", "solved", "a hint read"]
    return _table(f"Learners, by exercise, of {len(works)}", head, lines)


def consent_page(learner: str, choice: Choice, pseudonym: str, token: str) -> str:
    """Return the page on which a learner chooses; `token` is the hidden field against forged requests."""
    ways = {
        "no": "No. Nothing about me is shown.",
        "pseudonym": f"Yes, as {pseudonym}, and only while at least {LEAST} of us do so.",
        "name": f"Yes, by my name, {learner}.",
    }
    boxes = "".join(
        f'<p><label><input type="radio" name="choice" value="{value}"{" checked" if value == choice else ""}> '
        f"{html.escape(words)}</label></p>"
        for value, words in ways.items()
    )
    return _html(
        "May the lecturer see how far you are?",
        "<p>What would be shown: how many exercises of each chapter you have solved, and of how many you have read a "
        "hint; and how many of all have solved each exercise, or read a hint of it. Never an answer, wrong or right, "
        "and never when. Only the lecturer sees the page. It is for helping, and nobody is marked by it. You can say "
        "no again at any time: then you are gone from the page, and nothing of you is kept.</p>"
        "<p>What a pseudonym cannot do: who watches the page while you join can tell which row is new, and whoever "
        "runs this machine can look into its files, whatever you choose here.</p>"
        f'<form method="post">{token}{boxes}<p><button>Keep this choice</button></p></form>',
    )


def _table(caption: str, head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    def cells() -> Iterator[str]:
        for first, *others in lines:
            inner = "".join(f"<td>{html.escape(cell)}</td>" for cell in others)
            yield f'<tr><th scope="row">{html.escape(first)}</th>{inner}</tr>'

    top = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in head)
    return f"<table><caption>{html.escape(caption)}</caption><tr>{top}</tr>{''.join(cells())}</table>"


def _html(title: str, body: str, refresh: int = 0) -> str:
    again = f'<meta http-equiv="refresh" content="{refresh}">' if refresh else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{again}<title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
    )
