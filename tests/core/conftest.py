"""What several test files look at and none changes: the patients, and who they are made out to be."""

from __future__ import annotations

import sys

import pandas as pd
import pytest

from ppml_helpers import cohort
from ppml_helpers.people import identities
from ppml_helpers.people.fictional import Fictional

if sys.platform == "win32":  # whose jobs no sandbox of ours limits
    collect_ignore_glob = ["test_runner*", "test_collect*"]


@pytest.fixture(scope="session")
def patients() -> pd.DataFrame:
    return cohort.load_patients()


@pytest.fixture(scope="session")
def people(patients: pd.DataFrame) -> Fictional:
    return identities.identities(patients)


@pytest.fixture(scope="session")
def listed(people: Fictional) -> identities.Register:
    return identities.register(people)


@pytest.fixture(scope="session")
def extract(patients: pd.DataFrame, people: Fictional) -> Fictional:
    return identities.deidentified(patients, people)
