"""What one technique achieved, and the small store that the scoreboard reads.

A chapter ends with one `Outcome`; `save` writes it to its own file, `load` reads them all.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from ppml_helpers import checks
from ppml_helpers.errors import OutcomeError
from ppml_helpers.files import keep, kept

DEFAULT_FOLDER = Path(__file__).resolve().parent.parent / ".results"
FOLDER_VARIABLE = "PPML_RESULTS"


@dataclass(frozen=True)
class Outcome:
    """One row of the scoreboard.

    Parameters
    ----------
    technique : str
        Name of the technique, unique on the scoreboard.
    utility : float
        Area under the ROC curve on test patients, 0 to 1.
    leak : float or None
        Membership advantage of the chapter's attack (true minus false positive rate), 0 to 1; None if the
        attack was not run.
    guarantee : str or None
        What is proven, for example "epsilon 1, delta 1e-5"; None if nothing is.
    seconds : float
        Time to train or answer, at least 0.
    bytes_sent : int
        What left the party that holds the patients, at least 0.
    note : str
        What a reader must know to compare the row fairly.
    """

    technique: str
    utility: float
    leak: float | None
    guarantee: str | None
    seconds: float
    bytes_sent: int
    note: str = ""

    def __post_init__(self) -> None:
        """Check each value and turn NumPy's numbers into Python's, which JSON can hold."""
        if not isinstance(self.technique, str) or not self.technique.strip():
            raise OutcomeError(f"technique = {self.technique!r} must be a name: say which technique this is.")
        if self.guarantee is not None and (not isinstance(self.guarantee, str) or not self.guarantee.strip()):
            raise OutcomeError(
                f"guarantee = {self.guarantee!r} must be a sentence, or None if nothing is proven: state it."
            )
        if not isinstance(self.note, str):
            raise OutcomeError(f"note = {self.note!r} must be text: write a sentence or leave it out.")
        plain = {
            "utility": checks.share(self.utility, "utility", error=OutcomeError, mend="measure an AUC"),
            "seconds": checks.number(self.seconds, "seconds", 0, error=OutcomeError, mend="measure them"),
            "bytes_sent": checks.whole(self.bytes_sent, "bytes_sent", 0, error=OutcomeError, mend="count them"),
        }
        if self.leak is not None:
            mend = "measure an advantage, or give None"
            plain["leak"] = checks.share(self.leak, "leak", error=OutcomeError, mend=mend)
        for name, value in plain.items():
            object.__setattr__(self, name, value)  # a frozen dataclass can still be completed while it is being made


def save(outcome: Outcome, folder: str | Path | None = None) -> Path:
    """Write an outcome to its technique's file, replacing an older one.

    The file is replaced in one step: whoever reads it, and whatever interrupts the writing, finds the old row
    or the new row, never half of one.

    Parameters
    ----------
    outcome : Outcome
    folder : str or Path, optional
        Where to keep it; otherwise the environment variable PPML_RESULTS, otherwise `.results/` of the kit.

    Returns
    -------
    Path
    """
    if not isinstance(outcome, Outcome):
        raise OutcomeError(f"{outcome!r} is no Outcome: make one with outcome.Outcome(...) and save that.")
    target = _folder(folder) / _file_name(outcome.technique)
    mend = f"free the disk, or let {FOLDER_VARIABLE} name a folder that can be written; an older row is untouched"
    return keep(target, asdict(outcome), mend, OutcomeError)


def load(folder: str | Path | None = None) -> list[Outcome]:
    """Read all outcomes, sorted by technique.

    Parameters
    ----------
    folder : str or Path, optional
        As for `save`. A folder that does not exist yet holds no outcome.

    Returns
    -------
    list of Outcome
    """
    found: dict[str, Outcome] = {}
    for file in sorted(_folder(folder).glob("*.json")):
        outcome = _read(file)
        if outcome.technique in found:
            raise OutcomeError(f"{file} repeats the technique {outcome.technique!r}: delete one of the two files.")
        found[outcome.technique] = outcome
    return [found[technique] for technique in sorted(found)]


def table(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """Lay outcomes out for display, a row each in their order, numbers rounded to what is known.

    The leak is text, because "not measured" is not 0.
    """
    rows = list(outcomes)
    return pd.DataFrame(
        {
            "AUC": [round(row.utility, 3) for row in rows],
            "leak": ["not measured" if row.leak is None else f"{row.leak:.3f}" for row in rows],
            "guarantee": ["none" if row.guarantee is None else row.guarantee for row in rows],
            "seconds": [float(f"{row.seconds:.2g}") for row in rows],
            "bytes sent": [row.bytes_sent for row in rows],
            "note": [row.note for row in rows],
        },
        index=pd.Index([row.technique for row in rows], name="technique", dtype=object),
    )


def _folder(folder: str | Path | None) -> Path:
    # Read at call time, so that a test or a run can be pointed elsewhere.
    return Path(folder if folder is not None else os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)


def _file_name(technique: str) -> str:
    """Return a file name that every operating system takes; the hash keeps similar names apart."""
    name = unicodedata.normalize("NFC", technique)
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60]
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{slug}-{digest}.json" if slug else f"{digest}.json"


def _read(file: Path) -> Outcome:
    mend = "delete it and run the chapter that wrote it again"
    content = kept(file, (field.name for field in fields(Outcome)), mend, OutcomeError)
    try:
        return Outcome(**content)
    except OutcomeError as error:
        raise OutcomeError(f"{file} is damaged, {error} Or {mend}.") from None
