"""What the explorer of chapter 03 shows, computed: releases, attacks on them, models, and curves over k."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ppml_helpers import checks, cohort
from ppml_helpers.anonymise.disclosure_attack import homogeneity
from ppml_helpers.anonymise.lattice import Lattice, Solution
from ppml_helpers.anonymise.models import classes
from ppml_helpers.anonymise.reidentification import Risk, risk
from ppml_helpers.anonymise.released import Released
from ppml_helpers.anonymise.search import Progress
from ppml_helpers.anonymise.support2 import support2_hierarchies
from ppml_helpers.anonymise.utility import model_auc
from ppml_helpers.errors import AnonymityError, ExplorerError
from ppml_helpers.people import identities, linkage

KS = (1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 100)
LIMITS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
QUASI_IDENTIFIERS = ("age", "sex", "race", "postcode", "dzgroup")
"""What the neighbour of chapter 03 knows."""

NAMES = MappingProxyType({name: "diagnosis" if name == "dzgroup" else name for name in QUASI_IDENTIFIERS})
"""How the quasi-identifiers are called on the picture."""

LINKED = ("age", "sex", "postcode")
"""What the register knows, beside names."""

NOT_RELEASED = ("edu", "income")
"""Quasi-identifiers that the release does without."""

PREDICTORS = ("age", "sex", "race", "dzgroup")
"""The quasi-identifiers that a model may use: the postcode is made up and predicts nothing."""

SHOWN = 4
"""Patients of the example class that are shown."""

_FEWEST = 300  # patients: with fewer no model can be judged


class Sensitive(NamedTuple):
    """A sensitive attribute: its name, the value whose disclosure harms, and how to speak of it."""

    name: str
    harm: Any
    who: str
    words: Mapping[Any, str] = MappingProxyType({})


_YES_NO = MappingProxyType({0: "no", 1: "yes"})
_ORDERS = MappingProxyType(
    {"no dnr": "none", "dnr after sadm": "after study entry", "dnr before sadm": "before study entry"}
)

SENSITIVE: Mapping[str, Sensitive] = MappingProxyType(
    {
        "ca": Sensitive("cancer", "metastatic", "those released with metastatic cancer"),
        "dnr": Sensitive(
            "do-not-resuscitate order",
            "dnr after sadm",
            "those released with a do-not-resuscitate order after study entry",
            words=_ORDERS,
        ),
        "dementia": Sensitive("dementia", 1, "those released with dementia", words=_YES_NO),
        "hospdead": Sensitive("death in hospital", 1, "those released who died in hospital", words=_YES_NO),
    }
)


class Asked(NamedTuple):
    """What is asked of a release beside k: the setting that a curve over k belongs to."""

    sensitive: str  # column
    limit: float = 0.0
    l: int = 1  # noqa: E741
    t: float = 1.0
    weights: tuple[int, ...] = (1,) * len(QUASI_IDENTIFIERS)


class Example(NamedTuple):
    """One class of a release, for the table under the curves."""

    before: pd.DataFrame  # first patients of the class: quasi-identifiers and sensitive value as they were
    after: dict[str, str]  # the label that all patients of the class share
    patients: int
    values: pd.Series  # sensitive value -> patients of the class, most frequent first


class Anonymised(NamedTuple):
    """What one setting of the knobs gives; shares are from 0 to 1."""

    asked: Asked
    solution: Solution
    patients: int  # to be released
    registered: int  # people in the register
    suppressed: int
    risk: Risk
    named: float  # share of all patients to whom the register puts the right name
    certain: float  # share of those released with the value that harms whose class gives it away
    raw: pd.Series  # named, certain, auc, auc_alone: of the table as it was
    curves: pd.DataFrame  # index: k; columns: named, certain, auc, auc_alone, loss
    example: Example

    @property
    def present(self) -> pd.Series:
        """The row of the curves at the present k."""
        return self.curves.loc[self.solution.k]


class Bench:
    """What stays the same while knobs move: tables, register, lattices, and the points of the curves so far.

    As in the chapter three quarters of the patients are released, and the models are tested on the others.
    """

    def __init__(
        self,
        extract: pd.DataFrame | None,
        register: identities.Register | None,
        ks: tuple[int, ...],
        progress: Progress,
    ) -> None:
        if extract is None or register is None:
            progress(0.0, "inventing identities")
            patients = cohort.load_patients()
            people = identities.identities(patients, seed=0)
            extract, register = identities.deidentified(patients, people), identities.register(people, seed=0)
        self.register, self._ks = register, ks
        with suppress(TypeError):  # labels of several kinds have no order
            extract = extract.sort_index()  # who is released must not depend on the order of the rows
        places = pd.DataFrame({"place": np.arange(len(extract))}, index=extract.index)
        split = cohort.split(places, extract[cohort.SUPPORT2.label], seed=0)
        parts = (part["place"].to_numpy(int) for part in (split.X_train, split.X_test))
        self.table, self.later = (pd.DataFrame(extract).iloc[places] for places in parts)
        self._hierarchies = support2_hierarchies(self.table)
        self._lattices: dict[str, Lattice] = {}
        self._points: dict[tuple[int, Asked], dict[str, float]] = {}

    def look(self, k: int, asked: Asked, progress: Progress) -> Anonymised:
        """Solve, release and attack at this k, and whatever of the curves was not yet computed."""
        released, solution = self.release(k, asked, progress)  # first, so that the impossible is refused at once
        return Anonymised(
            asked=asked,
            solution=solution,
            patients=released.n,
            registered=len(self.register.table),
            suppressed=released.suppressed,
            risk=risk(released, self.register.table, LINKED),
            named=self.named(released),
            certain=certain(released.table, released.qi, asked.sensitive),
            raw=pd.Series(self._point(1, Asked(asked.sensitive), progress)),
            curves=self._curves(asked, progress),
            example=pick(released, self.table, asked.sensitive),
        )

    def release(self, k: int, asked: Asked, progress: Progress) -> tuple[Released, Solution]:
        """Find the best node for what is asked, and release the table at it."""
        if asked.sensitive not in self._lattices:
            table = self.table[[*QUASI_IDENTIFIERS, asked.sensitive]]
            lattice = Lattice(table, QUASI_IDENTIFIERS, self._hierarchies, asked.sensitive)
            self._lattices[asked.sensitive] = lattice.precompute(max(self._ks), max(LIMITS), progress)
        lattice = self._lattices[asked.sensitive]
        weights = dict(zip(QUASI_IDENTIFIERS, asked.weights, strict=True))
        solution = lattice.solve(k, asked.limit, l=asked.l, t=asked.t, weights=weights)
        return lattice.apply(solution), solution

    def named(self, released: Released) -> float:
        """Return the share of all patients to whom the register puts the right name."""
        register = released.recode(self.register.table[list(LINKED)])
        found = linkage.link(released.table, register, LINKED)
        return found.score(self.register.truth, self.table.index[released.kept]).n_right / released.n

    def aucs(self, released: Released) -> dict[str, float]:
        """Return the AUC of a model of death in hospital: with all released columns, and with `PREDICTORS` alone."""
        clinical = [name for name in cohort.SUPPORT2.columns if name not in (*PREDICTORS, *NOT_RELEASED)]
        return {
            "auc": model_auc(released, self.table, self.later, [*PREDICTORS, *clinical]),
            "auc_alone": model_auc(released, self.table, self.later, PREDICTORS),
        }

    def _curves(self, asked: Asked, progress: Progress) -> pd.DataFrame:
        points = {}
        for number, k in enumerate(self._ks):
            if (k, asked) not in self._points:
                progress(number / len(self._ks), f"releasing, attacking and training at k = {k}")
            points[k] = self._point(k, asked, progress)
        return pd.DataFrame.from_dict(points, orient="index")

    def _point(self, k: int, asked: Asked, progress: Progress) -> dict[str, float]:
        """Return the figures at one k; they are kept, so that moving k alone trains nothing."""
        if (k, asked) not in self._points:
            try:
                released, solution = self.release(k, asked, progress)
            except AnonymityError:  # out of reach at this k, though not at the present one: the curves have a gap
                point = dict.fromkeys(("named", "certain", "auc", "auc_alone", "loss"), np.nan)
            else:
                sure = certain(released.table, released.qi, asked.sensitive)
                point = {"named": self.named(released), "certain": sure, **self.aucs(released), "loss": solution.loss}
            self._points[k, asked] = point
        return self._points[k, asked]


def certain(table: pd.DataFrame, qi: Iterable[str], sensitive: str) -> float:
    """Return the share, of the rows with the value that harms, whose class gives it away."""
    harm = SENSITIVE[sensitive].harm
    if not (table[sensitive] == harm).any():
        return 0.0
    return homogeneity(table, list(qi), sensitive, harm)


def pick(released: Released, original: pd.DataFrame, sensitive: str) -> Example:
    """Pick the class of a release that tells most: the one with the largest share of the value that harms.

    Among equals the largest class wins, then the first: the choice depends on the release alone.
    """
    table = released.table
    number = classes(table, released.qi)
    harms = (table[sensitive] == SENSITIVE[sensitive].harm).fillna(False).to_numpy(bool)
    size = np.bincount(number)
    chosen = np.lexsort((-size, -np.bincount(number, harms) / size))[0]
    rows = np.flatnonzero(number == chosen)
    columns = [*released.qi, sensitive]
    return Example(
        before=original[columns].iloc[np.sort(released.kept[rows])[:SHOWN]],
        after={name: str(table[name].iloc[rows[0]]) for name in released.qi},
        patients=len(rows),
        values=table[sensitive].iloc[rows].value_counts(dropna=False),
    )


def check_tables(extract: Any, register: Any) -> None:
    """Refuse what the explorer cannot work on, before anything is computed."""
    needed = dict.fromkeys([*QUASI_IDENTIFIERS, *SENSITIVE, *cohort.SUPPORT2.columns, cohort.SUPPORT2.label])
    needed = [name for name in needed if name not in NOT_RELEASED]
    mend = "give the table that identities.deidentified returns"
    checks.table(extract, "the extract", needed, error=ExplorerError, mend=mend)
    if not isinstance(register, identities.Register):
        kind = type(register).__name__
        raise ExplorerError(f"the register is of type {kind}, not a Register: give what identities.register returns.")
    checks.whole(len(extract), "patients of the extract", _FEWEST, error=ExplorerError, mend="take more")


def checked_ks(ks: Iterable[int]) -> tuple[int, ...]:
    """Return every k on offer, rising."""
    ks = tuple(checks.whole(k, "one of the ks", 1, error=ExplorerError) for k in ks)
    if not ks or list(ks) != sorted(set(ks)):
        raise ExplorerError(f"ks = {ks!r} must be increasing whole numbers of at least 1: try {KS}.")
    return ks
