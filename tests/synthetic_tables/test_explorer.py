"""The explorer of chapter 03b."""

from __future__ import annotations

import pytest
from readable import assert_readable

from ppml_helpers.synthetic_tables import SyntheticTablesExplorer, alone
from ppml_helpers.synthetic_tables.explorer import WIDTHS


@pytest.fixture(scope="module")
def explorer() -> SyntheticTablesExplorer:
    return SyntheticTablesExplorer()


@pytest.mark.parametrize("years", WIDTHS)
def test_it_shows_what_the_function_gives(explorer: SyntheticTablesExplorer, years: int) -> None:
    explorer.set(years=years)
    assert explorer.result.shares[years] == alone(explorer._patients, years)
    assert f"bands of {years} years" in explorer.sentence


def test_the_picture_can_be_read(explorer: SyntheticTablesExplorer) -> None:
    explorer.set(years=5)
    assert_readable(explorer)
