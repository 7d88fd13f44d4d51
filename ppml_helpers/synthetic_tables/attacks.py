"""What a synthetic table tells about the patients: copies, membership by the nearest row, and names from a register.

Distances are Euclidean, between the course's features (`cohort.features`) of the clinical columns and the label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from ppml_helpers import cohort, figures, membership
from ppml_helpers.errors import AttackError
from ppml_helpers.people.linkage import link

_SAME = 1e-6  # distances below are rounding: two records that differ at all are farther apart


def clinical(table: pd.DataFrame) -> list[str]:
    """Return the columns of the schema that a table has."""
    return [name for name in cohort.SUPPORT2.columns if name in table.columns]


def nearest(records: pd.DataFrame, table: pd.DataFrame) -> NDArray[np.float64]:
    """Return the distance from each record to the nearest row of a table.

    Parameters
    ----------
    records, table : DataFrame
        With the same clinical columns and the label; the label counts as one feature more.

    Returns
    -------
    ndarray, shape (records,)
    """
    names = clinical(table)
    if not names:
        raise AttackError("The table has no column of the patients' schema: give one that has, such as age.")
    here, there = (np.column_stack(cohort.features(frame, names)) for frame in (records, table))
    return NearestNeighbors(n_neighbors=1).fit(there).kneighbors(here)[0][:, 0]


def copies(synthetic: pd.DataFrame, patients: pd.DataFrame) -> float:
    """Return the share of synthetic rows that are a patient in every clinical column and the label."""
    return float((nearest(synthetic, patients[synthetic.columns]) < _SAME).mean())


def members_by_distance(
    synthetic: pd.DataFrame, members: pd.DataFrame, others: pd.DataFrame, seed: int = 0
) -> membership.AttackResult:
    """Attack membership: guess "was in the table" for a patient who lies near a synthetic row.

    Parameters
    ----------
    synthetic : DataFrame
    members, others : DataFrame
        Patients from whom the table was made, and patients like them.
    seed : int
        Of the halves on which a threshold is chosen and judged.
    """
    scores = (-nearest(people, synthetic) for people in (members, others))
    return membership.membership_attack(*scores, seed=seed)


class Named(NamedTuple):
    """What a register and a synthetic table say together about people on the register."""

    people: int  # distinct people who alone fit some synthetic row
    patients: int  # of them, whose record is in the table from which the rows were made
    right: int  # of these patients, about whom the row tells the truth


def name_by_register(
    synthetic: pd.DataFrame,
    patients: pd.DataFrame,
    register: pd.DataFrame,
    truth: pd.Series,
    secret: str,
    on: Sequence[str] = ("age", "sex", "postcode"),
) -> Named:
    """Name synthetic rows by a (fictional) register, and judge what they then say about the people.

    Where exactly one person of the register fits a row, the attacker believes that the row is theirs. If several rows
    fit one person, the attacker believes the most frequent value.

    Parameters
    ----------
    synthetic, patients : DataFrame
        With the columns `on` and the secret.
    register : DataFrame
        People with names, and the columns `on`.
    truth : Series
        For each person of the register the label of their row among all patients, missing for strangers.
    secret : str
        Column that the attacker wants to know, such as "dzgroup".
    on : sequence of str

    Returns
    -------
    Named
    """
    person = link(synthetic, register, list(on)).person
    told = synthetic[secret].groupby(person).agg(lambda values: values.mode().iloc[0])
    whose = truth.reindex(told.index)
    known = whose.isin(patients.index).to_numpy()
    right = patients[secret].reindex(whose[known]).to_numpy() == told[known].to_numpy()
    return Named(len(told), int(known.sum()), int(right.sum()))


def draw_named(shares: Mapping[str, Sequence[float]]) -> figures.Picture:
    """Draw how many of 100 people are named and told rightly, by table.

    Parameters
    ----------
    shares : mapping of str to (float, float)
        For each table: of 100 people whose record is in it, and of 100 others (the control).
    """
    figure, (axis,) = figures.new_figure(size=(7, 1.0 + 0.7 * len(shares)))
    sides = ((-0.19, "inside", "leak", "//"), (0.19, "outside", "baseline", ""))
    for side, (shift, where, colour, hatch) in enumerate(sides):
        values = [share[side] for share in shares.values()]
        places = np.arange(len(shares)) + shift
        bars = axis.barh(places, values, 0.36, color=figures.COLOURS[colour], hatch=hatch)
        axis.bar_label(bars, [f"{value:.1f} {where}" for value in values], padding=3, fontsize=10)
    axis.set_yticks(range(len(shares)), list(shares), fontsize=10)
    axis.set(xlim=(0, 1 + 1.3 * max(map(max, shares.values()))), ylim=(len(shares) - 0.5, -0.5))
    axis.set_xlabel("of 100 people: named, and their diagnosis told rightly", fontsize=10)
    said = "; ".join(f"{name}: {here:.1f} inside, {there:.1f} outside" for name, (here, there) in shares.items())
    return figures.Picture(figure, f"Of 100 people, named and told rightly. {said}.")
