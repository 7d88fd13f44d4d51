"""Somebody's own table: read, given roles, checked, and turned into what every chapter can work on."""

from __future__ import annotations

import csv
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from ppml_helpers import checks, cohort
from ppml_helpers.anonymise.hierarchy import label_of
from ppml_helpers.choose.proposal import Column, Roles, propose, read_roles
from ppml_helpers.columns import as_numbers, as_objects, is_one_of
from ppml_helpers.errors import TableError

FEWEST = 40  # people: with fewer, no half of the tested ones is left to attack with
_TEXT = (".csv", ".csv.gz")
_PARQUET = (".parquet", ".pq")

Path_ = str | Path


def roles_path(path: Path_) -> Path:
    """Return where the roles of a table's file are kept: beside it, "heart.csv" has "heart.roles.toml"."""
    file = Path(path)
    stem = file.name
    for end in (*_TEXT[::-1], *_PARQUET):
        stem = stem.removesuffix(end)
    return file.with_name(f"{stem}.roles.toml")


def read_frame(path: Path_) -> pd.DataFrame:
    """Read a CSV or Parquet file, or say in one sentence what is wrong with it; no value of it is repeated.

    Empty fields and "NA", "NaN", "null" and the like are missing values.

    Raises
    ------
    TableError
        If the file is missing, damaged, empty, not in UTF-8, or two columns have one name.
    """
    file = Path(path)
    try:
        if file.name.endswith(_PARQUET):
            return _named(pd.read_parquet(file), str(file))
        if not file.name.endswith(_TEXT):
            raise TableError(f"{file} is neither {', '.join(_TEXT)} nor {_PARQUET[0]}: save the table as one of them.")
        return _named(_read_csv(file), str(file))
    except TableError:
        raise
    except OSError as refused:
        reason = refused.strerror or type(refused).__name__
        raise TableError(f"{file} cannot be read ({reason}): give the path of a table.") from None
    except UnicodeDecodeError:
        raise TableError(f"{file} is not in UTF-8: save it anew with that encoding.") from None
    except (pd.errors.EmptyDataError, EOFError):
        raise TableError(f"{file} is empty or cut short: give a table with a line of column names.") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error):
        raise TableError(
            f"{file} is no table: a line has more or fewer fields than there are columns; save it anew as CSV with "
            "commas, and texts that hold commas between quotes."
        ) from None
    except ValueError as refused:  # of pyarrow: a damaged Parquet file
        raise TableError(f"{file} cannot be read ({type(refused).__name__}): save the table anew.") from None


def _read_csv(file: Path) -> pd.DataFrame:
    names = pd.read_csv(file, header=None, nrows=1, dtype=str, encoding="utf-8").iloc[0]
    twice = names[names.notna() & names.duplicated()]
    if len(twice):  # pandas would take the second for another column
        raise TableError(f"{file} has two columns named {checks.shown(twice.iloc[0])}: rename one.")
    if len(names) == 1 and any(mark in str(names.iloc[0]) for mark in ";\t|"):
        raise TableError(f"{file} has one column, and its name holds another separator: save it with commas.")
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(file, index_col=False, low_memory=False, encoding="utf-8")


