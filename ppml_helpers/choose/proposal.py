"""What the columns of somebody's own table mean: proposed from the table, then decided by a person, kept as TOML.

A proposal is never used in silence: bounds and lists of names that were read from the table carry the words of `READ`
until somebody replaces them by a public source, and until then nothing is promised about the columns that have them.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ppml_helpers import checks, cohort
from ppml_helpers.anonymise.hierarchy import label_of
from ppml_helpers.columns import as_numbers, as_objects
from ppml_helpers.errors import KitError, TableError
from ppml_helpers.files import replacing

READ = "read from the data: not public; replace"
"""The source of bounds and names that nobody has yet replaced by public knowledge."""

USES = ("predictor", "target", "identifier", "unused")
KINDS = ("number", "category")
SEVERAL = ("one drawn", "averaged")
"""What is done with several rows of a person; the promise is to the person either way."""

MOST_LEVELS = 30
_FARTHEST, _NEAREST = 1e12, 1e-6  # of bounds
_IDENTIFYING = 0.9  # share of distinct values from which text, or whole numbers, are proposed as an identifier
_KNOWN_TO_OTHERS = re.compile(
    r"(?:^|[\W_])(?:age|sex|gender|race|ethnic\w*|birth\w*|dob|zip\w*|post_?code|plz|town|city|region|country|weight|"
    r"wt\w*|height|job|occupation|marital\w*|income|alter|geschlecht)(?:$|[\W_])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Column:
    """What one column means.

    Parameters
    ----------
    name : str
    use : str
        One of `USES`.
    quasi_identifier : bool
        Whether others may know the value, from outside the table.
    sensitive : bool
        Whether nobody should learn the value from the table.
    kind : str
        One of `KINDS`; of predictors and quasi-identifiers.
    low, high, fill : float, optional
        Of a number: public bounds, and the public value that stands in for a missing one.
    levels : tuple of str
        Of a category: all names that it may have; the first stands in for a missing one.
    missing : tuple
        Codes for a missing value.
    source : str
        Where bounds and levels come from; `READ` until somebody says.
    """

    name: str
    use: str = "unused"
    quasi_identifier: bool = False
    sensitive: bool = False
    kind: str = ""
    low: float | None = None
    high: float | None = None
    fill: float | None = None
    levels: tuple[str, ...] = ()
    missing: tuple[object, ...] = ()
    source: str = ""

    @property
    def measured(self) -> bool:
        """Whether anything is computed from it."""
        return self.use == "predictor" or self.quasi_identifier

    @property
    def confirmed(self) -> bool:
        """Whether bounds or names come from somewhere else than the table."""
        return bool(self.source.strip()) and not self.source.strip().startswith("read from the data")

    @property
    def words(self) -> str:
        """Its use, and what else it is."""
        marks = {"quasi-identifier": self.quasi_identifier, "sensitive": self.sensitive}
        return ", ".join([self.use, *(word for word, on in marks.items() if on)])

    @property
    def known(self) -> str:
        """What is publicly known of it; bounds and names that come from the table are left out."""
        if not (self.measured and self.confirmed):
            return self.source
        ends = f"{_plain(self.low)} to {_plain(self.high)}" if self.kind == "number" else f"{len(self.levels)} names"
        return f"{ends} ({self.source})"

    def role(self) -> cohort.Number | cohort.Category:
        """Return the role that `cohort.features` understands, or say what is wrong with it."""
        try:
            checks.choice(self.kind, "kind", KINDS, error=TableError)
            if self.kind == "number":
                return cohort.Number("", *self._ends(), self.source)
            return cohort.Category(self.levels, self.source)
        except KitError as refused:
            raise TableError(f"The column {checks.shown(self.name)}: {refused}") from None

    def _ends(self) -> tuple[float, float, float]:
        """Return low, high and fill; a refusal repeats none of them, for they may come from the table."""
        ends = self.low, self.high, self.fill
        if None in ends or not all(abs(end) <= _FARTHEST for end in ends) or self.high - self.low < _NEAREST:
            raise KitError(
                f"low, high and fill must be numbers up to {_FARTHEST:g}, low and high at least {_NEAREST:g} apart: "
                "give them, perhaps in another unit."
            )
        if not self.low <= self.fill <= self.high:
            raise KitError("fill must lie between low and high: give a public value that does.")
        return ends


@dataclass(frozen=True)
class Roles:
    """What all columns of a table mean.

    Parameters
    ----------
    columns : mapping of str to Column
    positive : str
        The value of the target that is predicted, as text; every other value is 0.
    outcome : str
        What it means, to follow "predicts".
    person : str
        The column that numbers the people; empty if each row is a person.
    several : str
        One of `SEVERAL`.
    """

    columns: Mapping[str, Column] = field(default_factory=dict)
    positive: str = "1"
    outcome: str = ""
    person: str = ""
    several: str = "one drawn"

    @property
    def target(self) -> str:
        """The column that is predicted, or nothing if none is named yet."""
        return next((name for name, column in self.columns.items() if column.use == "target"), "")

    @property
    def predictors(self) -> list[str]:
        """Columns that a model may see."""
        return [name for name, column in self.columns.items() if column.use == "predictor"]

    @property
    def quasi_identifiers(self) -> list[str]:
        """Columns that others may know."""
        return [name for name, column in self.columns.items() if column.quasi_identifier]

    @property
    def unconfirmed(self) -> list[str]:
        """Columns whose bounds or names nobody has said to be public."""
        return [name for name, column in self.columns.items() if column.measured and not column.confirmed]

    def shown(self) -> pd.DataFrame:
        """Return the roles as a table, without bounds and names that come from the data."""
        rows = [(name, one.words, one.kind, one.known) for name, one in self.columns.items()]
        return pd.DataFrame(rows, columns=["column", "use", "kind", "public bounds or names"]).set_index("column")

    def save(self, path: str | Path) -> Path:
        """Write the roles as TOML, in place of an older file in one step.

        Raises
        ------
        TableError
            If the file cannot be written.
        """
        target = Path(path)
        try:
            with replacing(target) as scratch:
                scratch.write_text(to_toml(self), encoding="utf-8", newline="\n")
        except OSError as refused:
            reason = refused.strerror or refused
            raise TableError(f"{target} cannot be written ({reason}): name a folder that can be.") from None
        return target


# Proposing -------------------------------------------------------------------------------------------------------


def propose(table: pd.DataFrame) -> Roles:
    """Propose what the columns of a table mean, for a person to correct.

    The target is proposed only if a single column has two values. Quasi-identifiers are proposed by the words in a
    column's name; that a column is sensitive is never proposed, and that one is known only after the outcome is not
    seen: both are a person's to say.

    Parameters
    ----------
    table : DataFrame
        As `table.read_frame` returns it.

    Returns
    -------
    Roles
        Its bounds, names and values to fill in come from the table and say so.
    """
    columns = {str(name): _proposed(table[name], str(name)) for name in table.columns}
    predictors = [name for name, one in columns.items() if one.use == "predictor"]
    binary = {name: found for name in predictors if len(found := set(_labels(table[name]))) == 2}
    if len(binary) != 1:
        return Roles(columns)
    [(target, found)] = binary.items()
    columns[target] = Column(target, "target")
    return Roles(columns, positive=max(found))


def _labels(values: pd.Series) -> list[str]:
    """Return each value that is not missing as text."""
    return [label_of(value) for value in as_objects(values) if value is not None]


def _proposed(values: pd.Series, name: str) -> Column:
    given = values.dropna()
    levels = tuple(sorted(set(_labels(given))))
    distinct = len(levels)
    if distinct < 2:
        return Column(name, source="the same in every row" if distinct else "empty")
    numbers = as_numbers(given, text=False)
    unique = distinct > _IDENTIFYING * len(given)
    known = bool(_KNOWN_TO_OTHERS.search(name))
    if np.isfinite(numbers).all() and given.dtype != bool:
        if unique and (numbers == np.rint(numbers)).all() and distinct > MOST_LEVELS:
            return Column(name, "identifier")
        low, high, fill = float(numbers.min()), float(numbers.max()), float(np.median(numbers))
        return Column(name, "predictor", known, kind="number", low=low, high=high, fill=fill, source=READ)
    if not all(isinstance(value, Hashable) for value in as_objects(given)):
        return Column(name, source="lists: make a column of each number or name to use it")
    if isinstance(given.iloc[0], pd.Timestamp):
        return Column(name, quasi_identifier=False, source="a date: turn it into a number of days or years to use it")
    if unique and distinct > MOST_LEVELS:
        return Column(name, "identifier")
    if distinct > MOST_LEVELS:
        return Column(name, source=f"{distinct:,} names: join them into at most {MOST_LEVELS} to use it")
    return Column(name, "predictor", known, kind="category", levels=levels, source=READ)


# TOML ------------------------------------------------------------------------------------------------------------

_HEAD = """\
# What the columns of this table mean. Correct it, then give it back with --roles.
# use: predictor, target, identifier or unused. Use as predictors only what is known before the outcome.
# quasi_identifier: others may know it. sensitive: nobody should learn it from the table.
# source: where bounds (low, high), fill and levels come from. Replace "read from the data ..." and the values with
# public ones: until then no private statistic and no private model is computed from the column.
# This file may hold values of real people until then: keep it as you keep the table.
"""
_TOP = ("positive", "outcome", "person", "several")


def to_toml(roles: Roles) -> str:
    """Return roles as the text of a TOML file."""
    lines = [_HEAD, f"target = {_toml(roles.target)}", *(f"{key} = {_toml(getattr(roles, key))}" for key in _TOP)]
    for one in roles.columns.values():
        lines += ["", "[[column]]", f"name = {_toml(one.name)}", f"use = {_toml(one.use)}"]
        for part in fields(Column)[2:]:
            value = getattr(one, part.name)
            if value or (value == 0 and value is not False):
                lines.append(f"{part.name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """Return text, a number, a truth or a list of them as TOML writes it."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _plain(value)
    text = json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    return re.sub("[\ud800-\udfff]", "\\\\uFFFD", text)


