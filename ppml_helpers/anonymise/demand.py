"""What may be demanded of an anonymised table: k, l, t, a suppression limit and weights, checked."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np

from ppml_helpers import checks
from ppml_helpers.anonymise.models import Diversity, Real
from ppml_helpers.errors import AnonymityError


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
    def monotone(self) -> bool:
        """Whether a class that fails is made of classes that fail, at every more specific node."""
        return self.t == 1 and (self.l == 1 or self.diversity == "distinct")

    @property
    def implied(self) -> Demand:
        """What the demand implies that is monotone: a class of l effective values holds as many distinct ones."""
        return Demand(self.rows, math.ceil(self.l - 1e-9), 1.0, "distinct")

    @property
    def beyond_k(self) -> bool:
        """Whether the sensitive values matter at all."""
        return self.l > 1 or self.t < 1


def checked_k(k: Any, rows: int) -> int:
    """Return a k that a table of so many rows can be asked for."""
    return checks.whole(k, "k", 1, rows, error=AnonymityError, mend=f"the table has {rows} rows")


def checked_demand(
    k: Any,
    l: Any,  # noqa: E741
    t: Any,
    diversity: Any,
    rows: int,
    sensitive: Hashable,
    known: int | None,
) -> Demand:
    """Return a demand that a table of so many rows, with so many known sensitive values, can be asked for."""
    checks.choice(diversity, "diversity", get_args(Diversity), error=AnonymityError)
    one = checks.number(l, "l", 1, error=AnonymityError) if diversity == "entropy" else checked_l(l)
    demand = Demand(checked_k(k, rows), one, checks.share(t, "t", error=AnonymityError), diversity)
    if known is None:
        if demand.beyond_k:
            raise AnonymityError(
                f"l = {l!r} and t = {t!r} need a sensitive attribute: make the Lattice with sensitive=..., or leave l "
                f"at 1 and t at 1."
            )
        return demand
    check_values(one, known, sensitive)
    return demand


def checked_l(l: Any) -> int:  # noqa: E741
    """Return a whole l."""
    return checks.whole(l, "l", 1, error=AnonymityError)


def check_values(l: float, distinct: int, sensitive: Hashable) -> None:  # noqa: E741
    """Refuse an l that no class can reach."""
    if l > max(distinct, 1):
        raise AnonymityError(
            f"l = {l:g} is more than the {distinct} values that {sensitive!r} has in this table: choose "
            f"{max(distinct, 1)} or less."
        )


def checked_weights(weights: Mapping[Any, float] | None, qi: Sequence[Hashable]) -> Real:
    """Return the share of each quasi-identifier in the loss (they sum to 1); one without a weight weighs 1."""
    given = dict(weights or {})
    for name, weight in given.items():
        checks.choice(name, "A name in weights", qi, error=AnonymityError)
        checks.number(weight, f"The weight of {name!r}", 0, error=AnonymityError)
    values = np.array([float(given.get(name, 1)) for name in qi])
    if not values.any():
        raise AnonymityError("All weights are 0: give at least one quasi-identifier a weight above 0.")
    values = values / values.max()  # first, because a sum of huge weights would overflow
    return values / values.sum()


def most_rows(limit: Any, name: str, rows: int) -> int:
    """Return how many rows a limit (a share from 0 to 1) lets go; never all, since an empty table is no release."""
    return min(int(checks.share(limit, name, error=AnonymityError) * rows + 1e-9), rows - 1)
