"""Mock patients: a table of the same shape as the real one, made without looking at a single real row.

A mock table lets researchers write code that will run on the real one. Taken from the real table, even a few rows of
it, even shuffled, it publishes patients. This one comes from what is public: columns, units, ranges, allowed names
(`cohort.COLUMNS`, `cohort.SUPPORT2`), each column drawn by itself, so that no statistic of the table means anything.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ppml_helpers import checks
from ppml_helpers.cohort import COLUMNS, SUPPORT2, Column, Number
from ppml_helpers.errors import DatasiteError

MISSING = 0.1  # share of gaps where the published table may have any: code that has met none fails on real patients
_WHOLE = ("0/1", "count", "day", "days", "row number")


def mock_patients(columns: Iterable[str], rows: int, seed: int) -> pd.DataFrame:
    """Invent patients with the columns of SUPPORT2.

    Parameters
    ----------
    columns : iterable of str
        Columns of the published table.
    rows, seed : int
        How many patients; the same seed gives the same table.

    Returns
    -------
    DataFrame
        One row an invented patient, the kinds of numbers as in the published table; ``attrs["mock"]`` says in a
        sentence that they are invented.
    """
    names = [columns] if isinstance(columns, str) else list(columns)
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or not names or len(set(names)) < len(names):
        raise DatasiteError(
            f"columns = {names} must be different columns of the published table: choose from {', '.join(COLUMNS)}."
        )
    rows = checks.whole(rows, "rows", 1, error=DatasiteError)
    rng = np.random.default_rng(checks.whole(seed, "seed", 0, error=DatasiteError))
    table = pd.DataFrame({name: _draw(name, rows, rng) for name in names})
    table.attrs["mock"] = "These patients are invented from published ranges: no real patient was looked at."
    return table


def _draw(name: str, rows: int, rng: np.random.Generator) -> pd.Series:
    rule = COLUMNS[name]
    if name == "sno":
        return pd.Series(np.arange(1, rows + 1))
    values = pd.Series(rng.choice(rule.levels, rows), dtype="str") if rule.levels else _numbers(name, rule, rows, rng)
    gaps = rng.random(rows) < MISSING  # drawn for every column, so that a rule's change moves no other column
    return values if rule.required else values.mask(gaps)


def _numbers(name: str, rule: Column, rows: int, rng: np.random.Generator) -> pd.Series:
    role = SUPPORT2.columns.get(name)
    low, high = (role.low, role.high) if isinstance(role, Number) else (rule.low, rule.high)
    if rule.unit in _WHOLE:
        numbers = rng.integers(int(low), int(high), rows, endpoint=True)
        return pd.Series(numbers if rule.required else numbers.astype(np.float64))
    if isinstance(role, Number) and role.shape == "log":
        numbers = np.exp(rng.uniform(np.log(low), np.log(high), rows))
    else:
        numbers = rng.uniform(low, high, rows)
    digits = 0 if high - low >= 50 else 1 if high - low >= 5 else 2
    return pd.Series(np.clip(np.round(numbers, digits), low, high))
