"""A ledger of privacy: what questions have cost, what is left, and when to refuse the next one.

The questions themselves are asked of OpenDP directly, which also prices them (``measurement.map(1)``). The ledger only
adds up. Everything here is for tables that differ by one patient added or removed.
"""

from __future__ import annotations

import html
import math
import warnings
from collections.abc import Hashable, Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from ppml_helpers import checks
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
    only, so the parts of one column together cost what the dearest part costs (parallel composition).

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
        return Cost(*(max(0.0, all_ - spent) for all_, spent in zip(self._total, self.spent, strict=True)))

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
            patients. A patient has one value in each column, so parts of the same column are disjoint.

        Returns
        -------
        float
            The epsilon, to put straight into the price of the question.

        Raises
        ------
        BudgetError
            If more than what is left would be spent, or `part` is not a pair. Nothing is spent then.
        """
        name = str(what) or f"question {len(self._entries) + 1}"
        entry = Entry(name, *_priced(epsilon, delta), _pair(part))
        after = zip(Cost._fields, _cost([*self._entries, entry]), self._total, strict=True)
        over = [which for which, cost, all_ in after if cost > all_ * (1 + _ROUNDING)]
        if over:
            raise BudgetError(self._refusal(entry, over[0]))
        self._entries.append(entry)
        return entry.epsilon

    def _refusal(self, entry: Entry, name: str) -> str:
        wanted, all_ = getattr(entry, name), getattr(self._total, name)
        before, after = getattr(self.spent, name), getattr(_cost([*self._entries, entry]), name)
        more = f", {after - before:.4g} more than its column has paid already" if entry.part else ""
        return (
            f"{entry.what!r} costs {name} {wanted:.4g}{more}, but {getattr(self.left, name):.4g} of {all_:.4g} "
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
    try:
        numbers = np.array([] if values is None else list(values), dtype=float)
    except (TypeError, ValueError):
        raise PrivacyParameterError("The values are not all numbers; only numbers can be clamped to bounds.") from None
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
    if part is None:
        return None
    if not (isinstance(part, tuple) and len(part) == 2 and isinstance(part[0], str) and isinstance(part[1], Hashable)):
        raise BudgetError(
            f"part is {part!r}; a part is a column and one of its values: give a pair such as ('dzgroup', 'Coma')."
        )
    value = part[1]
    try:
        hash(value)
    except TypeError:  # a tuple of lists calls itself hashable
        raise BudgetError(
            f"part is {part!r}; its value cannot be told from others: give text or a whole number."
        ) from None
    if pd.api.types.is_scalar(value) and pd.isna(value):  # each NaN would be a part of its own, and cost nothing more
        raise BudgetError(f"part is {part!r}; a missing value equals nothing, not even itself: name it 'missing'.")
    return part


def _priced(epsilon: float, delta: float) -> Cost:
    """Return an amount of privacy, and refuse what is no promise."""
    error = PrivacyParameterError
    return Cost(
        checks.number(epsilon, "epsilon", 0, above=True, error=error),
        checks.number(delta, "delta", 0, 1, below=True, error=error),
    )
