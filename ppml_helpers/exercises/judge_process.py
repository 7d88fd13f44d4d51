"""The process that judges: the sandbox starts it, it starts the process with the learner's code and tells the verdicts.

It never runs a line of the learner's code. What it judges are data that it built itself from text, and functions that
it has the other process call (`line`). Its verdicts go to its own standard output, which the other process never held
and cannot open, each with a key that was gone before that process began.

A judge that would open a file that the learner's code may have written, or start a program, is stopped. If the answer
is data and nothing else, `collect` has it judged apart, in a sandbox in which no code of the learner has run.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

from ppml_helpers.cohort import DATA_FOLDER
from ppml_helpers.exercises.frame import Exercise
from ppml_helpers.exercises.line import Gone, Line, NotPlain

ASKED = "asked.json"
_NOT_DUMPABLE = 4  # of prctl: no other process of this user reads or changes this one, or opens what it has open
_STARTS = ("subprocess.Popen", "os.fork", "os.exec", "os.posix_spawn", "os.system", "socket.connect")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_PACKAGE = Path(__file__).resolve().parents[1]
_PLACES = (sys.prefix, sys.base_prefix, _PACKAGE, DATA_FOLDER, "/usr", "/lib", "/etc", "/sys", "/proc")
_READ_ONLY = (*(f"{Path(place)}/" for place in _PLACES), "/dev/null", "/dev/urandom")
_BEGIN = """
import importlib.util, runpy, sys
spec = importlib.util.spec_from_file_location("ppml_helpers", sys.argv[1], submodule_search_locations=[sys.argv[2]])
module = importlib.util.module_from_spec(spec)
sys.modules["ppml_helpers"] = module
spec.loader.exec_module(module)
sys.argv[:] = sys.argv[3:]
runpy.run_module(sys.argv[0], run_name="__main__")
"""


def program(name: str, *arguments: str) -> list[str]:
    """Give the command that runs a module of this folder; a sandbox may forbid to list the folder above the package."""
    command = [sys.executable, "-I", "-B", "-c", _BEGIN, str(_PACKAGE / "__init__.py"), str(_PACKAGE)]
    return [*command, f"ppml_helpers.exercises.{name}", *arguments]


_Tell = Callable[[str, str, str], None]  # exercise, mark and sentence


class _Late(BaseException):
    """A cell, or a judge, took too long."""


class _Forbidden(NotPlain):
    """A judge that may not do its work beside a process with a learner's code."""


def main() -> None:
    """Run a notebook's cells elsewhere, and tell for each exercise what its judge says."""
    asked = json.loads(Path(ASKED).read_text("utf-8"))
    Path(ASKED).unlink()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_NOT_DUMPABLE, 0, 0, 0, 0)
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a judge prints is no verdict

    def tell(exercise: str, mark: str, sentence: str) -> None:
        said.write(json.dumps([asked["key"], exercise, mark, sentence]) + "\n")
        said.flush()

    exercises = {one.name: one for one in import_module(asked["room"]).EXERCISES if one.name in asked["variables"]}
    signal.signal(signal.SIGALRM, _too_late)
    if "apart" in asked:
        _Marks(Line(BytesIO(), BytesIO()), tell, exercises, asked).mark_apart(asked["apart"])
        return
    line = _started()
    sys.addaudithook(_forbid)
    _Marks(line, tell, exercises, asked).mark()


