"""What is publicly known about the columns that a model may see, and the features made of it.

Preparing data can leak too. A mean, a minimum or a quantile taken from the patients is a statistic about
them, and publishing a model that was scaled by it spends privacy budget that nobody counted. Everything that
`features` needs is therefore public and written down here: bounds from physiology and measuring ranges, and
fill-in values from the study's own data page. Each patient's row is prepared from that row alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import pandas as pd

from ppml_helpers import checks
from ppml_helpers.cohort.table import DIAGNOSES, INCOMES, RACES, refuse_values
from ppml_helpers.columns import as_numbers, as_objects, is_one_of
from ppml_helpers.errors import DataError


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
    missing : tuple
        Codes that stand for a missing value in the table, such as ("?", -9).
    """

    unit: str
    low: float
    high: float
    fill: float
    why: str
    shape: Literal["line", "log", "share", "sides"] = "line"
    normal: tuple[float, float] | None = None
    missing: tuple[object, ...] = ()

    def __post_init__(self) -> None:
        """Refuse knowledge that contradicts itself."""
        lowest = 0 if self.shape == "log" else -np.inf  # zero has no logarithm
        checks.number(self.low, "low", lowest, above=True, error=DataError, mend="correct the role")
        checks.number(self.high, "high", self.low, above=True, error=DataError, mend="correct the role")
        checks.number(self.fill, "fill", self.low, self.high, error=DataError, mend="correct the role")
        checks.choice(self.shape, "shape", ("line", "log", "share", "sides"), error=DataError)
        if self.shape == "sides" and not (
            self.normal is not None and self.low < self.normal[0] <= self.normal[1] < self.high
        ):
            raise DataError(
                f"Shape 'sides' needs a normal range inside ({self.low}, {self.high}), not {self.normal}: give one."
            )
        _check_codes(self.missing)


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
    missing : tuple
        Codes that stand for a missing value in the table, such as ("unknown", 9).
    """

    levels: tuple[str, ...]
    why: str
    ordered: bool = False
    missing: tuple[object, ...] = ()

    def __post_init__(self) -> None:
        """Refuse fewer than two levels, or one level twice."""
        if len(self.levels) < 2 or len(set(self.levels)) < len(self.levels):
            raise DataError(f"Levels {self.levels} must be two or more different names: correct the role.")
        _check_codes(self.missing)


def _check_codes(codes: tuple[object, ...]) -> None:
    if not isinstance(codes, tuple | list):  # ("?") is no tuple, and the letters of "unknown" are no codes
        raise DataError(f"missing = {checks.shown(codes)} must be a tuple of codes: write ({checks.shown(codes)},).")


@dataclass(frozen=True)
class Schema:
    """What a table's columns mean, so that `features` also serves other people's tables.

    Parameters
    ----------
    columns : mapping of str to Number or Category
        The columns a model may see.
    label : str
        The column to predict, 0 or 1.
    outcome : str
        What the label 1 means, to follow "predicts" in a sentence: "death in hospital". The label's name by default.
    tight : bool
        Whether bounds are tight on purpose, so that nothing is said of values outside.
    """

    columns: Mapping[str, Number | Category]
    label: str
    outcome: str = ""
    tight: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no role, and the label among the features."""
        for name, role in dict(self.columns).items():
            if not isinstance(role, Number | Category):
                raise DataError(
                    f"The column {name!r} has {checks.shown(role)} for a role: give it a cohort.Number or a "
                    "cohort.Category."
                )
        if self.label in self.columns:
            raise DataError(f"The label {self.label!r} is among the columns that a model may see: take it out of them.")


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
    outcome="death in hospital",
    tight=True,
)