def _named(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return a table whose columns are named by text, its rows numbered anew."""
    if not isinstance(frame, pd.DataFrame):
        raise TableError(f"The table is of type {type(frame).__name__}: give a path or a pandas DataFrame.")
    frame = frame.reset_index(drop=True)
    frame.columns = [str(name) for name in frame.columns.to_flat_index()]
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise TableError(f"{where} has two columns named {checks.shown(twice[0])}: rename one.")
    if not frame.size:
        raise TableError(f"{where} has {len(frame)} rows and {frame.shape[1]} columns: give a table with some.")
    return frame


@dataclass(frozen=True, eq=False)
class Table:
    """A table of one's own and what its columns mean; it does not show its rows.

    Parameters
    ----------
    frame : DataFrame
        As it was read; see `Table.read`.
    roles : Roles or None
        None until somebody has decided: then only `proposal` can be had.
    name : str
        Of the file, for sentences.
    """

    frame: pd.DataFrame
    roles: Roles | None = None
    name: str = "the table"

    @classmethod
    def read(cls, source: Path_ | pd.DataFrame, roles: Path_ | Roles | None = None) -> Table:
        """Read a table and its roles.

        Parameters
        ----------
        source : path of a .csv, .csv.gz or .parquet file, or DataFrame
        roles : path of a TOML file, or Roles, optional
            By default the file beside the table, if there is one (see `roles_path`).

        Raises
        ------
        TableError
            In one sentence that names the column and what would mend it. Values are never repeated.
        """
        own = isinstance(source, pd.DataFrame)
        frame = _named(source, "The table") if own else read_frame(source)
        if roles is None and not own and roles_path(source).is_file():
            roles = roles_path(source)
        known = roles if isinstance(roles, Roles | None) else read_roles(roles)
        table = cls(frame, known, "the table" if own else Path(source).name)
        if known is not None:
            _check(table)
        return table

    def __repr__(self) -> str:
        """Say how large the table is, and show none of its rows."""
        rows, columns = self.frame.shape
        return f"<Table {self.name}: {rows:,} rows, {columns} columns{'' if self.roles else ', roles not decided'}>"

    @cached_property
    def proposal(self) -> Roles:
        """What the columns may mean, read from the table: correct it, save it, and read the table again with it."""
        return propose(self.frame)

    @property
    def decided(self) -> Roles:
        """The roles, or a sentence that asks for them."""
        if self.roles is None:
            raise TableError(
                f"Nobody has said yet what the columns of {self.name} mean: look at `table.proposal.shown()`, save it "
                "with `table.proposal.save(path)`, correct that file, and read the table again with it."
            )
        return self.roles

    @cached_property
    def schema(self) -> cohort.Schema:
        """What `cohort.features` and the explorers need to know; the label is the column "target"."""
        roles = self.decided
        columns = {name: roles.columns[name].role() for name in roles.predictors}
        return cohort.Schema(columns, _label(roles), roles.outcome or f"{roles.target} = {roles.positive}", tight=True)

    @cached_property
    def people(self) -> pd.DataFrame:
        """One row a person: measured columns as numbers or texts (missing where missing), and the label as 0 or 1."""
        roles = self.decided
        clean = {name: _values(self.frame[name], one) for name, one in roles.columns.items() if one.measured}
        labels = as_objects(self.frame[roles.target])
        clean[_label(roles)] = np.array([label_of(value) == roles.positive for value in labels], dtype=np.int64)
        table = pd.DataFrame(clean, index=self.frame.index)
        if not roles.person:
            return table
        return _one_row_each(table, self.frame[roles.person], roles)

    @property
    def filled(self) -> pd.DataFrame:
        """`people` with the public value in place of each missing one, numbers within their bounds."""
        table, roles = self.people.copy(), self.decided
        for name, one in roles.columns.items():
            if one.measured:
                table[name] = table[name].fillna(one.fill if one.kind == "number" else one.levels[0])
                if one.kind == "number":
                    table[name] = table[name].clip(one.low, one.high)
        return table

    @property
    def unit(self) -> str:
        """In one sentence, who is protected by a promise, and what was done with several rows of a person."""
        roles = self.decided
        if not roles.person:
            return "Each row is taken to be one person; if somebody has several, every promise is weaker to them."
        drawn = roles.several == "one drawn"
        done = "one of them was drawn" if drawn else "they were averaged, and the outcome is 1 if any is"
        return (
            f"People are numbered by {roles.person}: {len(self.frame):,} rows of {len(self.people):,} people; where "
            f"somebody has several, {done}. The promises are to a person."
        )

    def split(self, seed: int = 0, most: int | None = None) -> cohort.Split:
        """Return features between -1 and 1 and labels, split into a training and a test part.

        Parameters
        ----------
        seed : int
        most : int, optional
            People to draw at most.
        """
        X, y = cohort.features(self.drawn(most, seed), schema=self.schema)
        return cohort.split(X, y, seed)

    def drawn(self, most: int | None = None, seed: int = 0) -> pd.DataFrame:
        """Return `people`, or so many of them drawn at random."""
        people = self.people
        return people if most is None or len(people) <= most else people.sample(most, random_state=seed).sort_index()


def _label(roles: Roles) -> str:
    """Return a name for the label that no column has."""
    name = "target"
    while name in roles.columns and name != roles.target:
        name += "_"
    return name


def _one_row_each(table: pd.DataFrame, person: pd.Series, roles: Roles) -> pd.DataFrame:
    numbers = pd.factorize(person)[0]
    label = _label(roles)
    if roles.several == "one drawn":
        order = np.random.default_rng(0).permutation(len(table))
        kept = np.sort(order[~pd.Series(numbers[order]).duplicated().to_numpy()])
        return table.iloc[kept].reset_index(drop=True)
    grouped = table.groupby(numbers)
    how = {
        name: "mean" if roles.columns[name].kind == "number" else _commonest for name in table.columns if name != label
    }
    return grouped.agg({**how, label: "max"})[list(table.columns)].reset_index(drop=True)


def _commonest(values: pd.Series) -> object:
    """Return the most frequent name, the first by the alphabet of equals; None if there is none."""
    found = values.mode()
    return found.iloc[0] if len(found) else None


# What is refused -------------------------------------------------------------------------------------------------


def _values(values: pd.Series, one: Column) -> np.ndarray:
    """Return a column as floats with NaN, or as texts with None; refuse what its role forbids, without repeating it."""
    name = checks.shown(one.name)
    codes = {label_of(code) for code in one.missing}
    labels = np.array([None if value is None else label_of(value) for value in as_objects(values)], dtype=object)
    given = np.array([label is not None and label not in codes for label in labels])
    if one.kind == "number":
        numbers = as_numbers(values)
        _refuse(given & ~np.isfinite(numbers), name, "is no finite number", "correct it, or list it in `missing`")
        return np.where(given, numbers, np.nan)
    strange = given & ~is_one_of(pd.Series(labels, dtype=object), one.levels)
    _refuse(strange, name, "is none of its levels", "add it to `levels`, or list it in `missing`")
    return np.where(given, labels, None)


def _refuse(wrong: np.ndarray, name: str, what: str, mend: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise TableError(f"The column {name} {what} in data row {row + 1} ({wrong.sum():,} such rows): {mend}.")


def _check(table: Table) -> None:
    """Refuse roles that do not fit the table, the first thing that is wrong."""
    frame, roles = table.frame, table.decided
    for name in [*roles.columns, *([roles.person] if roles.person else [])]:
        if name not in frame.columns:
            raise TableError(f"{table.name} lacks the column {checks.shown(name)} that the roles have: take it out.")
    new = [name for name in frame.columns if name not in roles.columns]
    if new:
        raise TableError(f"The roles say nothing of the column {checks.shown(new[0])}: add it, if only as unused.")
    if not roles.target:
        raise TableError("No column is the target: write its name behind `target =` in the roles.")
    if not roles.predictors:
        raise TableError('No column is a predictor: give at least one the use "predictor" in the roles.')
    if roles.person and frame[roles.person].isna().any():
        raise TableError(f"The column {checks.shown(roles.person)} numbers people and has gaps: fill them.")
    for one in roles.columns.values():
        if one.measured:
            if one.use == "target":
                raise TableError(f"The target {checks.shown(one.name)} is a quasi-identifier too: make it sensitive.")
            one.role()
    _check_target(table)


def _check_target(table: Table) -> None:
    roles, name = table.decided, checks.shown(table.decided.target)
    absent = table.frame[roles.target].isna()
    if absent.any():
        raise TableError(f"The target {name} is missing in {absent.sum():,} rows: leave these rows out, or fill them.")
    labels = table.people[_label(roles)]
    if labels.nunique() < 2:
        raise TableError(f"The target {name} is never, or always, {checks.shown(roles.positive)}: correct `positive`.")
    if len(labels) < FEWEST:
        raise TableError(f"{table.name} has {len(labels)} people, at least {FEWEST} are needed: take more.")
