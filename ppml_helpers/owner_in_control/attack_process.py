"""The attacks in a process of their own, so that a notebook can go on, and one can be ended at once; and the outcome.

An attack redirects what is printed and borrows variables of the environment. In the process of a notebook that would
take hold of whatever else runs there at the time.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from ppml_helpers.errors import AttackError, KitError
from ppml_helpers.owner_in_control.attacks import ATTACKS, N_PATIENTS, Leak, attack
from ppml_helpers.owner_in_control.defences import Defences
from ppml_helpers.owner_in_control.network import clear_leftovers
from ppml_helpers.owner_in_control.syft_client import demand_syft

_MOMENT = 0.05  # seconds between two calls of `meanwhile`


def outcomes(
    names: Sequence[str], defences: Defences, meanwhile: Callable[[float, str], None]
) -> Iterator[tuple[str, Leak]]:
    """Carry out some attacks one after the other; `meanwhile` hears how far they are, and may raise to stop them.

    However it ends, an attack that is at work is ended with its jobs, and its folders are removed.
    """
    if sys.platform == "win32":
        demand_syft()  # says why not
    context = get_context("spawn")
    line, theirs = context.Pipe()
    gate = defences if defences != Defences.off() else None
    process = context.Process(target=_carry_out, args=(theirs, list(names), gate), daemon=True)
    process.start()
    theirs.close()
    try:
        for number, name in enumerate(names):
            while not line.poll(_MOMENT):
                meanwhile(number / len(names), f"attack {number + 1} of {len(names)}: {name}")
            answer = line.recv()
            if isinstance(answer, KitError):
                raise answer
            yield name, answer
    except EOFError:
        process.join()
        raise AttackError(
            f"The process that carried out the attack {name!r} ended early, with code {process.exitcode}: "
            f"try once more."
        ) from None
    finally:
        process.kill()
        process.join()
        line.close()
        clear_leftovers(Path(tempfile.gettempdir()))


def _carry_out(line: Connection, names: Sequence[str], defences: Defences | None) -> None:
    """Send the outcome of each attack: the work of the process."""
    os.setsid()  # Ctrl-C in a terminal reaches the process that asked, which then ends this one
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    for name in names:
        line.send(_outcome(name, defences))


def _outcome(name: str, defences: Defences | None) -> Leak | KitError:
    try:
        return attack(name, defences)
    except KitError as error:
        return error
    except Exception as error:  # whatever it is, the process that asked must hear of it
        return AttackError(f"The attack {name!r} could not be carried out ({type(error).__name__}: {error}).")


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
