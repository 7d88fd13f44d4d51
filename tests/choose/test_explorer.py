"""The explorer of chapter 11, the `pictures` of its scoreboard, and the button that makes the rows."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest
from readable import assert_readable

from ppml_helpers.choose import ChooseExplorer, ScoreboardMaker, making, scoreboard
from ppml_helpers.choose.chooser import OPTIONS, Setting, choose
from ppml_helpers.choose.pictures import use_and_leak, who_is_trusted
from ppml_helpers.errors import OutcomeError
from ppml_helpers.figures import to_png


@pytest.fixture(scope="module")
def explorer() -> ChooseExplorer:
    return ChooseExplorer()


SETTINGS = [
    {},
    {"leaves": "records", "researcher": "records"},
    {"held": "rows", "promise": 10.0, "times": 12, "researcher": "nothing"},
    {"held": "columns", "leaves": "statistics"},
    {"patients": 300, "promise": 1.0, "weight": "leak"},
    {"held": "columns", "seconds": 10.0, "bytes": 10**5},
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_it_shows_what_the_function_gives_and_can_be_read(explorer: ChooseExplorer, setting: dict) -> None:
    explorer.set(**{name: getattr(Setting(), name) for name in OPTIONS} | setting)
    wanted = choose(explorer._rows, Setting(**setting))
    assert explorer.result == wanted
    if wanted.left:
        assert explorer.sentence.startswith(f"{len(wanted.left)} of 18 techniques")
        assert f"first {wanted.left[0].technique}" in explorer.sentence
    else:
        assert explorer.sentence.startswith("None of 18 techniques")
    assert_readable(explorer)


def test_each_knob_offers_what_the_chooser_knows(explorer: ChooseExplorer) -> None:
    assert list(explorer.values)
    assert set(explorer.values) == set(OPTIONS)
    for name, offered in OPTIONS.items():
        assert tuple(value for _, value in explorer._controls[name].options) == offered, name


# Pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [use_and_leak, who_is_trusted])
def test_the_pictures_of_the_scoreboard_can_be_read(draw) -> None:
    picture = draw(scoreboard.load(making.COMMITTED))
    to_png(picture.figure)
    assert_readable(SimpleNamespace(_figure=picture.figure))
    assert max(picture.figure.get_size_inches() - (7, 3.5)) < 0.01


def test_the_pictures_say_what_they_show_and_refuse_nothing_to_show() -> None:
    rows = scoreboard.load(making.COMMITTED)
    assert use_and_leak(rows).alt.startswith("17 models, use against leak. no protection: overfitted forest gives 24 %")
    trusted = who_is_trusted(rows).alt
    assert "federated: server with updates and researcher with a model;" in trusted
    assert "private training, epsilon 1: nobody;" in trusted
    assert "secret shares, triples by a hospital: hospital with records" in trusted
    for draw in (use_and_leak, who_is_trusted):
        with pytest.raises(OutcomeError, match="make the rows first"):
            draw([])


# The button ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_the_button_makes_rows_stops_and_says_where_they_are(tmp_path) -> None:
    maker = ScoreboardMaker(tmp_path / "rows")
    assert maker.stop.disabled
    maker.start.click()
    assert maker.start.disabled
    until = time.monotonic() + 300
    while not any((tmp_path / "rows").glob("no-protection-logistic*.json")) and time.monotonic() < until:
        time.sleep(0.1)
    maker.stop.click()
    maker.wait()
    assert not maker.start.disabled
    assert "Stopped." in maker._told.value
    assert "no protection: logistic regression" in maker._told.value
    assert maker.bar._bar.value > 0


def test_a_button_whose_work_fails_says_why(tmp_path) -> None:
    (tmp_path / "rows").write_text("a file where the folder should be")
    maker = ScoreboardMaker(tmp_path / "rows")
    maker.start.click()
    maker.wait()
    assert "cannot be written" in maker._told.value
    assert maker.stop.disabled
    assert "text/plain" in maker._repr_mimebundle_()
