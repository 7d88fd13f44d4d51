"""The attacks in a process of their own, so that a notebook can go on, and one can be ended at once; and the outcome.

An attack redirects what is printed and borrows variables of the environment. In the process of a notebook that would
take hold of whatever else runs there at the time.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from ppml_helpers.errors import AttackError, DatasiteError, KitError
from ppml_helpers.owner_in_control.attacks import ATTACKS, N_PATIENTS, Leak, attack
from ppml_helpers.owner_in_control.defences import Defences
from ppml_helpers.owner_in_control.network import clear_leftovers
from ppml_helpers.owner_in_control.syft_client import demand_syft

_MOMENT = 0.05  # seconds between two calls of `meanwhile`


class AttackProcess:
    """A process that carries out attacks one at a time, and ends with its ``with`` block.

    However the block ends, an attack that is at work is ended with its jobs, and its folders are removed.
    """

    def __enter__(self) -> Self:
        """Start the process, which then imports PySyft in its own time."""
        if sys.platform == "win32":
            demand_syft()  # says why not
        self._line, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C in a terminal reaches this process, which then ends that one
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process, and clear up behind an attack that it was at."""
        self._process.kill()
        self._process.wait()
        self._line.close()
        clear_leftovers(Path(tempfile.gettempdir()))

    def attack(self, name: str, defences: Defences | None, meanwhile: Callable[[], None] = lambda: None) -> Leak:
        """Carry out one attack on 60 patients of SUPPORT2."""
        try:
            self._line.send((name, defences))
            while not self._line.poll(_MOMENT):
                meanwhile()
            answer = self._line.recv()
        except (EOFError, OSError):
            code = self._process.wait()
            raise AttackError(
                f"The process that carried out the attack {name!r} ended early, with code {code}: try once more."
            ) from None
        if isinstance(answer, KitError):
            raise answer
        return answer


def outcomes(
    names: Sequence[str], defences: Defences, meanwhile: Callable[[float, str], None]
) -> Iterator[tuple[str, Leak]]:
    """Carry out some attacks one after the other; `meanwhile` hears how far they are, and may raise to stop them."""
    gate = defences if defences != Defences.off() else None
    with AttackProcess() as process:
        for number, name in enumerate(names):
            done, what = number / len(names), f"attack {number + 1} of {len(names)}: {name}"
            meanwhile(done, what)
            yield name, process.attack(name, gate, lambda done=done, what=what: meanwhile(done, what))


class Attacked(NamedTuple):
    """What the six attacks do against one set of defences."""

    defences: Defences
    leaks: Mapping[str, Leak | None]  # by attack, in their fixed order; None: not carried out against these defences
    unavailable: str = ""  # why no attack can be carried out on this computer

    @property
    def through(self) -> tuple[str, ...]:
        """Names of the attacks that got patients out."""
        return tuple(name for name, leak in self.leaks.items() if leak and leak.leaked)

    @property
    def stopped(self) -> tuple[str, ...]:
        """Names of the attacks that got nothing."""
        return tuple(name for name, leak in self.leaks.items() if leak and not leak.leaked)

    @property
    def untried(self) -> tuple[str, ...]:
        """Names of the attacks that were not carried out against these defences."""
        return tuple(name for name, leak in self.leaks.items() if leak is None)

    @property
    def patients(self) -> int:
        """How many private patients the hospital has."""
        return max((leak.patients for leak in self.leaks.values() if leak), default=N_PATIENTS)

    def stopper(self, attack: str) -> str:
        """Say what stopped an attack: the defence made against it, or what else the gate says it refused."""
        made_against = next(known.stopped_by for known in ATTACKS if known.name == attack)
        if getattr(self.defences, made_against):
            return Defences.NAMES[made_against]
        leak = self.leaks[attack]
        return " ".join(leak.refusals) if leak and leak.refusals else "nothing: it failed by itself"


def _answer(name: str, defences: Defences | None) -> Leak | KitError:
    try:
        return attack(name, defences)
    except DatasiteError as error:
        return DatasiteError(str(error))
    except AttackError as error:
        return error
    except Exception as error:  # whatever it is, the process that asked must hear of it
        return AttackError(f"The attack {name!r} could not be carried out ({type(error).__name__}: {error}).")


def main() -> None:
    """Answer what comes over the connection whose number is the program's argument, until its other end closes."""
    with Connection(int(sys.argv[1])) as line:
        while True:
            try:
                asked = line.recv()
            except EOFError:
                return
            line.send(_answer(*asked))


if __name__ == "__main__":
    main()
