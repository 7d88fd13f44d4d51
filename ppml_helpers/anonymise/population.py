"""Risk without a register: how many who stand alone in a table stand alone in the population, estimated."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from ppml_helpers import checks
from ppml_helpers.anonymise.models import classes
from ppml_helpers.errors import AnonymityError


class Uniqueness(NamedTuple):
    """How alone the people of a table are, from 0 to 1.

    Attributes
    ----------
    sample : float
        Share of the rows that stand alone in the table: counted.
    population : float
        Share of the rows that stand alone in the population: estimated.
    match : float
        If somebody of the population fits exactly one row, and that row fits nobody else of the table, the chance that
        the row is theirs: estimated. 0 if no row stands alone.
    """

    sample: float
    population: float
    match: float


def uniqueness(df: pd.DataFrame, qi: Iterable[Hashable], sampled: float) -> Uniqueness:
    r"""Estimate from a table alone what a register of the whole population would find.

    With :math:`n_1, n_2, n_3` classes of one, two and three rows and the sampled share :math:`\pi`, each row that
    stands alone has on average :math:`m = 2 n_2 (1 - \pi) / (n_1 \pi)` others like it who were not sampled. Then
    ``match`` is :math:`1 / (1 + m)`, the data intrusion simulation of Skinner and Elliot (2002), "A measure of
    disclosure risk for microdata", Journal of the Royal Statistical Society B 64: 855-867. For ``population`` the
    number of others is taken to be negative binomial, as under the Poisson-gamma model of Bethlehem, Keller and
    Pannekoek (1990), Journal of the American Statistical Association 85: 38-45, with mean m and the spread that
    :math:`n_3` implies.

    **Both assume that the table is a random sample of the population.** Patients are none: they are older than their
    neighbours. A table of everybody with a rare illness is the whole of its population, which ``sampled=1`` says.

    Parameters
    ----------
    df : DataFrame
        One row a person.
    qi : iterable of column names
        What others may know.
    sampled : float
        Share of the population that is in the table, above 0 and at most 1.

    Returns
    -------
    Uniqueness

    Raises
    ------
    AnonymityError
        If the share is out of range, the table is empty, or a column is unknown.
    """
    sampled = checks.number(sampled, "sampled", 0, 1, above=True, error=AnonymityError, mend="rows / population")
    one, two, three = np.bincount(np.bincount(classes(df, qi)), minlength=4)[1:4]
    if one == 0:
        return Uniqueness(0.0, 0.0, 0.0)
    unseen = (1 - sampled) / sampled
    mean, pairs = 2 * two * unseen / one, 6 * three * unseen**2 / one
    alone = one / len(df)
    return Uniqueness(float(alone), float(alone * _none(mean, pairs)), float(1 / (1 + mean)))


def _none(mean: float, pairs: float) -> float:
    """Return the chance of 0 of a negative binomial count with this mean and this mean of x (x - 1)."""
    if mean == 0:
        return 1.0
    spread = pairs / mean**2 - 1
    if spread <= 0:  # no more spread than Poisson
        return math.exp(-mean)
    size = max(1 / spread, 1.0)  # under the model a class that was seen once has a size of 1 or more
    return (1 + mean / size) ** -size
