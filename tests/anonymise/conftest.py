"""What the tests of this room share: six patients whose classes are counted by hand, and all patients."""

from __future__ import annotations

import pandas as pd
import pytest

from ppml_helpers import cohort
from ppml_helpers.anonymise import Hierarchy
from ppml_helpers.people import identities


@pytest.fixture
def small() -> pd.DataFrame:
    """In tens of years: three women in their twenties, two men in their thirties, one woman of 71."""
    return pd.DataFrame({"age": [21, 22, 23, 35, 36, 71], "sex": list("fffmmf"), "dx": list("abcabc")})


@pytest.fixture
def ladders() -> dict[str, Hierarchy]:
    """The hierarchies of the six: ages in bands of 10 and 50 years, sex as it is or left out."""
    return {"age": Hierarchy.bands(0, 99, (10, 50)), "sex": Hierarchy.suppression(["f", "m"])}


@pytest.fixture(scope="session")
def people() -> pd.DataFrame:
    """The invented identities of all patients."""
    return identities.identities(cohort.load_patients())


@pytest.fixture(scope="session")
def extract(people: pd.DataFrame) -> pd.DataFrame:
    """All patients with their quasi-identifiers, as a hospital would release them; tests take copies of it."""
    return identities.deidentified(cohort.load_patients(), people)


@pytest.fixture(scope="session")
def register(people: pd.DataFrame) -> identities.Register:
    """The smallest register: it lists most of the patients among many others."""
    return identities.register(people, size=50_000)
