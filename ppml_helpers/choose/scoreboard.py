"""The scoreboard: one `Row` a technique, each in a file of its own that is replaced in one step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from ppml_helpers import checks
from ppml_helpers.errors import OutcomeError
from ppml_helpers.files import keep, kept

FAMILIES = (
    "none",
    "pseudonyms",
    "anonymisation",
    "synthetic tables",
    "statistics",
    "training",
    "federation",
    "encryption",
    "secure computation",
    "code to the data",
)
LEAVES = ("records", "statistics", "a model", "predictions")
HELD = ("one table", "rows", "columns")
WHO = ("patient", "hospital", "server", "researcher", "public")

_SHARES = ("auc", "tpr_at_1_percent", "reidentified", "read")
_INTERVALS = ("auc_interval", "tpr_interval", "advantage_interval")

Pair = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """What one technique does to one table: its use, its leak, its promise, who sees what, and its price.

    Parameters
    ----------
    technique : str
        Unique name.
    family : str
        One of `FAMILIES`.
    leaves : str
        What leaves the house at the end, one of `LEAVES`.
    rows_or_columns : str
        How the table is held: "one table", or in parts, by "rows" or by "columns".
    patients : int
        In the training part.
    released : str
        One sentence: what leaves, with its error where it is a statistic.
    auc, log_loss : float or None
        On the test patients; None where there is no model. `log_loss` in nats.
    auc_interval : (float, float) or None
    tpr_at_1_percent, advantage : float or None
        Of the surprise attack on the model: members found at 1 % false alarms, and true minus false positive rate.
        None where there is no model, or too few patients to say.
    tpr_interval, advantage_interval : (float, float) or None
    reidentified : float or None
        Share of the released rows that the register names rightly; None where no rows leave.
    read : float or None
        Share of what passes by that a server or peer reads, measured by the chapter's attack; None if nobody was
        there to read, or nothing was measured.
    reads : str
        The same in a sentence.
    promise : str
        What is proven, in words; "none" if nothing is.
    epsilon, delta : float or None
        The promise to one patient, where there is such a one.
    composed : mapping of str to float
        Releases a year on the same patients -> the epsilon that they come to together, by the technique's accountant.
    sees : mapping of str to str
        Each of `WHO` -> what they see.
    trusted : tuple of str
        "who: with what", for each of `WHO` who has to be trusted.
    seconds : float
        To train, or to answer once, on the machine that made the row.
    bytes : int
        What left the party that holds the patients.
    not_protected : str
        One sentence.
    methods : mapping of str to str
        How each interval and each attack was made.
    missing : str
        Why nothing was measured here (an optional package is absent), in one sentence; empty otherwise.
    made, fingerprint : str
        When the row was made, and of which table and code.
    """

    technique: str
    family: str
    leaves: str
    rows_or_columns: str = "one table"
    patients: int = 0
    released: str = ""
    auc: float | None = None
    auc_interval: Pair | None = None
    log_loss: float | None = None
    tpr_at_1_percent: float | None = None
    tpr_interval: Pair | None = None
    advantage: float | None = None
    advantage_interval: Pair | None = None
    reidentified: float | None = None
    read: float | None = None
    reads: str = ""
    promise: str = "none"
    epsilon: float | None = None
    delta: float | None = None
    composed: Mapping[str, float] = field(default_factory=dict)
    sees: Mapping[str, str] = field(default_factory=dict)
    trusted: tuple[str, ...] = ()
    seconds: float = 0.0
    bytes: int = 0
    not_protected: str = ""
    methods: Mapping[str, str] = field(default_factory=dict)
    missing: str = ""
    made: str = ""
    fingerprint: str = ""

    def __post_init__(self) -> None:
        """Refuse what no reader could compare, and turn NumPy's numbers into Python's."""
        if not isinstance(self.technique, str) or not self.technique.strip():
            raise OutcomeError(f"technique = {self.technique!r} must be a name: say which technique this is.")
        for name, options in (("family", FAMILIES), ("leaves", LEAVES), ("rows_or_columns", HELD)):
            checks.choice(getattr(self, name), name, options, error=OutcomeError)
        for name in _SHARES:
            self._complete(name, checks.share)
        for name in ("log_loss", "epsilon", "seconds"):
            self._complete(name, lambda value, name, error: checks.number(value, name, 0, error=error))
        for name in _INTERVALS:
            self._complete(name, _interval)
        for name in ("advantage", "delta"):
            self._complete(name, lambda value, name, error: checks.number(value, name, -1, 1, error=error))
        for name in ("patients", "bytes"):
            self._complete(name, lambda value, name, error: checks.whole(value, name, 0, error=error))
        object.__setattr__(self, "trusted", tuple(self.trusted))
        self._check_words()

    def _complete(self, name: str, check: Any) -> None:
        value = getattr(self, name)
        if value is not None:
            object.__setattr__(self, name, check(value, name, error=OutcomeError))

    def _check_words(self) -> None:
        for who in (*self.sees, *(entry.partition(": ")[0] for entry in self.trusted)):
            checks.choice(who, "who sees or is trusted", WHO, error=OutcomeError)
        if self.missing:
            return
        absent = [who for who in WHO if not self.sees.get(who)]
        if absent:
            raise OutcomeError(f"sees says nothing of the {absent[0]}: say what they see, if only nothing.")
        figures = {name for name in _INTERVALS if getattr(self, name) is not None}
        for name in sorted(figures - {*self.methods}):
            raise OutcomeError(f"methods does not say how {name} was made: name the method.")

    @property
    def trusts(self) -> dict[str, tuple[str, ...]]:
        """Who has to be trusted -> with what, the most first."""
        pairs = [entry.split(": ", 1) for entry in self.trusted]
        return {who: tuple(what for other, what in pairs if other == who) for who, _ in pairs}

    @property
    def leak(self) -> float | None:
        """The advantage, 0 where guessing would have been better; None where there is no model."""
        return None if self.advantage is None else max(0.0, self.advantage)


def _interval(value: Any, name: str, error: type[OutcomeError]) -> Pair:
    """Return two numbers from -1 to 1 in order."""
    try:
        low, high = value
    except (TypeError, ValueError):
        raise error(f"{name} = {checks.shown(value)} must be two numbers, low and high: give both ends.") from None
    low = checks.number(low, f"{name}[0]", -1, 1, error=error)
    return low, checks.number(high, f"{name}[1]", low, 1, error=error)


def save(row: Row, folder: str | Path) -> Path:
    """Write a row to its technique's file, replacing an older one in one step.

    Raises
    ------
    OutcomeError
        If it is no Row, or the file cannot be written.
    """
    if not isinstance(row, Row):
        raise OutcomeError(f"{checks.shown(row)} is no Row: make one with choose.Row(...) and save that.")
    mend = "free the disk, or name a folder that can be written; an older row is untouched"
    return keep(path_of(row.technique, folder), asdict(row), mend, OutcomeError)


def load(folder: str | Path) -> list[Row]:
    """Read all rows of a folder, sorted by technique; a folder that does not exist yet holds none.

    Raises
    ------
    OutcomeError
        If a file is damaged: the sentence names it.
    """
    rows = [read(file) for file in sorted(Path(folder).glob("*.json"))]
    for row, file in ((row, path_of(row.technique, folder)) for row in rows):
        if not file.exists() or sum(other.technique == row.technique for other in rows) > 1:
            raise OutcomeError(f"{Path(folder)} holds a row {row.technique!r} under another name: delete that file.")
    return sorted(rows, key=lambda row: row.technique)


def table(rows: Iterable[Row]) -> pd.DataFrame:
    """Lay rows out for display, rounded to what is known; no times, which differ between machines."""
    rows = list(rows)
    cells = {
        "AUC": [_ends(row.auc, row.auc_interval, row) for row in rows],
        "log loss": [_number(row.log_loss, row, ".2f") for row in rows],
        "found at 1 %": [_number(row.tpr_at_1_percent, row, ".1%") for row in rows],
        "advantage": [_ends(row.leak, row.advantage_interval, row) for row in rows],
        "named": [_number(row.reidentified, row, ".0%") for row in rows],
        "promise": [row.missing or row.promise for row in rows],
    }
    return pd.DataFrame(cells, index=pd.Index([row.technique for row in rows], name="technique", dtype=object))


def path_of(technique: str, folder: str | Path) -> Path:
    """Return the file of a technique."""
    letters = (letter if letter.isalnum() and letter.isascii() else "-" for letter in technique.lower())
    return Path(folder) / f"{'-'.join(filter(None, ''.join(letters).split('-')))}.json"


def _number(value: float | None, row: Row, form: str) -> str:
    if value is None:
        return "not measured" if row.missing else "-"
    return f"{value:{form}}".replace("%", " %")


def _ends(value: float | None, ends: Pair | None, row: Row) -> str:
    text = _number(value, row, ".2f")
    return text if ends is None else f"{text} ({ends[0] + 0.0:.2f} to {ends[1] + 0.0:.2f})".replace("-0.00", "0.00")


def read(file: Path) -> Row:
    """Read one row's file.

    Raises
    ------
    OutcomeError
        If it is damaged, or of another version of the kit.
    """
    mend = "delete it and make the row anew (python3 kit.py scoreboard)"
    content = kept(file, (field.name for field in fields(Row)), mend, OutcomeError)
    try:
        return Row(**content)
    except (OutcomeError, TypeError, AttributeError) as error:
        raise OutcomeError(f"{file} is damaged, {error} Or {mend}.") from None
