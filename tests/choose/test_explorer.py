"""The explorer of chapter 11."""

from __future__ import annotations

import pytest
from readable import assert_readable

from ppml_helpers.choose import ChooseExplorer, alone
from ppml_helpers.choose.explorer import WIDTHS


@pytest.fixture(scope="module")
def explorer() -> ChooseExplorer:
    return ChooseExplorer()


@pytest.mark.parametrize("years", WIDTHS)
def test_it_shows_what_the_function_gives(explorer: ChooseExplorer, years: int) -> None:
    explorer.set(years=years)
    assert explorer.result.shares[years] == alone(explorer._patients, years)
    assert f"bands of {years} years" in explorer.sentence


def test_the_picture_can_be_read(explorer: ChooseExplorer) -> None:
    explorer.set(years=5)
    assert_readable(explorer)
