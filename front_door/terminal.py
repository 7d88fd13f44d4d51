"""Talking to the person at the terminal: plain lines, one moving progress line, one-sentence stops."""

from __future__ import annotations

import sys
import time


class Stop(Exception):
    """Something the person can mend: shown as one sentence, never as a traceback."""

    def __init__(self, sentence: str, code: int = 2) -> None:
        super().__init__(sentence)
        self.code = code


def say(text: str = "") -> None:
    """Print a line at once, also when the output is a pipe."""
    print(text, flush=True)


class Progress:
    """A progress line that moves in place on a terminal and is a line now and then in a log.

    Parameters
    ----------
    title
        What is going on, for example "Installing the packages of the course".
    every
        Seconds between two lines when the output is not a terminal.
    """

    def __init__(self, title: str, every: float = 10.0) -> None:
        self.title = title
        self.every = every
        self.started = time.monotonic()
        self._shown = ""
        self._last_line = float("-inf")
        self._live = sys.stdout.isatty()

    def show(self, detail: str, force: bool = False) -> None:
        """Show the present state; cheap to call often."""
        seconds = time.monotonic() - self.started
        text = f"{self.title}: {detail}"
        if self._live:
            line = f"{text} ({seconds:.0f} s)"[:110]
            print("\r" + line.ljust(len(self._shown)), end="", flush=True)
            self._shown = line
        elif force or time.monotonic() - self._last_line >= self.every:
            self._last_line = time.monotonic()
            say(f"{text} ({seconds:.0f} s)")

    def end(self, detail: str = "") -> None:
        """Leave the moving line; with ``detail``, close with it and the seconds taken."""
        if self._live and self._shown:
            print("\r" + " " * len(self._shown) + "\r", end="", flush=True)
            self._shown = ""
        if detail:
            say(f"{self.title}: {detail} ({time.monotonic() - self.started:.0f} s)")