def _plain(value: float | None) -> str:
    """Return a number as short as it is exact."""
    return (
        ""
        if value is None
        else str(int(value))
        if float(value).is_integer() and abs(value) < 1e15
        else repr(float(value))
    )


def read_roles(path: str | Path) -> Roles:
    """Read roles from a TOML file.

    Raises
    ------
    TableError
        If it cannot be read, is no TOML, or says something that roles do not have; the sentence names the column.
    """
    file = Path(path)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as refused:
        raise TableError(f"The roles {file} cannot be read ({refused.strerror}): give the path of the file.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as refused:
        reason = " ".join(str(refused).split())
        raise TableError(f"The roles {file} are no TOML ({reason}): correct that line, or propose them anew.") from None
    return _roles_of(content, str(file))


def _roles_of(content: dict[str, Any], where: str) -> Roles:
    listed = content.pop("column", [])
    target = content.pop("target", "")
    strange = sorted(set(content) - {*_TOP})
    if strange or not isinstance(listed, list) or not all(isinstance(value, str) for value in content.values()):
        key = strange[0] if strange else next((k for k, v in content.items() if not isinstance(v, str)), "column")
        raise TableError(f"{where}: {key!r} is not understood: keep the keys, and texts between quotes.")
    columns: dict[str, Column] = {}
    for entry in listed:
        one = _column_of(entry, where)
        if one.name in columns:
            raise TableError(f"{where}: the column {checks.shown(one.name)} is there twice: keep one entry.")
        columns[one.name] = one
    roles = Roles(columns, **content)
    if roles.several not in SEVERAL:
        raise TableError(f"{where}: several = {checks.shown(roles.several)} is not on offer: choose one of {SEVERAL}.")
    return with_target(roles, target) if isinstance(target, str) and target else roles


def with_target(roles: Roles, target: str) -> Roles:
    """Return roles that predict this column and no other."""
    if target not in roles.columns:
        raise TableError(f"The target {checks.shown(target)} is none of the columns: name one of them.")
    columns = {name: replace(one, use="unused") if one.use == "target" else one for name, one in roles.columns.items()}
    columns[target] = Column(target, "target", sensitive=roles.columns[target].sensitive)
    return replace(roles, columns=columns)


def _column_of(entry: Any, where: str) -> Column:
    known = {part.name for part in fields(Column)}
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise TableError(f"{where}: a [[column]] has no name: give it one, as it stands in the table.")
    name = checks.shown(entry["name"])
    for key, value in entry.items():
        if key not in known:
            raise TableError(f"{where}: the column {name} has the unknown key {key!r}: take it out.")
        kinds: tuple[type, ...] = {
            **dict.fromkeys(("name", "use", "kind", "source"), (str,)),
            **dict.fromkeys(("quasi_identifier", "sensitive"), (bool,)),
            **dict.fromkeys(("levels", "missing"), (list,)),
        }.get(key, (int, float))
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            shown = checks.shown(value)
            raise TableError(f"{where}: the column {name} has {key} = {shown}: give it a {kinds[0].__name__}.")
    if entry.get("use", "unused") not in USES:
        raise TableError(f"{where}: the column {name} has use = {checks.shown(entry['use'])}: choose one of {USES}.")
    lists = {"levels": tuple(map(label_of, entry.get("levels", ()))), "missing": tuple(entry.get("missing", ()))}
    return Column(**{**entry, **lists})
