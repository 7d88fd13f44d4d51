"""Who takes part in a workshop: names, passwords on slips, and a private copy of the course for each."""

from __future__ import annotations

import hashlib
import hmac
import html
import json
import os
import secrets
import shutil
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from pathlib import Path

from front_door.terminal import Stop

LECTURER = "lecturer"
COURSE = "course"  # the folder of the copy, in each one's home
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that looks like another
_STYLE = (
    "body{font:12pt sans-serif}div{display:inline-block;width:8cm;margin:2mm;padding:4mm;border:1px dashed #555;"
    "break-inside:avoid}code{font-size:14pt}"
)


def names(learners: int) -> list[str]:
    """Return the names that people log in with: the lecturer's, and one a learner."""
    return [LECTURER, *(f"learner-{number:02}" for number in range(1, learners + 1))]


def new_password() -> str:
    """Return twelve letters and digits in three groups, which are 59 bits."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(3))


class Passwords:
    """Salted hashes (scrypt) of passwords; the passwords themselves are on the slips alone."""

    def __init__(self, kept: dict[str, dict[str, str]]) -> None:
        self._kept = kept
        self._nobody = _hashed(new_password())  # so that a name that is not there takes as long

    @classmethod
    def read(cls, path: Path | str) -> Passwords:
        """Read the file of hashes; without one nobody has a password yet."""
        path = Path(path)
        return cls(json.loads(path.read_text("utf-8")) if path.exists() else {})

    def names(self) -> list[str]:
        """Return who has a password."""
        return list(self._kept)

    def give(self, wanted: Iterable[str]) -> dict[str, str]:
        """Give a new password to each who has none, and return these."""
        fresh = {name: new_password() for name in wanted if name not in self._kept}
        self._kept.update({name: _hashed(password) for name, password in fresh.items()})
        return fresh

    def fits(self, name: str, password: str) -> bool:
        """Say whether this is the password of this name."""
        kept = self._kept.get(name, self._nobody)
        given = _scrypt(password, bytes.fromhex(kept["salt"]))
        return hmac.compare_digest(given, bytes.fromhex(kept["hash"])) and name in self._kept

    def write(self, path: Path) -> None:
        """Write the hashes where only their owner reads them."""
        write_private(path, json.dumps(self._kept, indent=1))


def _hashed(password: str) -> dict[str, str]:
    salt = secrets.token_bytes(16)
    return {"salt": salt.hex(), "hash": _scrypt(password, salt).hex()}


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)  # 16 MB, some hundredths of a second


class Attempts:
    """How often a password may be wrong: `MOST` times a name within `WINDOW` seconds."""

    MOST = 10
    WINDOW = 60.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=self.MOST))

    def may_try(self, name: str) -> bool:
        """Say whether the name's password is looked at now."""
        wrong = self._wrong[name]
        return len(wrong) < self.MOST or self._clock() - wrong[0] >= self.WINDOW

    def failed(self, name: str) -> None:
        """Count a wrong password."""
        self._wrong[name].append(self._clock())


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def write_slips(folder: Path, fresh: dict[str, str], address: str) -> Path:
    """Add new passwords to the slips, as text and as a page to print; return the page."""
    text, page = folder / "slips.txt", folder / "slips.html"
    earlier = [line.split("\t") for line in text.read_text("utf-8").splitlines()] if text.exists() else []
    slips = {**dict(earlier), **fresh}
    write_private(text, "".join(f"{name}\t{password}\n" for name, password in slips.items()))
    cards = "".join(
        f"<div>{html.escape(address)}<p>name <code>{name}</code><p>password <code>{password}</code></div>"
        for name, password in slips.items()
    )
    write_private(page, f'<!doctype html><meta charset="utf-8"><title>Slips</title><style>{_STYLE}</style>{cards}\n')
    return page


def give_copies(state: Path, owners: dict[str, tuple[int, int] | None], make: Callable[[Path], None]) -> list[str]:
    """Give each who has none a home with a copy of the learner edition; return their names.

    Parameters
    ----------
    state
        The hub's folder: homes are ``learners/NAME`` in it. One that is there is never touched.
    owners
        User and group of each, or None for the user who runs the hub.
    make
        Writes the learner edition to a new folder; called once, if at all.
    """
    new = [name for name in owners if not (state / "learners" / name).exists()]
    making = state / "making"  # nobody else sees what is half done
    shutil.rmtree(making, ignore_errors=True)
    if new:
        making.mkdir(mode=0o700)
        make(making / COURSE)
    for name in new:
        home = making / name
        home.mkdir(mode=0o700)
        shutil.copytree(making / COURSE, home / COURSE)
        if (owner := owners[name]) is not None:
            hand_over(home, *owner)
        home.rename(state / "learners" / name)
    shutil.rmtree(making, ignore_errors=True)
    return new


def hand_over(folder: Path, uid: int, gid: int) -> None:
    """Make a folder and everything in it somebody's."""
    for inside, _, files in os.walk(folder):
        for path in (inside, *(os.path.join(inside, name) for name in files)):
            os.chown(path, uid, gid, follow_symlinks=False)


def checked_number(learners: int) -> int:
    """Return the number of learners, or stop."""
    if not 1 <= learners <= 99:
        raise Stop(f"A hub on one machine is for 1 to 99 learners, not {learners}: give --learners such a number.")
    return learners
