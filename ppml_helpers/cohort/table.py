"""The patients: load and check them, turn them into features, split them, deal them to simulated hospitals.

The table is SUPPORT2 (`data/DATA_CARD.md`): 9,105 real, seriously ill adults of 1989-94, many of whom died.

Preparing data can leak too. A mean, a minimum or a quantile taken from the patients is a statistic about
them, and publishing a model that was scaled by it spends privacy budget that nobody counted. Everything that
`features` needs is therefore public and written down here: bounds from physiology and measuring ranges, and
fill-in values from the study's own data page. Each patient's row is prepared from that row alone.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import operator
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from ppml_helpers.errors import DataError, KitError, TrainingDataError

DATA_FOLDER = Path(__file__).resolve().parents[2] / "data"
DATA_FILE = "support2.csv.gz"
REBUILD = "restore it with `git checkout -- data/support2.csv.gz`, or with network run `python data/build.py`"
SMALLEST_HOSPITAL = 20  # patients on average: fewer teach a model nothing and make any figure identifying


# --------------------------------------------------------------------------------------------------------------
# The published table
# --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """What a column of the published table may hold.

    Parameters
    ----------
    unit : str
        Unit of the values; for a category what is being named.
    low, high : float
        Smallest and largest plausible value, both allowed. They catch a slip of the keyboard, not a rare
        patient, so they are wide: the published table has a mean blood pressure of 0 (no circulation), an
        albumin of 29 (a lost decimal point), 31 years of education and a negative cost (a correction).
    levels : tuple of str
        The allowed names, if the column is a category.
    required : bool
        True if every patient must have a value.
    """

    unit: str
    low: float = -np.inf
    high: float = np.inf
    levels: tuple[str, ...] = ()
    required: bool = False


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
    """Load the patients and refuse a table that is damaged or impossible.

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
    except ValueError as error:  # also an empty file, rows of different length, a wrong encoding
        reason = " ".join(str(error).split())
        raise DataError(f"{file} cannot be read as a CSV table ({reason}): {_mend(file)}.") from None
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
    missing = [column for column in COLUMNS if column not in patients.columns]
    if missing:
        raise DataError(
            f"{name} lacks the column {missing[0]!r} ({len(missing)} of {len(COLUMNS)} are missing): "
            f"give it all columns of data/DATA_CARD.md, or if it is the kit's own, {REBUILD}."
        )
    if patients.empty:
        raise DataError(f"{name} holds no patient: at least one row is needed; if it is the kit's own, {REBUILD}.")
    for column, rule in COLUMNS.items():
        _check_column(patients[column], rule, name)
    repeated = patients["sno"].duplicated()
    if repeated.any():
        number = patients["sno"][repeated].iloc[0]
        raise DataError(
            f"{name}: the row number sno={number} is given to two patients, it must be unique: {_mend(name)}."
        )


def _check_column(values: pd.Series, rule: Column, name: str) -> None:
    absent = values.isna().to_numpy()
    if rule.required and absent.any():
        _refuse(values, absent, "every patient must have a value here", name)
    if rule.levels:
        _refuse(values, ~absent & ~values.isin(rule.levels).to_numpy(), f"must be one of {rule.levels}", name)
        return
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float)
    _refuse(values, np.isnan(numbers) & ~absent, f"must be a number in {rule.unit}", name)
    outside = (numbers < rule.low) | (numbers > rule.high)
    if values.name in _YES_NO:
        _refuse(values, ~absent & ~np.isin(numbers, (0, 1)), "must be 0 or 1", name)
    _refuse(values, outside, f"must lie between {rule.low:g} and {rule.high:g} {rule.unit}", name)


def _refuse(values: pd.Series, wrong: np.ndarray, rule: str, name: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{name}: {values.name} = {values.iloc[row]!s} in row {row + 1} is impossible, {rule}: {_mend(name)}."
        )


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


