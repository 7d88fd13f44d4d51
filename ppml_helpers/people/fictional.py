"""What the rooms of made-up things share: the label, the table that shows it, the seeds, the checks."""

from __future__ import annotations

import html
import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ppml_helpers import checks
from ppml_helpers.errors import IdentityError

#: The attributes of a table that say what it is. Others may be about its rows: what is handed on leaves them behind.
LABELS = ("fictional", "synthetic", "simulated", "mock")

#: The label of everything that is made up.
FICTIONAL = "Fictional: the names, numbers, dates, places and notes here are made up and belong to no real person."


class Fictional(pd.DataFrame):
    """A table with made-up columns that says so wherever it is shown.

    It is an ordinary DataFrame otherwise. What pandas derives from it as a table (a slice, a copy, a concatenation, a
    merge that starts from it) is labelled again. A single column is an ordinary Series: it carries the label in its
    `attrs` but does not show it. An aggregation with a dictionary, a cross table, or a merge that starts from a plain
    table is a plain table. `pd.DataFrame(table)` takes the label off.
    `attrs["fictional"]` is the label, `FICTIONAL` unless the table says something more exact.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.attrs.setdefault("fictional", FICTIONAL)

    @property
    def _constructor(self) -> type[Fictional]:
        return Fictional

    def __finalize__(self, other: Any, method: str | None = None, **kwargs: Any) -> Fictional:
        """Take over what pandas takes over, and the labels of every input: pandas drops them where inputs differ."""
        super().__finalize__(other, method=method, **kwargs)
        labels: list[str] = []
        for source in getattr(other, "input_objs", [other]):
            label = getattr(source, "attrs", {}).get("fictional")
            if isinstance(label, str) and label and not any(label in known for known in labels):
                labels.append(label)
        self.attrs["fictional"] = " ".join(labels) or self._label()
        return self

    def __repr__(self) -> str:
        """Return the table as text with the label as its last line."""
        return f"{super().__repr__()}\n{self._label()}"

    def _repr_html_(self) -> str | None:
        """Return the table as HTML with the label as its caption, None where pandas shows text."""
        table = super()._repr_html_()
        if table is None:
            return None
        label = html.escape(self._label())
        # A caption belongs inside the table; the info view of a wide table has none, so the label goes before it.
        captioned, found = re.subn(
            r"(<table\b[^>]*>)", rf"\g<1>\n  <caption>{_literal(label)}</caption>", table, count=1
        )
        return captioned if found else f"<p>{label}</p>\n{table}"

    def _label(self) -> str:
        return str(self.attrs.get("fictional", FICTIONAL))


def _literal(replacement: str) -> str:
    return replacement.replace("\\", r"\\")


def generator(seed: int, stream: int) -> np.random.Generator:
    """Return the random generator of one purpose: names and notes of one seed do not share random numbers."""
    return np.random.default_rng([checks.whole(seed, "seed", 0, error=IdentityError), stream])


def check_table(table: pd.DataFrame, columns: tuple[str, ...], name: str, made_by: str) -> None:
    """Check that a table has rows, unique labels and the columns, and a date in every row of a column of dates."""
    checks.table(table, name, columns, error=IdentityError, mend=f"pass {made_by}")
    for column in {"birth_date", "admission_date", "admission"}.intersection(columns):
        if not pd.api.types.is_datetime64_any_dtype(table[column].dtype) or table[column].isna().any():
            raise IdentityError(
                f"{column} in {name} must hold a date (datetime64) in every row: use pd.to_datetime, or pass {made_by}."
            )
    if pd.isna(pd.Series(table.index.to_flat_index(), dtype=object)).any():
        raise IdentityError(f"A row of {name} has no label in the index, each needs one: use reset_index(drop=True).")
    repeated = table.index[table.index.duplicated()]
    if len(repeated):
        raise IdentityError(
            f"The label {repeated.tolist()[0]!r} stands twice in the index of {name}, labels must be unique: "
            f"use reset_index(drop=True)."
        )


def plain_dates(values: pd.Series) -> pd.Series:
    """Return dates as pandas itself holds them, to the microsecond; of one with a time zone what its clock shows."""
    moments = values.astype(object) if isinstance(values.dtype, pd.ArrowDtype) else values
    moments = pd.to_datetime(moments)
    return (moments if moments.dt.tz is None else moments.dt.tz_localize(None)).astype("datetime64[us]")


def without_traces(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose columns and labels list no value that none of its rows has.

    A category that no row has any more, the dictionary of an Arrow column and the levels of an index name what was
    left out.
    """
    clean = table.copy(deep=False)
    if isinstance(clean.index, pd.MultiIndex):
        clean.index = clean.index.remove_unused_levels()
    elif isinstance(clean.index, pd.CategoricalIndex):
        clean.index = clean.index.remove_unused_categories()
    for name in table.columns:
        kind = table[name].dtype
        if isinstance(kind, pd.CategoricalDtype):
            clean[name] = table[name].cat.remove_unused_categories()
        elif isinstance(kind, pd.ArrowDtype) and pa.types.is_dictionary(kind.pyarrow_dtype):
            clean[name] = table[name].astype(pd.ArrowDtype(kind.pyarrow_dtype.value_type))
    return clean
