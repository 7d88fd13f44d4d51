"""What may be demanded of an anonymised table: k, l, t, a suppression limit and weights, checked."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ppml_helpers.anonymise.models import Whole, checked_whole
from ppml_helpers.errors import AnonymityError

Diversity = Literal["distinct", "entropy"]
Distance = Literal["equal", "ordered"]


class Demand(NamedTuple):
    """What every class must keep."""

    k: int
    l: float  # noqa: E741 - the field's name for it
    t: float
    diversity: Diversity

    @property
    def rows(self) -> int:
        """Rows that a class needs in any case: l values, distinct or effective, take at least l rows."""
        return max(self.k, math.ceil(self.l - 1e-9))

    @property
    def beyond_k(self) -> bool:
        """Whether the sensitive values matter at all."""
        return self.l > 1 or self.t < 1


def checked_demand(
    k: Any,
    l: Any,  # noqa: E741
    t: Any,
    diversity: Any,
    rows: int,
    sensitive: Hashable,
    values: Whole | None,
) -> Demand:
    """Return a demand that a table of so many rows with these sensitive values (numbered from 0) can be asked for."""
    k = checked_whole(k, "k", 1, rows, "rows of the table")
    if diversity not in ("distinct", "entropy"):
        raise AnonymityError(f"diversity = {diversity!r} is no kind of l-diversity: use 'distinct' or 'entropy'.")
    if diversity == "entropy":
        l = checked_number(l, "l", 1, math.inf)  # noqa: E741
    else:
        l = checked_whole(l, "l", 1, 10**9, "values of any column")  # noqa: E741
    demand = Demand(k, l, checked_number(t, "t", 0, 1), diversity)
    if values is None:
        if demand.beyond_k:
            raise AnonymityError(
                f"l = {l!r} and t = {t!r} need a sensitive attribute: make the Lattice with sensitive=..., or leave l "
                f"at 1 and t at 1."
            )
        return demand
    distinct = int(values.max()) + 1
    if l > distinct:
        raise AnonymityError(
            f"l = {l:g} is more than the {distinct} values that {sensitive!r} has in this table: choose {distinct} or "
            f"less."
        )
    return demand


def checked_weights(weights: Mapping[Any, float] | None, qi: Sequence[Hashable]) -> NDArray[np.float64]:
    """Return the share of each quasi-identifier in the loss (they sum to 1); one without a weight weighs 1."""
    given = dict(weights or {})
    unknown = [name for name in given if name not in qi]
    if unknown:
        raise AnonymityError(
            f"A weight is given for {unknown[0]!r}, which is no quasi-identifier: choose from "
            f"{', '.join(map(str, qi))}."
        )
    values = np.array([checked_number(given.get(name, 1), f"The weight of {name!r}", 0, math.inf) for name in qi])
    if not values.any():
        raise AnonymityError("All weights are 0: give at least one quasi-identifier a weight above 0.")
    values = values / values.max()  # first, because a sum of huge weights would overflow
    return values / values.sum()


def most_rows(limit: Any, name: str, rows: int) -> int:
    """Return how many rows a limit (a share from 0 to 1) lets go; never all, since an empty table is no release."""
    return min(int(checked_number(limit, name, 0, 1) * rows + 1e-9), rows - 1)


def checked_number(value: Any, name: str, least: float, most: float) -> float:
    """Return a finite number from `least` to `most`."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not least <= value <= most or not math.isfinite(value):
        upper = f"from {least:g} to {most:g}" if math.isfinite(most) else f"of at least {least:g}"
        raise AnonymityError(f"{name} = {value!r} must be a number {upper}: choose one.")
    return float(value)
