"""What pip says, in words for the person at the terminal: how far it is, and why it stopped."""

from __future__ import annotations

import re
from collections.abc import Callable

from front_door.terminal import Progress

AGAIN = "Nothing already done is lost: run the same command again and it goes on from there."

# What pip prints, why it stopped then, and the mend.
_REASONS = (
    ("No space left", "the disk is full", "make room"),
    (
        "NewConnectionError|Name or service not known|Temporary failure|Max retries|timed out",
        "pip could not reach its package index",
        "check the connection, or a proxy, and 'pip config list'",
    ),
    (
        "No matching distribution|Could not find a version",
        "there is no build of it for this computer",
        "check the connection and 'pip config list'",
    ),
    ("Permission denied", "a file could not be written", "copy the kit to a folder of your own"),
    ("does not hold", "the packages went somewhere else", "look at 'pip config list' for what sends them there"),
)


def reason(lines: list[str]) -> tuple[str, str]:
    """Return why pip stopped, by the lines that it printed, and the mend."""
    text = "\n".join(lines)
    for pattern, why, mend in _REASONS:
        if re.search(pattern, text):
            return why, mend
    return f"pip says '{(lines or ['nothing'])[-1].strip()[:120]}'", "read pip's lines above"


def pip_failed(lines: list[str]) -> str:
    """Return pip's last lines and, in a sentence, what to do about them."""
    why, mend = reason(lines)
    shown = "\n".join("    " + line for line in lines[-12:])
    return f"{shown}\nThe set-up stopped, since {why}: {mend}. {AGAIN}"


class PipCounter:
    """Shows, out of what pip prints, how many of the packages are found and then installed."""

    def __init__(self, title: str, total: int, installed: Callable[[], int]) -> None:
        self.total = total
        self.progress = Progress(title)
        self._installed = installed
        self._state = "asking for the list of packages"
        self._found: set[str] = set()
        self._before = self._new = 0

    def line(self, line: str) -> None:
        """Take one line of pip's output, or an empty one where half a second passed without any."""
        if match := re.match(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)", line):
            self._found.add(match[1])
            self._state = f"{self._told()}, now {match[1]}"
        elif line.startswith("Ignoring "):  # a pin for another operating system
            self.total -= 1
        elif line.startswith("Installing collected packages:"):
            self._before, self._new = self._installed(), line.count(",") + 1
        if self._new:
            self._state = f"installed {self._installed() - self._before} of {self._new} packages"
        elif line.startswith("Downloading "):
            self._state = f"{self._told()}, {line}"
        self.progress.show(self._state)

    def _told(self) -> str:
        return f"found {min(len(self._found), self.total)} of {self.total} packages"  # what they ask for is not counted

    def end(self, done: bool) -> None:
        """Leave the moving line; with one that lasts where everything is there."""
        self.progress.end(f"{self.total} packages are in place" if done else "")
