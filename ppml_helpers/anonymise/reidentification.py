"""Re-identification risk of a release: prosecutor, journalist and marketer.

The three attackers of El Emam 2013, "Guide to the De-Identification of Personal Health Information", and Dankar and
El Emam 2010. The **prosecutor** knows that somebody is in the table and knows all quasi-identifiers. The
**journalist** does not know who is in it, has a register, and wants to name any one row. The **marketer** has the same
register and wants to name as many rows as possible.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from ppml_helpers import checks
from ppml_helpers.anonymise.models import Whole, checked_columns, class_numbers
from ppml_helpers.anonymise.multidimensional import Boxes
from ppml_helpers.anonymise.released import Released, check_released
from ppml_helpers.errors import AnonymityError
from ppml_helpers.people.linkage import link


class Risk(NamedTuple):
    """Chances that a released row is given its right name, from 0 to 1.

    With n released rows in classes of f rows, and F people of the population in each class:

    Attributes
    ----------
    prosecutor_max : float
        1 / smallest f.
    prosecutor_mean : float
        Mean over rows of 1 / f, which is the number of classes / n.
    journalist_max : float
        1 / smallest F.
    journalist_mean : float
        The larger of the mean over rows of 1 / F (from a row to the register) and matched classes / sum of F
        (from a person on the register to a row). NaN, as the next, without a register.
    marketer : float
        Mean over rows of 1 / F: the share of rows named rightly on average if all are matched at random.
    """

    prosecutor_max: float
    prosecutor_mean: float
    journalist_max: float = np.nan
    journalist_mean: float = np.nan
    marketer: float = np.nan


def risk(released: Released, register: pd.DataFrame | None = None, on: Iterable[Hashable] | None = None) -> Risk:
    """Measure the re-identification risk of a released table.

    The population of a class is counted from the register: F people, but never fewer than the f rows of the class,
    which are people too (a register may be incomplete). Hence prosecutor >= journalist >= marketer, as the definitions
    of El Emam demand. A missing value, of a person or in the release, rules nobody out, as in `linkage.link`. A class
    that the register's people do not fit cannot be matched: its rows have a risk of 0, which counts in the means.
    Somebody with a value that the hierarchies lack cannot be in the release. Another register gives other figures.

    Parameters
    ----------
    released : Released
        From `Lattice.apply` or `mondrian`.
    register : DataFrame, optional
        One row a person of the population, with original values; recoded here as the release was. For a Mondrian
        release, whose boxes overlap in a part of the columns, F counts the people that lie inside the row's box.
    on : iterable of column names, optional
        The quasi-identifiers that the register knows; by default all that it has. Classes are taken by these columns
        for journalist and marketer, and by all quasi-identifiers for the prosecutor.

    Returns
    -------
    Risk
        NaN for journalist and marketer without a register.

    Raises
    ------
    AnonymityError
        If the release has no rows, `on` names a column that is no quasi-identifier or that the register lacks, or the
        register has text where the release has numbers, and the like.
    """
    check_released(released, some=True)
    f = np.bincount(class_numbers(released.table[name] for name in released.qi))
    prosecutor = Risk(1 / int(f.min()), len(f) / len(released.table))
    if register is None:
        return prosecutor
    f, F = _population(released, register, _checked_on(released, register, on))
    listed, F = F > 0, np.maximum(F, f)
    marketer = float((f / F)[listed].sum() / f.sum())
    return prosecutor._replace(
        journalist_max=1 / int(F[listed].min()) if listed.any() else 0.0,
        journalist_mean=max(marketer, int(listed.sum()) / int(F.sum())),
        marketer=marketer,
    )


def _checked_on(released: Released, register: pd.DataFrame, on: Iterable[Hashable] | None) -> list[Hashable]:
    checks.table(register, "The register", error=AnonymityError)
    names = [name for name in released.qi if name in list(register.columns)] if on is None else on
    names = checked_columns(register, names, name="The register")
    for name in names:
        checks.choice(name, "A column of `on`", released.qi, error=AnonymityError)
    return names


def _population(released: Released, register: pd.DataFrame, on: list[Hashable]) -> tuple[Whole, Whole]:
    """Return f and F of each class by the columns `on`: rows of the release and people of the register."""
    group = class_numbers(released.table[name] for name in on)
    member = np.unique(group, return_index=True)[1]
    if isinstance(released.recoder, Boxes):
        boxes = released.recoder
        return np.bincount(group), boxes.inside(register, on, boxes.box[released.kept[member]])
    people = register[on]
    for name, (hierarchy, _) in getattr(released.recoder, "levels", {}).items():
        if name in on:
            people = people[~hierarchy.lacks(people[name])]
    if people.empty:
        return np.bincount(group), np.zeros(len(member), np.int64)
    return np.bincount(group), link(released.table.iloc[member], released.recode(people), on).candidates
