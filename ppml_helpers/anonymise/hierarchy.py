"""Generalisation hierarchies: how a value becomes a coarser label, level by level.

A hierarchy turns 63 into "60-64", then "60-69", and in the end into "*", which says nothing. It must be **nested**:
two values that share a label at one level share it at every higher level. Full-domain generalisation applies one level
of a hierarchy to a whole column (Sweeney 2002, "Achieving k-anonymity privacy protection using generalization and
suppression"; Samarati 2001, "Protecting respondents' identities in microdata release").

A missing value is a value of its own: its label is "missing" at every level below a single top.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from ppml_helpers import checks, words
from ppml_helpers.columns import MISSING, kind, numbered, plain
from ppml_helpers.errors import AnonymityError

TOP = "*"
_PERIODS = {"month": "%Y-%m", "quarter": None, "year": "%Y"}  # fine to coarse
_STRANGE = -2  # the place of a value that a hierarchy lacks
_FARTHEST = 10**6  # from 0 that a band goes: each whole number needs a label at each level


class Hierarchy:
    """Labels of each base value at each level.

    Parameters
    ----------
    levels : sequence of sequences
        ``levels[0]`` holds the distinct base values (text, numbers or dates; one None or NaN stands for a missing
        value), ``levels[j][i]`` the label of base value i at level j.
    name : str, optional
        Column to name in messages.

    Raises
    ------
    AnonymityError
        If the levels are not equally long, a base value is repeated, or the hierarchy is not nested.

    Examples
    --------
    >>> ages = Hierarchy.bands(18, 104, (5, 10, 20, 40))
    >>> ages.generalise(pd.Series([63, 64, 65]), 1).tolist()
    ['60-64', '60-64', '65-69']
    """

    def __init__(self, levels: Sequence[Iterable[Any]], name: str | None = None) -> None:
        self.name = name
        whose = f"The hierarchy of {name!r}" if name is not None else "The hierarchy"
        lists = [list(level) for level in levels]
        if not lists or not lists[0]:
            raise AnonymityError(f"{whose} has no values: give at least one base value at level 0.")
        for number, level in enumerate(lists):
            if len(level) != len(lists[0]):
                raise AnonymityError(
                    f"{whose} has {len(lists[0])} base values but {len(level)} labels at level {number}: "
                    f"give one label for each base value."
                )
        lists[0] = [plain(value) for value in lists[0]]
        names = [[value if type(value) is str else label_of(value) for value in level] for level in lists]
        #: Place of each base value; a missing one has the key None.
        self._place = {value: i for i, value in enumerate(lists[0])}
        if min(len(set(names[0])), len(self._place)) < len(lists[0]):
            repeated = pd.Index(names[0])[pd.Index(names[0]).duplicated()]
            raise AnonymityError(f"{whose} names the value {repeated[0]!r} twice at level 0: keep one of them.")
        self._base = lists[0]
        self.levels: tuple[tuple[str, ...], ...] = tuple(tuple(level) for level in names)
        self._codes: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []
        for level in names:
            codes, labels = pd.factorize(np.asarray(level, dtype=object))
            self._codes.append(codes.astype(np.int64))
            self._labels.append(labels)
        self._check_nested(whose)

    def _check_nested(self, whose: str) -> None:
        for low in range(len(self.levels) - 1):
            below, above = self._codes[low], self._codes[low + 1]
            parent = np.empty(len(self._labels[low]), dtype=np.int64)
            parent[below] = above
            torn = np.flatnonzero(parent[below] != above)
            if len(torn):
                label = self.levels[low][torn[0]]
                one, other = self.levels[low + 1][torn[0]], self._labels[low + 1][parent[below[torn[0]]]]
                values = [self.levels[0][i] for i in np.flatnonzero(below == below[torn[0]])]
                raise AnonymityError(
                    f"{whose} is not nested: the label {label!r} of level {low} (values {_some(values)}) falls into "
                    f"both {other!r} and {one!r} at level {low + 1}: give all its values the same label there."
                )

    # ---------------------------------------------------------------------------------------------- constructors

    @classmethod
    def of(cls, hierarchy: Hierarchy | Mapping[int, Iterable[Any]], name: str | None = None) -> Hierarchy:
        """Return a hierarchy from one, or from the dict ``{0: [...], 1: [...]}`` that pycanon and anjana take."""
        if isinstance(hierarchy, Hierarchy):
            return hierarchy
        whose = f"the hierarchy of {name!r}" if name is not None else "the hierarchy"
        if not isinstance(hierarchy, Mapping):
            raise AnonymityError(
                f"Here {whose} is a {type(hierarchy).__name__}, it must be a Hierarchy or a dict of levels "
                f"{{0: values, 1: labels, ...}}: build it with Hierarchy.bands, .groups or .periods."
            )
        if set(hierarchy) != set(range(len(hierarchy))) or not hierarchy:
            raise AnonymityError(
                f"Here {whose} has the levels {_some(hierarchy)}, they must be 0, 1, 2, ... without a gap: "
                f"number them so."
            )
        return cls([hierarchy[level] for level in range(len(hierarchy))], name)

    @classmethod
    def bands(cls, low: int, high: int, widths: Sequence[int] = (5, 10, 20)) -> Self:
        """Whole numbers from `low` to `high` in ever wider bands ("60-64"), then "*".

        Parameters
        ----------
        low, high : int
            Smallest and largest value.
        widths : sequence of int
            Width of the bands of level 1, 2, ...; each a multiple of the one before. Bands start at multiples of
            their width.
        """
        low = checks.whole(low, "low", -_FARTHEST, _FARTHEST, error=AnonymityError)
        high = checks.whole(high, "high", low, _FARTHEST, error=AnonymityError)
        widths = [checks.whole(width, "The width of a band", 1, error=AnonymityError) for width in widths]
        for narrow, wide in itertools.pairwise([1, *widths]):
            if wide % narrow:
                raise AnonymityError(
                    f"A band of {wide} does not consist of whole bands of {narrow}: "
                    f"choose each width as a multiple of the one before, such as 5, 10, 20."
                )
        values = range(low, high + 1)

        def band(value: int, width: int) -> str:
            start = value // width * width
            first, last = max(start, low), min(start + width - 1, high)
            return f"{first}-{last}" if first < last else f"{first}"

        return cls._with_top([list(values), *([band(value, width) for value in values] for width in widths)])

    @classmethod
    def groups(cls, values: Iterable[Any], *groupings: Mapping[str, Iterable[Any]]) -> Self:
        """Named groups of base values, one mapping ``{label: values}`` a level, then "*"."""
        values = list(values)
        base = set(values)
        levels = [values]
        for number, grouping in enumerate(groupings, 1):
            group_of: dict[Any, str] = {}
            for label, members in grouping.items():
                for member in [members] if isinstance(members, str) else members:
                    if member in group_of:
                        raise AnonymityError(
                            f"The value {member!r} is in the groups {group_of[member]!r} and {label!r} of level "
                            f"{number}: keep it in one."
                        )
                    group_of[member] = label
            absent = [value for value in values if value not in group_of]
            unknown = [value for value in group_of if value not in base]
            if absent or unknown:
                problem = "no group holds the value" if absent else "a group names the unknown value"
                raise AnonymityError(
                    f"At level {number} {problem} {(absent or unknown)[0]!r}: the groups of a level must hold "
                    f"each base value once."
                )
            levels.append([group_of[value] for value in values])
        return cls._with_top(levels)

    @classmethod
    def periods(cls, first: Any, last: Any, units: Sequence[str] = ("month", "quarter", "year")) -> Self:
        """Days from `first` to `last` in months ("1993-04"), quarters ("1993 Q2"), years ("1993"), then "*"."""
        try:
            days = pd.date_range(pd.Timestamp(first), pd.Timestamp(last), freq="D")
        except (ValueError, TypeError) as error:
            raise AnonymityError(f"The days {first!r} to {last!r} cannot be read ({error}): give two dates.") from None
        if not len(days):
            raise AnonymityError(f"The days end on {last}, before they begin on {first}: swap them.")
        order = [unit for unit in _PERIODS if unit in units]
        if list(units) != order:
            raise AnonymityError(
                f"The units {tuple(units)} must be some of {tuple(_PERIODS)}, from fine to coarse: reorder them."
            )
        levels: list[list[Any]] = [list(days)]
        for unit in order:
            form = _PERIODS[unit]
            levels.append([f"{d.year} Q{d.quarter}" for d in days] if form is None else list(days.strftime(form)))
        return cls._with_top(levels)

    @classmethod
    def suppression(cls, values: Iterable[Any]) -> Self:
        """Either the value itself or "*"."""
        return cls._with_top([list(values)])

    @classmethod
    def _with_top(cls, levels: list[list[Any]]) -> Self:
        return cls([*levels, [TOP] * len(levels[0])])

    # -------------------------------------------------------------------------------------------------- questions

    @property
    def height(self) -> int:
        """Number of the highest level (level 0 is the base values)."""
        return len(self.levels) - 1

    @property
    def values(self) -> pd.Index:
        """Base values, in the order of `levels`."""
        # pandas would turn None beside numbers into NaN, and True beside 1 into 1.
        return pd.Index(self._base, dtype=None if len({type(value) for value in self._base}) == 1 else object)

    def codes(self, level: int) -> np.ndarray:
        """Return the number of the label of each base value at a level, int64, indexing `labels(level)`."""
        return self._codes[self._level(level)]

    def labels(self, level: int) -> np.ndarray:
        """Return the distinct labels of a level, as an object array of str."""
        return self._labels[self._level(level)]

    def leaves(self, level: int) -> np.ndarray:
        """Return how many base values are under each label of a level, in the order of `labels(level)`."""
        return np.bincount(self.codes(level), minlength=len(self.labels(level)))

    def with_missing(self) -> Hierarchy:
        """Return the hierarchy with a base value for missing values: "missing" below a single top."""
        if None in self._place:
            return self
        single = [level > 0 and len(self._labels[level]) == 1 for level in range(len(self.levels))]
        top = [label[0] if one else MISSING for label, one in zip(self._labels, single, strict=True)]
        if MISSING in self.levels[0]:
            whose = f"The column {self.name!r}" if self.name is not None else "The column"
            raise AnonymityError(
                f"{whose} holds the text {MISSING!r} and missing values, which would get the same label: "
                f"rename the text."
            )
        # Above the first single level every level is single too, because the hierarchy is nested.
        levels = [[*self._base, None]]
        levels += [[*self.levels[level], top[level]] for level in range(1, len(self.levels))]
        return Hierarchy(levels, self.name)

    def find(self, column: pd.Series, name: str | None = None) -> np.ndarray:
        """Return the position of each value among the base values, and -1 for missing where it is no base value."""
        where = self._places(column, name)
        strange = column[where == _STRANGE]
        if len(strange):
            absent = [label_of(value) for value in distinct(strange)[1]]
            name = name if name is not None else column.name
            count, them = words.counted(len(absent), "value"), "it" if len(absent) == 1 else "them"
            raise AnonymityError(
                f"The hierarchy of {name!r} lacks {count} of the column: {_some(absent)}. "
                f"Add {them} at level 0 with a label at each level."
            )
        return where

    def lacks(self, column: pd.Series) -> np.ndarray:
        """Return which rows have a value that is not among the base values (a missing one is never strange)."""
        return self._places(column) == _STRANGE

    def _places(self, column: pd.Series, name: Any = None) -> np.ndarray:
        codes, values = distinct(column, name)
        name = name if name is not None else column.name
        where = np.array([self._place.get(value, _STRANGE) for value in values], dtype=np.int64)
        same_kind(values[where == _STRANGE], self._base, name, "its hierarchy has")
        return np.append(where, self._place.get(None, -1))[codes]

    def generalise(self, column: pd.Series, level: int) -> pd.Series:
        """Replace each value by its label at a level.

        Parameters
        ----------
        column : Series
            Base values, any index.
        level : int
            0 (the values as text) to `height`.

        Returns
        -------
        Series of str
            Same index and name. A missing value becomes "missing", or the label of a single top.

        Raises
        ------
        AnonymityError
            If a value is not among the base values, or the level does not exist.
        """
        level, where = self._level(level), self.find(column)
        labels = self._labels[level]
        rest = labels[0] if level and len(labels) == 1 else MISSING
        taken = np.append(labels, rest)[np.append(self._codes[level], len(labels))[where]]
        return pd.Series(taken, index=column.index, name=column.name, dtype="str")

    def _level(self, level: int) -> int:
        whose = f" of {self.name!r}" if self.name is not None else ""
        return checks.whole(level, f"The level of the hierarchy{whose}", 0, self.height, error=AnonymityError)

    def __repr__(self) -> str:
        """Show the number of labels at each level."""
        return f"<Hierarchy {' > '.join(str(len(labels)) for labels in self._labels)} labels>"


# ------------------------------------------------------------------------------------------------------------------
# Values
# ------------------------------------------------------------------------------------------------------------------


def label_of(value: Any) -> str:
    """Return a value as the text that a released table shows ("60" for 60.0, "1993-04-01" for a day)."""
    value = plain(value)
    if value is None:
        return MISSING
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, pd.Timestamp) and value == value.normalize():
        return value.strftime("%Y-%m-%d")
    return str(value)


def distinct(column: pd.Series, name: Any = None) -> tuple[np.ndarray, pd.Index]:
    """Return the number of each row's value (-1 where missing) and the distinct values in order of appearance."""
    if not isinstance(column, pd.Series):
        raise AnonymityError(f"A column must be a pandas Series, not a {type(column).__name__}: take one of a table.")
    name = name if name is not None else column.name
    codes, values = numbered(column, repr(name), AnonymityError)
    if values.dtype == object:
        number = next((value for value in values if _is_number(value)), None)
        text = next((value for value in values if isinstance(value, str)), None)
        if number is not None and text is not None:
            raise AnonymityError(
                f"The column {name!r} mixes numbers and text, such as {number!r} and {text!r}: make all values text, "
                f"or all numbers."
            )
    return codes, values


def same_kind(values: Sequence[Any], known: Iterable[Any], name: Any, whose: str) -> None:
    """Refuse values that cannot be among the known ones because they are of another kind, such as text for numbers."""
    kinds: dict[str, Any] = {}
    for value in known if len(values) else ():
        if value is not None:
            kinds.setdefault(kind(value), value)
    for value in values:
        if kinds and kind(value) not in kinds:
            other, example = next(iter(kinds.items()))
            raise AnonymityError(
                f"The column {name!r} holds {kind(value)}, such as {_shown(value)}, where {whose} {other}, such as "
                f"{_shown(example)}: give both the same type."
            )


def _shown(value: Any) -> str:
    """Return a value as a sentence names it: '34' is text, 34 a number."""
    return str(value) if isinstance(value, pd.Timestamp) else repr(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _some(values: Iterable[Any]) -> str:
    return words.listed(map(repr, values), most=3)
