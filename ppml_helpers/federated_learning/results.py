"""What a federated run leaves behind: the model, and what the server saw in each round."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ppml_helpers.errors import FederationError


@dataclass(frozen=True)
class Round:
    """One complete round; with an entry for each hospital, in its order, where there is a tuple."""

    number: int  # from 1
    hospitals: int  # how many models are in the round's model
    auc: tuple[float, ...]  # of the new model on own test patients, under masks one mean; empty if not measured
    bytes_down: int  # content of all messages to the hospitals, envelopes not counted
    bytes_up: int
    steps: tuple[int, ...] = ()  # of DP-SGD, taken so far; empty without "dp"


@dataclass(frozen=True)
class FederatedRun:
    """A run, in this process or over a network: the same settings and seed give the same `sha256`."""

    weights: np.ndarray = field(repr=False)
    rounds: tuple[Round, ...]
    settings: Mapping[str, int | float | str] = field(repr=False)
    patients: tuple[int, ...]  # as told to the server by each hospital (with noise to two digits), under masks in all

    @property
    def sha256(self) -> str:
        """SHA-256 of the model's bytes, in hexadecimal."""
        return hashlib.sha256(self.weights.astype("<f8").tobytes()).hexdigest()

    @property
    def auc(self) -> tuple[float, ...]:
        """The last measured AUC of each hospital (with noise to two digits), under masks their mean alone."""
        return next((entry.auc for entry in reversed(self.rounds) if entry.auc), ())

    @property
    def bytes_down(self) -> int:
        """Bytes sent to all hospitals in all rounds."""
        return sum(entry.bytes_down for entry in self.rounds)

    @property
    def bytes_up(self) -> int:
        """Bytes received from all hospitals in all rounds."""
        return sum(entry.bytes_up for entry in self.rounds)

    @property
    def ledgers(self) -> tuple[tuple[float, float, int], ...]:
        """Noise multiplier, sample rate and steps of each hospital under "dp": what `accounting.epsilon` takes.

        Under "masks+dp" one of the sum, which everybody but the hospitals themselves sees with all its noise.
        """
        noise, rate = float(self.settings["noise-multiplier"]), float(self.settings["sample-rate"])
        steps = self.rounds[-1].steps if self.rounds else ()
        return tuple((noise, rate, count) for count in steps)


class RunStopped(FederationError):
    """A run ended before its last round; `kept` has the model and books of the complete rounds, None without any."""

    def __init__(self, sentence: str, kept: FederatedRun | None = None) -> None:
        super().__init__(sentence)
        self.kept = kept


def read(path: str | Path) -> FederatedRun:
    """Read the server's result file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return from_record(file["weights"], str(file["record"]))
    except FileNotFoundError:
        raise FederationError("The server left no result file: the run did not reach its end, run it again.") from None
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise FederationError(
            f"The server's result file cannot be read ({type(error).__name__}): delete it and run again."
        ) from None


def stopped(out: str | Path, reason: str | None = None) -> RunStopped:
    """Return the error for a run that ended early, with what its files kept; the server's own reason, or this one."""
    error, kept = Path(f"{out}.error"), Path(f"{out}.kept")
    if reason is None:
        reason = error.read_text("utf-8", "replace") if error.exists() else "The server ended without a reason."
    return RunStopped(reason, read(kept) if kept.exists() else None)


def from_record(weights: np.ndarray, record: str) -> FederatedRun:
    """Return the run that the server wrote down."""
    content: dict[str, Any] = json.loads(record)
    weights = np.array(weights, dtype=np.float64)
    weights.flags.writeable = False
    return FederatedRun(
        weights=weights,
        rounds=tuple(_round(entry) for entry in content["rounds"]),
        settings=content["settings"],
        patients=tuple(content["patients"]),
    )


def _round(entry: dict[str, Any]) -> Round:
    return Round(**{**entry, "auc": tuple(entry["auc"]), "steps": tuple(entry["steps"])})
