"""The published table SUPPORT2 (`data/DATA_CARD.md`): 9,105 real, seriously ill adults of 1989-94, many of whom died.

It is loaded, and refused if it is damaged or holds a value that no patient can have.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from ppml_helpers import checks
from ppml_helpers.columns import as_numbers, is_one_of
from ppml_helpers.errors import DataError

DATA_FOLDER = Path(__file__).resolve().parents[2] / "data"
DATA_FILE = "support2.csv.gz"
REBUILD = "restore it with `git checkout -- data/support2.csv.gz`, or with network run `python data/build.py`"


@dataclass(frozen=True)
class Column:
    """What a column of the published table may hold: the names of `levels`, or numbers from `low` to `high`.

    The bounds catch a slip of the keyboard, not a rare patient, so they are wide: the published table has a mean
    blood pressure of 0 (no circulation), an albumin of 29 (a lost decimal point), 31 years of education and a
    negative cost (a correction).
    """

    unit: str  # for a category what is being named
    low: float = -np.inf
    high: float = np.inf
    levels: tuple[str, ...] = ()
    required: bool = False  # every patient must have a value


DIAGNOSES = (
    "ARF/MOSF w/Sepsis",
    "CHF",
    "COPD",
    "Cirrhosis",
    "Colon Cancer",
    "Coma",
    "Lung Cancer",
    "MOSF w/Malig",
)
INCOMES = ("under $11k", "$11-$25k", "$25-$50k", ">$50k")
RACES = ("white", "black", "hispanic", "asian", "other")

#: The 48 columns of SUPPORT2 with the values that `load_patients` accepts.
COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        "sno": Column("row number", 1, 1e9, required=True),
        "age": Column("years", 18, 120, required=True),
        "death": Column("0/1", 0, 1, required=True),
        "sex": Column("sex", levels=("male", "female"), required=True),
        "hospdead": Column("0/1", 0, 1, required=True),
        "slos": Column("days", 0, 3000, required=True),
        "d.time": Column("days", 0, 5000, required=True),
        "dzgroup": Column("diagnosis", levels=DIAGNOSES, required=True),
        "dzclass": Column(
            "diagnosis class", levels=("ARF/MOSF", "COPD/CHF/Cirrhosis", "Cancer", "Coma"), required=True
        ),
        "num.co": Column("count", 0, 30, required=True),
        "edu": Column("years", 0, 40),
        "income": Column("US$ a year", levels=INCOMES),
        "scoma": Column("score 0-100", 0, 100),
        "charges": Column("US$", 0, 1e8),
        "totcst": Column("US$", 0, 1e8),
        "totmcst": Column("US$", -1e4, 1e8),
        "avtisst": Column("score", 0, 100),
        "race": Column("race as recorded", levels=RACES),
        "sps": Column("score", 0, 200),
        "aps": Column("score 0-299", 0, 299),
        "surv2m": Column("probability", 0, 1),
        "surv6m": Column("probability", 0, 1),
        "hday": Column("day", 1, 1000, required=True),
        "diabetes": Column("0/1", 0, 1, required=True),
        "dementia": Column("0/1", 0, 1, required=True),
        "ca": Column("cancer", levels=("no", "yes", "metastatic"), required=True),
        "prg2m": Column("probability", 0, 1),
        "prg6m": Column("probability", 0, 1),
        "dnr": Column("order", levels=("no dnr", "dnr after sadm", "dnr before sadm")),
        "dnrday": Column("day", -1000, 3000),
        "meanbp": Column("mmHg", 0, 300),
        "wblc": Column("1000/mm3", 0, 1000),
        "hrt": Column("beats/min", 0, 400),
        "resp": Column("breaths/min", 0, 120),
        "temp": Column("degrees C", 20, 46),
        "pafi": Column("mmHg", 0, 1000),
        "alb": Column("g/dL", 0, 30),
        "bili": Column("mg/dL", 0, 100),
        "crea": Column("mg/dL", 0, 60),
        "sod": Column("mEq/L", 80, 220),
        "ph": Column("pH", 6.3, 8.2),
        "glucose": Column("mg/dL", 0, 3000),
        "bun": Column("mg/dL", 0, 500),
        "urine": Column("mL/day", 0, 30000),
        "adlp": Column("index 0-7", 0, 7),
        "adls": Column("index 0-7", 0, 7),
        "sfdm2": Column(
            "disability",
            levels=(
                "no(M2 and SIP pres)",
                "adl>=4 (>=5 if sur)",
                "SIP>=30",
                "Coma or Intub",
                "<2 mo. follow-up",
            ),
        ),
        "adlsc": Column("index 0-7", 0, 8),
    }
)

_YES_NO = frozenset(name for name, column in COLUMNS.items() if column.unit == "0/1")


def load_patients(path: str | Path | None = None) -> pd.DataFrame:
    """Load the patients of SUPPORT2 and refuse a table that is damaged or impossible.

    A table of your own needs no loader: give it to `features` with a Schema.

    Parameters
    ----------
    path : str or Path, optional
        A CSV file (plain or gzip) with the columns of SUPPORT2. Without it the kit's own copy is read, and its
        content must have the SHA-256 of the published table.

    Returns
    -------
    DataFrame
        One row a patient, columns as published (48 of them), missing values as NaN. The kit's own copy has
        9,105 rows.

    Raises
    ------
    DataError
        If the file is missing, damaged or not the published one, if a column is missing, or if a value is
        impossible.
    """
    own = DATA_FOLDER / DATA_FILE
    file = own if path is None else Path(path)
    content = _read(file)
    if path is None or file.resolve() == own.resolve():
        expected = expected_sha256("support2.csv")
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            raise DataError(
                f"{file} holds a table with SHA-256 {found[:12]}..., but the published one has "
                f"{expected[:12]}...: {REBUILD}."
            )
    try:
        patients = pd.read_csv(io.BytesIO(content), skipinitialspace=True, encoding="utf-8")
        names = pd.read_csv(io.BytesIO(content), skipinitialspace=True, encoding="utf-8", header=None, nrows=1).iloc[0]
    except ValueError as error:  # also an empty file, rows of different length, a wrong encoding
        reason = " ".join(str(error).split())
        raise DataError(f"{file} cannot be read as a CSV table ({reason}): {_mend(file)}.") from None
    _refuse_repeated(names, str(file))  # pandas takes the second for another column, "age.1"
    check_patients(patients, name=str(file))
    return patients


def expected_sha256(name: str) -> str:
    """Return the SHA-256 that `data/SHA256SUMS` gives for a file, in hexadecimal."""
    sums = DATA_FOLDER / "SHA256SUMS"
    try:
        lines = [line.split() for line in sums.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError):
        lines = []
    for line in lines:
        if len(line) == 2 and line[1] == name:
            return line[0]
    raise DataError(f"{sums} gives no SHA-256 for {name}: restore it with `git checkout data/SHA256SUMS`.")


def check_patients(patients: pd.DataFrame, name: str = "the table") -> None:
    """Check that a table has every column of SUPPORT2 and only plausible values."""
    if not isinstance(patients, pd.DataFrame):
        raise DataError(f"{name} is of type {type(patients).__name__}, it must be a pandas DataFrame: load one.")
    _refuse_repeated(pd.Series(patients.columns.to_flat_index(), dtype=object), name)
    there = patients.columns.tolist()  # of two levels it would find a group of columns, and take it for one
    missing = [column for column in COLUMNS if column not in there]
    if missing:
        raise DataError(
            f"{name} lacks the column {missing[0]!r} ({len(missing)} of SUPPORT2's {len(COLUMNS)} are missing): if the "
            "table is your own, read it with pandas.read_csv and say what its columns mean, "
            "cohort.features(table, schema=cohort.Schema(...)); "
            f"if it is to be SUPPORT2, give it all columns of data/DATA_CARD.md, or {REBUILD}."
        )
    if patients.empty:
        raise DataError(f"{name} holds no patient: at least one row is needed; if it is the kit's own, {REBUILD}.")
    for column, rule in COLUMNS.items():
        _check_column(patients[column], rule, name)
    numbers = as_numbers(patients["sno"])
    again = pd.Series(numbers).duplicated().to_numpy()
    if again.any():
        raise DataError(
            f"{name}: the row number sno={numbers[again][0]:.0f} is given to two patients, it must be unique: "
            f"{_mend(name)}."
        )


def _refuse_repeated(names: pd.Series, name: str) -> None:
    repeated = names[names.duplicated()].tolist()
    if repeated:
        raise DataError(f"{name} has two columns named {repeated[0]!r}, names must be unique: {_mend(name)}.")


def _check_column(values: pd.Series, rule: Column, name: str) -> None:
    absent = values.isna().to_numpy()
    refuse = partial(refuse_values, values, name=name, mend=_mend(name))
    if rule.required and absent.any():
        refuse(absent, "every patient must have a value here")
    if rule.levels:
        refuse(~absent & ~is_one_of(values, rule.levels), f"must be one of {rule.levels}")
        return
    numbers = as_numbers(values)
    refuse(np.isnan(numbers) & ~absent, f"must be a number in {rule.unit}")
    outside = (numbers < rule.low) | (numbers > rule.high)
    if values.name in _YES_NO:
        refuse(~absent & ~np.isin(numbers, (0, 1)), "must be 0 or 1")
    refuse(outside, f"must lie between {rule.low:g} and {rule.high:g} {rule.unit}")


def refuse_values(
    values: pd.Series, wrong: np.ndarray, rule: str, *, name: str = "the table", mend: str = "correct it there"
) -> None:
    """Refuse a column by the first value that is wrong."""
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        value = checks.shown(values.iloc[row])
        raise DataError(f"{name}: {values.name} = {value} in row {row + 1} is impossible, {rule}: {mend}.")


def _mend(file: str | Path) -> str:
    return REBUILD if Path(file) == DATA_FOLDER / DATA_FILE else f"correct it there (for the kit's own, {REBUILD})"


def _read(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise DataError(f"The patients' file {file} does not exist: {_mend(file)}.") from None
    except OSError as error:
        raise DataError(f"The patients' file {file} cannot be read ({error.strerror}): {_mend(file)}.") from None
    if file.suffix != ".gz" and not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"The patients' file {file} is damaged ({error}): {_mend(file)}.") from None