class _Marks:
    """The marks of one notebook."""

    def __init__(self, line: Line, tell: _Tell, exercises: dict[str, Exercise], asked: dict[str, Any]) -> None:
        self._line, self._tell, self._exercises, self._seconds = line, tell, exercises, asked["seconds"]
        self._cells, self._variables = asked["cells"], asked["variables"]
        self._left, self._judged, self._stopped = list(exercises), [], ""

    def mark(self) -> None:
        """Judge each answer when its cell has run, and at the end what was never given to `check`."""
        try:
            for number, source in enumerate(self._cells, 1):
                self._where = f"code cell {number}"
                with self._in_time():
                    found, error = self._line.ask("run", source)
                if error and not self._stopped:
                    self._stopped = f"{self._where} stopped with {str(error)[:200]}".rstrip(".")
                for name in dict.fromkeys(map(str, found)):
                    if name in self._exercises:
                        self._judge(name, lambda name=name: self._line.ask("answer", name))
            for name in list(self._left):
                self._judge(name, lambda name=name: self._line.ask("look up", self._variables[name]))
        except (_Late, Gone, NotPlain, Exception) as error:  # the other process may say anything
            late = f"took more than {self._seconds:g} seconds"
            why = f"{self._where} {late if isinstance(error, _Late) else 'ended its kernel'}"
            for name in {*self._left, *self._judged}:
                self._tell(name, "look", f"{why}: run the cells after it yourself.")

    def mark_apart(self, answers: dict[str, Any]) -> None:
        """Judge answers that are data, where no code of the learner has run."""
        for name, packed in answers.items():
            try:
                self._judge(name, lambda packed=packed: self._line.unpack(packed))
            except _Late:
                self._tell(name, "look", f"Judging it took more than {self._seconds:g} seconds: run its cell yourself.")

    def _judge(self, name: str, get: Callable[[], Any]) -> None:
        """Tell what the judge says to one answer."""
        self._where, self._judged = f"The answer to {name}", [name]
        self._line.takes = self._exercises[name].takes
        with self._in_time():
            mark, sentence = self._verdict(name, get)
        self._line.forget()
        self._line.takes, self._judged = (), []
        self._left = [other for other in self._left if other != name]
        self._tell(name, mark, sentence)

    def _verdict(self, name: str, get: Callable[[], Any]) -> tuple[str, str]:
        try:
            try:
                answer = get()
            except Exception:  # there is no such variable
                return "open", self._why("No answer was found: its cell was deleted, or its variable renamed.")
            reply = self._exercises[name].reply(answer)
        except _Forbidden as error:
            return _to_be_judged_apart(answer) or _look(error)
        except NotPlain as error:
            return _look(error)
        if reply.right and self._exercises[name].listens and callable(answer):
            return "look", "It seems right, but its judge has to hear what the function calls: run its cell yourself."
        return reply.kind, self._why(reply.text) if reply.kind == "open" else reply.text

    def _why(self, sentence: str) -> str:
        """Say what may be the reason that there is no answer."""
        return f"{sentence} ({self._stopped}.)" if self._stopped else sentence

    @contextlib.contextmanager
    def _in_time(self) -> Iterator[None]:
        signal.setitimer(signal.ITIMER_REAL, self._seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def _look(error: NotPlain) -> tuple[str, str]:
    return "look", f"The answer cannot be judged from outside ({error}): run its cell yourself."


def _to_be_judged_apart(answer: Any) -> tuple[str, str] | None:
    """Write down an answer that is data and nothing else."""
    line = Line(BytesIO(), BytesIO())
    with contextlib.suppress(NotPlain):
        packed = json.dumps(line.pack(answer))
        if not line.has_lent:
            return "apart", packed
    return None


def _too_late(*_: object) -> None:
    raise _Late


def _started() -> Line:
    """Start the process with the learner's code; it holds two pipes and nothing else of this one."""
    to_read, theirs_to_write = os.pipe()
    theirs_to_read, to_write = os.pipe()
    theirs = (theirs_to_read, theirs_to_write)
    nothing = subprocess.DEVNULL
    subprocess.Popen(
        program("answer_process", *map(str, theirs)), pass_fds=theirs, stdin=nothing, stdout=nothing, stderr=nothing
    )
    for handle in theirs:
        os.close(handle)
    return Line(open(to_read, "rb"), open(to_write, "wb"))


def _forbid(event: str, details: tuple[Any, ...]) -> None:
    """Stop a judge that would trust a file of the learner's making, or leave this process (an audit hook)."""
    if event in _STARTS:
        raise _Forbidden("a judge that starts programs")
    if event == "open" and not isinstance(details[0], int):
        path = os.path.abspath(os.fsdecode(details[0]))
        if details[2] & _WRITES or not path.startswith(_READ_ONLY):
            raise _Forbidden("a judge that works with files")


if __name__ == "__main__":
    main()
