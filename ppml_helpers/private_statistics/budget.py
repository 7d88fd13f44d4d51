"""A ledger of privacy: what questions have cost, what is left, and when to refuse the next one.

The questions themselves are asked of OpenDP directly, which also prices them (``measurement.map(1)``). The ledger only
adds up. Everything here is for tables that differ by one patient added or removed.
"""

from __future__ import annotations

import html
import math
import warnings
from collections.abc import Hashable, Iterable
from numbers import Real
from typing import NamedTuple

import numpy as np
import pandas as pd

from ppml_helpers import checks, columns
from ppml_helpers.errors import BudgetError, PrivacyParameterError

_SHOWN = 8  # questions that a ledger shows one by one
_ROUNDING = 1e-12  # relative: ten times 0.1 must fit into 1, and that is all this is for


class Entry(NamedTuple):
    """One question that was paid for."""

    what: str
    epsilon: float
    delta: float
    part: tuple[str, Hashable] | None = None


class Cost(NamedTuple):
    """An amount of privacy."""

    epsilon: float
    delta: float


class Budget:
    """A privacy budget that refuses the question it cannot pay.

    Costs add up (basic composition). Questions about disjoint parts of the patients do not: one patient is in one part
    only, so the parts of one column together cost what the dearest part costs (parallel composition). That takes one
    row a patient: somebody with two stays can be in two parts, and then questions about parts add up like any others.

    Parameters
    ----------
    epsilon : float
        All that may be spent, finite and above 0.
    delta : float
        In [0, 1); 0 for pure differential privacy.

    References
    ----------
    Dwork and Roth (2014), Theorem 3.16: composition. McSherry (2009), "Privacy integrated queries": parallel
    composition. Rogers, Roth, Ullman and Vadhan (2016): the sum still holds when the next question and its epsilon are
    chosen after seeing the earlier answers, as long as the total was fixed first.

    Examples
    --------
    >>> budget = Budget(1.0)
    >>> budget.spend(0.25, what="patients")
    0.25
    >>> budget.left
    Cost(epsilon=0.75, delta=0.0)
    """

    def __init__(self, epsilon: float, delta: float = 0.0) -> None:
        self._total = _priced(epsilon, delta)
        self._entries: list[Entry] = []

    @property
    def total(self) -> Cost:
        """What there was to spend."""
        return self._total

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What was paid for, in order. Nothing is ever taken out again: an answer cannot be unseen."""
        return tuple(self._entries)

    @property
    def spent(self) -> Cost:
        """What all questions so far cost together."""
        return _cost(self._entries)

    @property
    def left(self) -> Cost:
        """What a question about all patients may still cost."""
        amounts = zip(self._total, self.spent, strict=True)
        return Cost(*(0.0 if _is_over(all_, spent) else all_ - spent for all_, spent in amounts))

    def spend(
        self, epsilon: float, delta: float = 0.0, what: str = "", part: tuple[str, Hashable] | None = None
    ) -> float:
        """Pay for one question, before it is asked.

        Parameters
        ----------
        epsilon, delta : float
            Cost of the question.
        what : str
            What is asked, for the ledger.
        part : (str, hashable), optional
            A column and one of its values, for example ``("dzgroup", "Coma")``: the question looks at no other
            patients. A patient has one value in each column, so parts of the same column are disjoint. The values of a
            column are of one kind, text, numbers, dates, or intervals (`pandas.Interval`) that do not overlap.

        Returns
        -------
        float
            The epsilon, to put straight into the price of the question.

        Raises
        ------
        BudgetError
            If more than what is left would be spent, `part` is not a pair, or it may share patients with another part
            of its column. Nothing is spent then.
        """
        name = str(what) or f"question {len(self._entries) + 1}"
        entry = Entry(name, *_priced(epsilon, delta), _pair(part))
        _refuse_overlap(entry.part, [earlier.part for earlier in self._entries if earlier.part])
        for field in Cost._fields:
            all_, spent, more = getattr(self._total, field), getattr(self.spent, field), self._more(entry, field)
            # At the end not even a crumb fits: ever so many of them, each too small to change a sum, are no crumb.
            if more > 0 and (_is_over(all_, spent) or math.fsum((spent, more)) > all_ * (1 + _ROUNDING)):
                raise BudgetError(self._refusal(entry, field, more))
        self._entries.append(entry)
        return entry.epsilon

    def _more(self, entry: Entry, field: str) -> float:
        """Return by how much an entry raises what was spent, however small beside it."""
        if entry.part is None:
            return getattr(entry, field)
        amounts: dict[Hashable, list[float]] = {}
        for earlier in self._entries:
            if earlier.part and earlier.part[0] == entry.part[0]:
                amounts.setdefault(earlier.part[1], []).append(getattr(earlier, field))
        dearest = max(amounts.values(), key=math.fsum, default=[])
        own = amounts.get(entry.part[1], [])
        return math.fsum([getattr(entry, field), *own, *(-amount for amount in dearest)])

    def _refusal(self, entry: Entry, field: str, more: float) -> str:
        wanted, left, all_ = (getattr(amount, field) for amount in (entry, self.left, self._total))
        digits = next((d for d in range(4, 17) if float(f"{more:.{d}g}") > float(f"{left:.{d}g}")), 17)
        beyond = f", {more:.{digits}g} more than its column has paid already" if entry.part else ""
        return (
            f"{entry.what!r} costs {field} {wanted:.{digits}g}{beyond}, but {left:.{digits}g} of {all_:.4g} "
            f"is left: ask for less, or not at all."
        )

    def _rows(self) -> Iterable[tuple[str, str, str, str]]:
        earlier = self._entries[:-_SHOWN]
        if earlier:
            cost = _cost(earlier)
            yield f"{len(earlier)} earlier questions", "", f"{cost.epsilon:.4g}", f"{cost.delta:.2g}"
        for what, epsilon, delta, part in self._entries[-_SHOWN:]:
            yield what, "all patients" if part is None else f"{part[0]} = {part[1]}", f"{epsilon:.4g}", f"{delta:.2g}"
        for what, cost in (("spent", self.spent), ("left", self.left)):
            yield what, "", f"{cost.epsilon:.4g}", f"{cost.delta:.2g}"

    def __repr__(self) -> str:
        spent, left = self.spent, self.left
        lines = [f"{what:<28} {whom:<28} {epsilon:>8} {delta:>8}" for what, whom, epsilon, delta in self._rows()]
        if not self._entries:
            return f"Budget(epsilon {self._total.epsilon:.4g}, delta {self._total.delta:.2g}): nothing spent"
        head = f"{'question':<28} {'asked about':<28} {'epsilon':>8} {'delta':>8}"
        closing = f"epsilon {spent.epsilon:.4g} of {self._total.epsilon:.4g} is spent, {left.epsilon:.4g} is left"
        return "\n".join([head, *lines[:-2], closing])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("question", "asked about", "epsilon", "delta"))
        *paid, spent, left = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in self._rows())
        sums = [row.replace("td>", "th>") for row in (spent, left)]
        body = "".join(f"<tr>{row}</tr>" for row in [*paid, *sums])
        caption = f"Budget: epsilon {self._total.epsilon:.4g}, delta {self._total.delta:.2g}"
        return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def checked_bounds(low: float, high: float, values: Iterable[float] | None = None) -> tuple[float, float]:
    """Return the bounds to clamp values to; warn if they look as if they had been read off the data.

    The smallest and the largest value belong to one patient each. Bounds made of them give that patient away, whatever
    noise is added later, so bounds come from public knowledge.

    Parameters
    ----------
    low, high : float
        Finite, low below high.
    values : iterable of float, optional
        The private values. They are compared with the bounds, nothing else; missing ones are left out.

    Returns
    -------
    (float, float)
        The bounds as given.

    Warns
    -----
    UserWarning
        If a bound equals the smallest or the largest value.
    """
    for name, bound in (("low", low), ("high", high)):
        checks.number(bound, name, error=PrivacyParameterError, mend="take it from public knowledge")
    if not low < high:
        raise PrivacyParameterError(f"The bounds ({low:g}, {high:g}) are not in order; low is below high: swap them?")
    given = pd.Series([] if values is None else values if isinstance(values, pd.Series) else list(values), dtype=None)
    numbers = columns.as_numbers(given, text=False)
    odd = np.isnan(numbers) & given.notna().to_numpy()
    if odd.any():
        raise PrivacyParameterError(
            f"The values hold {checks.shown(given[odd].iloc[0])}, and only numbers can be clamped to bounds: convert "
            "the column first, for example by pandas.to_numeric."
        )
    if not np.isnan(numbers).all():
        _warn_of_looking(low, high, np.nanmin(numbers), np.nanmax(numbers))
    return float(low), float(high)


def _warn_of_looking(low: float, high: float, smallest: float, largest: float) -> None:
    ends = (("low", low, smallest, "smallest"), ("high", high, largest, "largest"))
    taken = [f"{name} = {bound:g} is the {which} value" for name, bound, end, which in ends if bound == end]
    if taken:
        warnings.warn(
            f"{' and '.join(taken)} of the data: a bound read off the data gives that patient away. Take it from "
            f"public knowledge; if it is public and equal by chance, go on.",
            UserWarning,
            stacklevel=3,
        )


def _cost(entries: Iterable[Entry]) -> Cost:
    """Add up: questions about all, and for each column its dearest part."""
    parts: dict[str, dict[Hashable, list[Entry]]] = {}
    everyone = []
    for entry in entries:
        if entry.part is None:
            everyone.append(entry)
        else:
            column, value = entry.part
            parts.setdefault(column, {}).setdefault(value, []).append(entry)
    return Cost(*(_sum(everyone, field, parts) for field in Cost._fields))


def _sum(everyone: list[Entry], field: str, parts: dict[str, dict[Hashable, list[Entry]]]) -> float:
    def total(entries: Iterable[Entry]) -> float:
        return math.fsum(getattr(entry, field) for entry in entries)

    dearest = (max(total(entries) for entries in values.values()) for values in parts.values())
    return math.fsum([total(everyone), *dearest])


def _pair(part: object) -> tuple[str, Hashable] | None:
    """Return a part whose value equals what it should equal, and refuse one that would not be counted right."""
    if part is None:
        return None
    if not (isinstance(part, tuple) and len(part) == 2 and isinstance(part[0], str)):
        raise BudgetError(
            f"part is {part!r}; a part is a column and one of its values: give a pair such as ('dzgroup', 'Coma')."
        )
    value = columns.plain(part[1])
    if value is None or value != value:  # each NaN would be a part of its own, and cost nothing more
        raise BudgetError(f"part is {part!r}; a missing value equals nothing, not even itself: name it 'missing'.")
    if not isinstance(value, str | Real | pd.Timestamp | pd.Interval):
        raise BudgetError(
            f"part is {part!r}; its value cannot be told from others: give text, a number, a date or a pandas.Interval."
        )
    return part[0], value


def _refuse_overlap(part: tuple[str, Hashable] | None, earlier: Iterable[tuple[str, Hashable]]) -> None:
    """Refuse a part that may hold patients of another part of its column."""
    for column, value in earlier:
        if part is None or column != part[0] or value == part[1]:
            continue
        kinds = [_kind(one) for one in (value, part[1])]
        if kinds[0] != kinds[1]:
            raise BudgetError(
                f"the part {column} = {part[1]!r} is of another kind than {value!r}, which was paid for ({kinds[1]}, "
                f"{kinds[0]}): the same patients may be meant twice, so write all values of a column in one way."
            )
        if isinstance(value, pd.Interval) and value.overlaps(part[1]):
            raise BudgetError(
                f"the part {column} = {part[1]} overlaps {value}, which was paid for: cut the column once, "
                "or ask without part."
            )


def _kind(value: Hashable) -> str:
    """Return what a value is, and of an interval what its ends are."""
    return f"intervals of {columns.kind(value.left)}" if isinstance(value, pd.Interval) else columns.kind(value)


def _is_over(all_: float, spent: float) -> bool:
    """Whether nothing is left but rounding."""
    return spent >= all_ * (1 - _ROUNDING)


def _priced(epsilon: float, delta: float) -> Cost:
    """Return an amount of privacy, and refuse what is no promise."""
    error = PrivacyParameterError
    return Cost(
        checks.number(epsilon, "epsilon", 0, above=True, error=error),
        checks.number(delta, "delta", 0, 1, below=True, error=error),
    )