def features(
    patients: pd.DataFrame, columns: Iterable[str] | str | None = None, schema: Schema = SUPPORT2
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
    columns : str or iterable of str, optional
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

    Warns
    -----
    UserWarning
        How many values of a column were clipped, if the schema's bounds are not `tight` on purpose: perhaps a code
        such as -9 stands for a missing value. These are counts of patients, for the eyes of those who hold the table.
    """
    if not isinstance(schema, Schema):
        raise DataError(
            f"schema is of type {type(schema).__name__}, it must be a cohort.Schema: give Schema(columns={{...}}, "
            "label=...)."
        )
    if isinstance(columns, str) or not isinstance(columns, Iterable | None):  # its letters are no columns
        columns = [columns]
    chosen = list(schema.columns if columns is None else columns)
    for name in chosen:
        checks.choice(name, "column", schema.columns, error=DataError)
    if not chosen:
        raise DataError("No column was chosen: name at least one column of the schema.")
    checks.table(patients, "patients", [*chosen, schema.label], error=DataError, mend="load them first")
    blocks: dict[str, np.ndarray] = {}
    for name in chosen:
        role, values = schema.columns[name], patients[name]
        made = _from_number(values, role, schema.tight) if isinstance(role, Number) else _from_category(values, role)
        for feature in made.keys() & blocks.keys():
            raise DataError(f"Two features would be named {feature!r}, one of them of {name!r}: rename that column.")
        blocks.update(made)
    y = _label(patients[schema.label])
    y.attrs["outcome"] = schema.outcome or schema.label
    return pd.DataFrame(blocks, index=patients.index), y


def _from_number(values: pd.Series, role: Number, tight: bool) -> dict[str, np.ndarray]:
    name = str(values.name)
    numbers = as_numbers(values)
    codes = as_numbers(pd.Series(role.missing, dtype=object))
    given = values.notna().to_numpy() & ~is_one_of(values, role.missing) & ~np.isin(numbers, codes)
    _refuse(values, given & ~np.isfinite(numbers), "must be a finite number", role)
    if not tight:
        _tell_of_clipped(name, numbers[given], role)
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
    given = values.notna().to_numpy() & ~is_one_of(values, role.missing)
    _refuse(values, given & ~is_one_of(values, role.levels), f"must be one of {role.levels}", role)
    names = np.where(given, as_objects(values), None)
    if role.ordered:
        steps = dict(zip(role.levels, np.linspace(-1, 1, len(role.levels)), strict=True))
        return {name: np.array([steps.get(level, 0.0) for level in names])}
    return {f"{name}: {level}": (names == level).astype(float) for level in role.levels[1:]}


def _refuse(values: pd.Series, wrong: np.ndarray, rule: str, role: Number | Category) -> None:
    """Refuse a value that its role forbids; it may be a code for a missing one."""
    if wrong.any():
        code = f"{type(role).__name__}(..., missing=({checks.shown(values[wrong].iloc[0])},))"
        mend = f"correct it in your table, or if it stands for a missing value say so in the role, {code}"
        refuse_values(values, wrong, rule, mend=mend)


def _tell_of_clipped(name: str, numbers: np.ndarray, role: Number) -> None:
    """Warn of values outside the public bounds: they may be codes, or the bounds wrong."""
    outside = numbers[(numbers < role.low) | (numbers > role.high)]
    if len(outside):
        found, counts = np.unique(outside, return_counts=True)
        code, times = found[counts.argmax()], counts.max()
        warnings.warn(
            f"{name}: {len(outside):,} of {len(numbers):,} values lie outside the public bounds {role.low:g} to "
            f"{role.high:g} and were moved to the nearer bound, such as {code:g} ({times:,} times). If that stands for "
            f"a missing value, give the role missing=({code:g},); if the bounds are tight on purpose, give "
            "Schema(..., tight=True).",
            stacklevel=4,
        )


def _label(values: pd.Series) -> pd.Series:
    numbers = as_numbers(values)
    column, absent = f"table[{values.name!r}]", values.isna().to_numpy()
    wrong = ~np.isin(numbers, (0, 1)) & ~absent
    if wrong.any():
        test = f"== {checks.shown(values[wrong].iloc[0])}" if np.isnan(numbers[wrong][0]) else "> 0"
        mend = f"recode it so that 1 is what you predict, such as {column} = ({column} {test}).astype(int)"
        refuse_values(values, wrong, "the label must be 0 or 1", mend=mend)
    drop = f"drop the rows without one, table.dropna(subset=[{values.name!r}])"
    refuse_values(values, absent, "every patient needs a label", mend=drop)
    return pd.Series(numbers.astype(np.int64), index=values.index, name=values.name)
