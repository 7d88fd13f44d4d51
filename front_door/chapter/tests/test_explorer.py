"""The explorer of chapter NN."""

from __future__ import annotations

import pytest
from ppml_helpers.room_name import TopicExplorer, alone
from ppml_helpers.room_name.explorer import WIDTHS
from readable import assert_readable


@pytest.fixture(scope="module")
def explorer() -> TopicExplorer:
    return TopicExplorer()


@pytest.mark.parametrize("years", WIDTHS)
def test_it_shows_what_the_function_gives(explorer: TopicExplorer, years: int) -> None:
    explorer.set(years=years)
    assert explorer.result.shares[years] == alone(explorer._patients, years)
    assert f"bands of {years} years" in explorer.sentence


def test_the_picture_can_be_read(explorer: TopicExplorer) -> None:
    explorer.set(years=5)
    assert_readable(explorer)