# --------------------------------------------------------------------------------------------------------------
# Public knowledge about the columns that a model may see
# --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number:
    """The role of a numeric column: how public knowledge turns it into features.

    Parameters
    ----------
    unit : str
        Unit of the values.
    low, high : float
        Public bounds; a value outside is clipped to them.
    fill : float
        Public value that stands in for a missing one.
    why : str
        Where bounds and fill come from.
    shape : {"line", "log", "share", "sides"}
        "line": one feature, low to high becomes -1 to 1. "log": the same after a logarithm, for laboratory
        values that range over orders of magnitude. "share": one feature, 0 to 1, where 0 means none.
        "sides": two features, 0 to 1, how far the value lies below and above its `normal` range: for vital
        signs that are dangerous on both sides.
    normal : (float, float), optional
        The normal range, for "sides".

    Raises
    ------
    DataError
        If the bounds are not finite and in order, the fill or the normal range lies outside them, the shape
        is unknown, or a logarithm is asked of a bound that is not positive.
    """

    unit: str
    low: float
    high: float
    fill: float
    why: str
    shape: Literal["line", "log", "share", "sides"] = "line"
    normal: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Refuse knowledge that contradicts itself."""
        if not (np.isfinite([self.low, self.high]).all() and self.low < self.high):
            raise DataError(f"Bounds ({self.low}, {self.high}) must be finite with low < high: correct the role.")
        if not self.low <= self.fill <= self.high:
            raise DataError(f"Fill-in value {self.fill} must lie in [{self.low}, {self.high}]: correct the role.")
        if self.shape not in ("line", "log", "share", "sides"):
            raise DataError(f"Shape {self.shape!r} is unknown: use 'line', 'log', 'share' or 'sides'.")
        if self.shape == "log" and self.low <= 0:
            raise DataError(f"Shape 'log' needs a lower bound above 0, not {self.low}: raise it or use 'line'.")
        if self.shape == "sides" and not (
            self.normal is not None and self.low < self.normal[0] <= self.normal[1] < self.high
        ):
            raise DataError(
                f"Shape 'sides' needs a normal range inside ({self.low}, {self.high}), not {self.normal}: give one."
            )


@dataclass(frozen=True)
class Category:
    """The role of a column of names.

    Parameters
    ----------
    levels : tuple of str
        All allowed names, from public knowledge. The first is the reference: one feature (0 or 1) is made for
        each of the others. A missing name counts as the reference.
    why : str
        Where the names come from.
    ordered : bool
        True: the levels are steps of one scale and become one feature from -1 to 1; missing becomes 0.

    Raises
    ------
    DataError
        If there are fewer than two levels or one is named twice.
    """

    levels: tuple[str, ...]
    why: str
    ordered: bool = False

    def __post_init__(self) -> None:
        """Refuse fewer than two levels, or one level twice."""
        if len(self.levels) < 2 or len(set(self.levels)) < len(self.levels):
            raise DataError(f"Levels {self.levels} must be two or more different names: correct the role.")


@dataclass(frozen=True)
class Schema:
    """What a table's columns mean, so that `features` also serves other people's tables.

    Parameters
    ----------
    columns : mapping of str to Number or Category
        The columns a model may see.
    label : str
        The column to predict, 0 or 1.
    """

    columns: Mapping[str, Number | Category]
    label: str


_PAGE = "fill-in value of the study's data page (hbiostat.org/data/repo/supportdesc)"

#: The 26 columns a model may see, and what is publicly known about them. The bounds are round numbers from
#: bedside practice (the range in which a value is usually charted and acted on), not the table's own minimum
#: and maximum. They are tight on purpose: a value beyond them says "extreme" and little more, and features that
#: use their whole range train better under noise. Which columns get a logarithm or two sides follows the
#: severity scores of the time (APACHE III scores vital signs on both sides of normal). Candidates were compared
#: on this published table; someone whose table is secret fixes such choices before looking.
SUPPORT2 = Schema(
    columns=MappingProxyType(
        {
            "age": Number("years", 18, 98, 60, "adults; life span"),
            "sex": Category(("female", "male"), "as recorded"),
            "race": Category(RACES, "as recorded"),
            "edu": Number("years", 4, 20, 12, "US school years; 12 is high school"),
            "income": Category(INCOMES, "bands of the questionnaire", ordered=True),
            "dzgroup": Category(DIAGNOSES, "the study's eight groups"),
            "num.co": Number("count", 0, 6, 0, "the study's list of comorbidities; six or more count as six"),
            "scoma": Number("score", 0, 100, 0, "the score's range; 0 is awake", "share"),
            "diabetes": Number("0/1", 0, 1, 0, "no or yes", "share"),
            "dementia": Number("0/1", 0, 1, 0, "no or yes", "share"),
            "ca": Category(("no", "yes", "metastatic"), "as recorded"),
            "hday": Number("day", 1, 50, 1, "day 1 is admission", "log"),
            "meanbp": Number("mmHg", 30, 180, 85, "70-100 is normal; below 30 no circulation", "sides", (70, 100)),
            "wblc": Number("1000/mm3", 2, 40, 9, _PAGE, "log"),
            "hrt": Number("beats/min", 40, 160, 80, "60-100 is normal"),
            "resp": Number("breaths/min", 4, 60, 16, "12-20 is normal", "sides", (12, 20)),
            "temp": Number("degrees C", 33, 42, 37, "36-38 is normal; thermometer range", "sides", (36, 38)),
            "pafi": Number("mmHg", 100, 400, 333.3, _PAGE + "; 100 is severe, 400 healthy"),
            "alb": Number("g/dL", 1.5, 4.5, 3.5, _PAGE),
            "bili": Number("mg/dL", 0.3, 20, 1.01, _PAGE, "log"),
            "crea": Number("mg/dL", 0.5, 8, 1.01, _PAGE, "log"),
            "sod": Number("mEq/L", 125, 155, 140, "135-145 is normal"),
            "ph": Number("pH", 7.2, 7.6, 7.4, "7.35-7.45 is normal"),
            "glucose": Number("mg/dL", 60, 400, 110, "70-140 is normal", "log"),
            "bun": Number("mg/dL", 5, 120, 6.51, _PAGE, "log"),
            "urine": Number("mL/day", 0, 4000, 2502, _PAGE),
        }
    ),
    label="hospdead",
)


def features(
    patients: pd.DataFrame, columns: Iterable[str] | None = None, schema: Schema = SUPPORT2
) -> tuple[pd.DataFrame, pd.Series]:
    """Turn patients into features between -1 and 1, using public knowledge only.

    No minimum, maximum, mean or count of the table is used: bounds and fill-in values are the constants of
    the schema, values outside the bounds are clipped, and each row depends on nothing but itself. Preparing the
    features therefore spends no privacy budget. (Choosing the schema is another matter: about a dozen candidates for
    bounds and shapes of SUPPORT2 were compared by cross-validated AUC on this public table. Somebody whose table is
    secret must fix such choices before looking, or count the looks.)

    Parameters
    ----------
    patients : DataFrame
        One row a patient, with the columns of the schema.
    columns : iterable of str, optional
        Which of the schema's columns to use (all by default).
    schema : Schema
        Roles of the columns; SUPPORT2 by default.

    Returns
    -------
    X : DataFrame of float64
        One row a patient, values in [-1, 1], no missing value, index as in `patients`. SUPPORT2 gives 39
        columns.
    y : Series of int
        The label, 0 or 1, same index, named after the label's column.

    Raises
    ------
    DataError
        If a column is unknown to the schema or missing from the table, or holds a value its role forbids.
    """
    _check_frame(patients)
    chosen = list(schema.columns) if columns is None else list(columns)
    unknown = [name for name in chosen if name not in schema.columns]
    if unknown:
        raise DataError(
            f"Column {unknown[0]!r} has no role in the schema: choose from {', '.join(schema.columns)}, "
            f"or pass a Schema that gives it one."
        )
    if not chosen:
        raise DataError("No column was chosen: name at least one column of the schema.")
    missing = [name for name in [*chosen, schema.label] if name not in patients.columns]
    if missing:
        raise DataError(f"The table lacks the column {missing[0]!r}: add it, or pass a Schema without it.")
    blocks: dict[str, np.ndarray] = {}
    for name in chosen:
        role = schema.columns[name]
        make = _from_number if isinstance(role, Number) else _from_category
        blocks.update(make(patients[name], role))
    return pd.DataFrame(blocks, index=patients.index), _label(patients[schema.label])


def _check_frame(patients: pd.DataFrame) -> None:
    if not isinstance(patients, pd.DataFrame):
        raise DataError(f"The patients are a {type(patients).__name__}, they must be a DataFrame: load them first.")
    repeated = patients.columns[patients.columns.duplicated()]
    if len(repeated):
        raise DataError(f"The table has two columns named {repeated[0]!r}, names must be unique: rename one.")


def _from_number(values: pd.Series, role: Number) -> dict[str, np.ndarray]:
    name = str(values.name)
    given = values.notna().to_numpy()
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    _refuse(values, given & ~np.isfinite(numbers), "must be a finite number", "the table")
    numbers = np.clip(np.where(given, numbers, role.fill), role.low, role.high)
    if role.shape == "sides":
        below, above = role.normal
        return {
            f"{name} low": np.clip((below - numbers) / (below - role.low), 0, 1),
            f"{name} high": np.clip((numbers - above) / (role.high - above), 0, 1),
        }
    low, high = role.low, role.high
    if role.shape == "log":
        numbers, low, high = np.log(numbers), np.log(low), np.log(high)
    # Dividing can overshoot by one rounding error: the promise is [-1, 1] exactly.
    share = np.clip((numbers - low) / (high - low), 0, 1)
    return {name: share if role.shape == "share" else 2 * share - 1}


def _from_category(values: pd.Series, role: Category) -> dict[str, np.ndarray]:
    name = str(values.name)
    given = values.notna().to_numpy()
    _refuse(values, given & ~values.isin(role.levels).to_numpy(), f"must be one of {role.levels}", "the table")
    if role.ordered:
        steps = dict(zip(role.levels, np.linspace(-1, 1, len(role.levels)), strict=True))
        return {name: values.astype(object).map(steps).to_numpy(dtype=float, na_value=0.0)}
    return {f"{name}: {level}": (values == level).to_numpy(dtype=float, na_value=0.0) for level in role.levels[1:]}


def _label(values: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    _refuse(values, ~np.isin(numbers, (0, 1)), "the label must be 0 or 1", "the table")
    return pd.Series(numbers.astype(np.int64), index=values.index, name=values.name)


# --------------------------------------------------------------------------------------------------------------
# Split and simulated hospitals
# --------------------------------------------------------------------------------------------------------------


class Split(NamedTuple):
    """Patients to train on and patients to test on, no patient in both."""

    X_train: pd.DataFrame
    X_test: pd.DataFrame
    y_train: pd.Series
    y_test: pd.Series


def split(X: pd.DataFrame, y: pd.Series, seed: int, test_share: float = 0.25) -> Split:
    """Split patients at random into a training and a test part with the same share of deaths.

    Parameters
    ----------
    X : DataFrame of float
        Features, one row a patient (an array will do).
    y : Series of int
        Labels 0 or 1, one a row of X.
    seed : int
        The same seed gives the same split.
    test_share : float
        Share of each label's patients that go to the test part, between 0 and 1.

    Returns
    -------
    Split
        (X_train, X_test, y_train, y_test), rows in random order, indices kept.

    Raises
    ------
    TrainingDataError
        If X holds a value that is no finite number, labels are not 0/1 or all equal, X and y do not belong
        together, either label has fewer than two patients, or `seed` or `test_share` is out of range.
    """
    rng = np.random.default_rng(_whole(seed, "seed", 0, TrainingDataError))
    X, y = _checked_training_data(X, y)
    if isinstance(test_share, bool) or not isinstance(test_share, int | float | np.number) or not 0 < test_share < 1:
        raise TrainingDataError(
            f"test_share = {test_share!r} must be a number above 0 and below 1: try the usual 0.25."
        )
    train, test = [], []
    for label in (0, 1):
        rows = rng.permutation(np.flatnonzero(y.to_numpy() == label))
        size = min(max(round(test_share * len(rows)), 1), len(rows) - 1)
        test.append(rows[:size])
        train.append(rows[size:])
    train, test = rng.permutation(np.concatenate(train)), rng.permutation(np.concatenate(test))
    return Split(X.iloc[train], X.iloc[test], y.iloc[train], y.iloc[test])


def _checked_training_data(X: pd.DataFrame, y: pd.Series) -> tuple[pd.DataFrame, pd.Series]:
    X = X if isinstance(X, pd.DataFrame) else pd.DataFrame(X)
    y = y if isinstance(y, pd.Series) else pd.Series(np.asarray(y), index=X.index if len(X) == len(y) else None)
    if len(X) != len(y) or not X.index.equals(y.index):
        raise TrainingDataError(
            f"X has {len(X)} rows and y has {len(y)}, and their indices must be the same: "
            f"pass the pair that `features` returned."
        )
    numbers = X.apply(pd.to_numeric, errors="coerce")
    wrong = ~np.isfinite(numbers.to_numpy(dtype=float, na_value=np.nan))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise TrainingDataError(
            f"X holds {X.iat[row, column]!s} in column {X.columns[column]!r}, every feature must be a finite "
            f"number: fill or drop it before you split."
        )
    labels = pd.to_numeric(y, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    odd = ~np.isin(labels, (0, 1))
    if odd.any():
        raise TrainingDataError(f"y holds the label {y[odd].iloc[0]!s}, labels must be 0 or 1: recode them.")
    deaths = int(labels.sum())
    if min(deaths, len(y) - deaths) < 2:
        raise TrainingDataError(
            f"y has {len(y) - deaths} patients with label 0 and {deaths} with label 1, both need at least two "
            f"(one to train, one to test): take more patients."
        )
    return X, y


def hospitals(patients: pd.DataFrame, n: int, seed: int, skew: float, by: str = "dzgroup") -> dict[str, pd.DataFrame]:
    """Deal the patients to simulated hospitals that specialise more or less.

    SUPPORT2 comes from five real centres but does not say which patient was where, so these hospitals are made
    up. Every diagnosis gets a home: one hospital, or several if there are more hospitals than diagnoses. The
    share `skew` of its patients go home, the others are spread evenly. Large diagnoses get their home first and
    small ones fill up, so that hospitals stay as equal in size as their diagnoses allow. (The federated-learning
    literature often draws shares from a Dirichlet distribution instead; there a hospital can come out empty and
    the same knob gives a different mix for each seed.)

    Parameters
    ----------
    patients : DataFrame
        One row a patient.
    n : int
        Number of hospitals, at least 2, with at least 20 patients a hospital on average.
    seed : int
        Decides which patient goes where, and which hospital is home to which diagnosis.
    skew : float
        0: every hospital has the same mix of diagnoses. 1: no patient outside the home of their diagnosis.
    by : str
        Column that holds the diagnosis.

    Returns
    -------
    dict of str to DataFrame
        "Hospital A (simulated)", ... and its patients, in the table's order; every patient is in exactly one.
        Each table's ``attrs["simulated"]`` says in a sentence that the hospital is not real.

    Raises
    ------
    DataError
        If n, seed or skew is out of range, or a patient has no diagnosis.
    """
    n = _whole(n, "n", 2, DataError)
    rng = np.random.default_rng(_whole(seed, "seed", 0, DataError))
    if isinstance(skew, bool) or not isinstance(skew, int | float | np.number) or not 0 <= skew <= 1:
        raise DataError(f"skew = {skew!r} must be a number from 0 (same mix) to 1 (specialised): choose one.")
    _check_frame(patients)
    if by not in patients.columns:
        raise DataError(f"The table lacks the column {by!r}: name the column of the diagnosis with `by`.")
    _refuse(patients[by], patients[by].isna().to_numpy(), "every patient needs one to be dealt by", "the table")
    if len(patients) < n * SMALLEST_HOSPITAL:
        raise DataError(
            f"n = {n} hospitals for {len(patients)} patients leaves fewer than {SMALLEST_HOSPITAL} each: "
            f"take at most {len(patients) // SMALLEST_HOSPITAL} hospitals or more patients."
        )
    where = _deal(patients[by].astype(str).to_numpy(), n, rng, float(skew))
    note = (
        f"This hospital is simulated: {n} hospitals were made by dealing the patients by {by} "
        f"(seed {seed}, skew {skew:g}); the real centres are not in the data."
    )
    dealt = {}
    for hospital in range(n):
        table = patients.iloc[np.flatnonzero(where == hospital)].copy()
        table.attrs["simulated"] = note
        dealt[f"Hospital {_letters(hospital)} (simulated)"] = table
    return dealt


def _deal(diagnoses: np.ndarray, n: int, rng: np.random.Generator, skew: float) -> np.ndarray:
    """Return each patient's hospital, 0 to n-1."""
    names, sizes = np.unique(diagnoses, return_counts=True)
    homes = _homes(sizes, n)
    label = rng.permutation(n)
    where = np.empty(len(diagnoses), dtype=np.int64)
    guests = []
    for name, size, home in zip(names, sizes, homes, strict=True):
        members = rng.permutation(np.flatnonzero(diagnoses == name))
        at_home = round(skew * size)
        where[members[:at_home]] = np.resize(home, at_home)
        guests.append(members[at_home:])
    # One round for all diagnoses, so that left-overs of small groups do not pile up in the first hospital.
    guests = np.concatenate(guests)
    where[guests] = np.resize(np.arange(n), len(guests))
    return label[where]


def _homes(sizes: np.ndarray, n: int) -> list[list[int]]:
    """Give each diagnosis its home hospitals: as equal in size as whole homes allow, none without patients."""
    homes: list[list[int]] = [[] for _ in sizes]
    largest_first = np.argsort(-sizes, kind="stable")
    if n <= len(sizes):
        load = np.zeros(n)
        for group in largest_first:
            hospital = int(load.argmin())
            homes[group].append(hospital)
            load[hospital] += sizes[group]
        return homes
    for hospital in range(n):
        # The first ones go round, so that no diagnosis stays homeless; then to the most crowded homes.
        crowd = sizes / np.array([len(home) or 1 for home in homes])
        group = largest_first[hospital] if hospital < len(sizes) else int(crowd.argmax())
        homes[group].append(hospital)
    return homes


def _letters(number: int) -> str:
    """Return A, B, ..., Z, AA, AB, ... for 0, 1, ...."""
    head, tail = divmod(number, 26)
    return (_letters(head - 1) if head else "") + chr(ord("A") + tail)


def _whole(value: Any, name: str, least: int, error: type[KitError]) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least:
        raise error(f"{name} = {value!r} must be a whole number of at least {least}: choose one.")
    return number
