"""Hierarchies for the quasi-identifiers of the de-identified extract of SUPPORT2.

They are public knowledge (a calendar, a map, the code book), never taken from the patients: a hierarchy made from the
data would tell which values occur, and could not recode a register or new patients.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from ppml_helpers import cohort
from ppml_helpers.anonymise.choosing import useful_columns
from ppml_helpers.anonymise.hierarchy import TOP, Hierarchy
from ppml_helpers.cohort import DIAGNOSES, INCOMES, RACES
from ppml_helpers.errors import AnonymityError
from ppml_helpers.people.identities import REGIONS

YEARS_OF_SCHOOL = 40  # the most that `cohort` accepts
PERSONAL = ("age", "sex", "race", "edu", "income")
"""Columns of the model that registers and neighbours hold too."""

_CLASSES = {  # the study's own, which it publishes beside the diagnoses
    "ARF/MOSF": ["ARF/MOSF w/Sepsis", "MOSF w/Malig"],
    "COPD/CHF/Cirrhosis": ["COPD", "CHF", "Cirrhosis"],
    "Cancer": ["Colon Cancer", "Lung Cancer"],
    "Coma": ["Coma"],
}


class Minimised(NamedTuple):
    """A table made ready to be released.

    Attributes
    ----------
    study : DataFrame
        The patients to release: two thirds of the table.
    columns : list of str
        Seven medical columns, the most useful first. The other third chose them.
    hierarchies : dict of str to Hierarchy
        The diagnoses, in the order in which stays ended among that other third.
    """

    study: pd.DataFrame
    columns: list[str]
    hierarchies: dict[str, Hierarchy]


def minimised(table: pd.DataFrame) -> Minimised:
    """Choose seven of the medical columns on a third of a table; the rest is to be released (see chapter 03).

    Parameters
    ----------
    table : DataFrame
        Patients with `hospdead` and the columns of `cohort.SUPPORT2`.

    Returns
    -------
    Minimised
    """
    inner = cohort.split(*cohort.features(table), seed=0, test_share=1 / 3)
    choosing, study = table.loc[inner.X_test.index], table.loc[inner.X_train.index]
    medical = [name for name in cohort.SUPPORT2.columns if name not in PERSONAL]
    ends = choosing.groupby("dzgroup")[cohort.SUPPORT2.label].mean().sort_values().index
    return Minimised(study, useful_columns(choosing, 7, medical), {"dzgroup": Hierarchy.suppression(ends)})


def support2_hierarchies(extract: pd.DataFrame) -> dict[str, Hierarchy]:
    """Return a hierarchy for each quasi-identifier of the extract; each ends in one "*".

    Parameters
    ----------
    extract : DataFrame
        As `identities.deidentified` returns it. Only which columns it has is looked at.

    Returns
    -------
    dict of str to Hierarchy
        Those of age (years, bands of 5, 10, 20, 40), sex, race, edu, income, postcode (sector, district, area),
        dzgroup (diagnosis, class) and admission (day, month, quarter) that the extract has. Admission has no level
        "year": all fictional admissions lie in one year, so that level would say as little as "*" and only add nodes
        to the lattice.

    Raises
    ------
    AnonymityError
        If the extract has none of these columns.
    """
    # A label must not read like a base value that it covers more than: "others", since "other" is one.
    makers = {
        "age": lambda: Hierarchy.bands(18, 104, (5, 10, 20, 40)),
        "sex": lambda: Hierarchy.suppression(("female", "male")),
        "race": lambda: Hierarchy.groups(RACES, {"white": ["white"], "black": ["black"], "others": RACES[2:]}),
        "edu": _education,
        "income": lambda: Hierarchy.groups(INCOMES, {"under $25k": INCOMES[:2], "$25k or more": INCOMES[2:]}),
        "postcode": _postcodes,
        "dzgroup": lambda: Hierarchy.groups(DIAGNOSES, _CLASSES),
        "admission": lambda: Hierarchy.periods("1993-01-01", "1993-12-31", ("month", "quarter")),
    }
    found = {column: make() for column, make in makers.items() if column in extract.columns}
    if not found:
        raise AnonymityError(
            f"The table has none of the columns {', '.join(makers)}: give it the extract of identities.deidentified, "
            f"or build hierarchies for your own columns with Hierarchy."
        )
    for column, hierarchy in found.items():
        hierarchy.name = column
    return found


def _education() -> Hierarchy:
    """Years of school, in the steps of the US school system: primary, some high school, high school, college."""
    years = list(range(YEARS_OF_SCHOOL + 1))
    steps = {"0-8": range(9), "9-11": range(9, 12), "12": [12], "13-16": range(13, 17), "17 or more": years[17:]}
    return Hierarchy.groups(years, steps, {"0-12": range(13), "13 or more": years[13:]})


def _postcodes() -> Hierarchy:
    return Hierarchy([REGIONS, [p.split()[0] for p in REGIONS], [p[:2] for p in REGIONS], [TOP] * len(REGIONS)])
