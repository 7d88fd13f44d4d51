"""The hospital of chapter 03b: what it holds, who is left out, and the register that an attacker holds."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from ppml_helpers import cohort
from ppml_helpers.people import identities
from ppml_helpers.people.country import REGIONS
from ppml_helpers.synthetic_tables.domain import KEPT, ORDER, Axis

KNOWN = ("age", "sex", "postcode")
"""What others know about a person, and the register holds: the quasi-identifiers."""

POSTCODE = Axis("postcode", REGIONS)
"""The public list of the (invented) country's postcodes."""


class Hospital(NamedTuple):
    """Two parts of one hospital's patients, and what is known outside. Postcode, age and register are fictional."""

    train: pd.DataFrame  # patients from whom synthetic tables are made
    test: pd.DataFrame  # others, to test on, and as the control of each attack
    register: pd.DataFrame  # 100,000 people with names; most of the patients among them
    truth: pd.Series  # the row of each registered person, for scoring only


def fictional_hospital(seed: int = 0) -> Hospital:
    """Return the course's patients with postcodes, `KEPT` clinical columns and the label, and the register.

    Parameters
    ----------
    seed : int
        Of identities, register and split.

    Returns
    -------
    Hospital
    """
    patients = cohort.load_patients()
    people = identities.identities(patients, seed=seed)
    register, truth = identities.register(people, size=100_000, listed=0.9, seed=seed)
    columns = [*KNOWN, *(name for name in ORDER[:KEPT] if name not in KNOWN), cohort.SUPPORT2.label]
    table = pd.DataFrame(identities.deidentified(patients, people)[columns])
    parts = cohort.split(*cohort.features(patients), seed=seed)
    return Hospital(table.loc[parts.X_train.index], table.loc[parts.X_test.index], register, truth)
