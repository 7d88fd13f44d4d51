"""Chapter 03b as a learner meets it: run the cells up to the explorer, then turn its knobs."""

from __future__ import annotations

import lab
from lab import changed

CHAPTER = "03b_synthetic_tables.ipynb"
EXPLORER = "SyntheticExplorer("
NEEDS = ("hospital = fictional_hospital()",)


def test_picture_and_sentence_say_the_same(explorer: lab.ExplorerView) -> None:
    now = explorer.whole("synthetic_explorer")
    assert explorer.says_its_epsilon(now)
    assert "for 12 columns and 7,000 rows" in now.alt


def test_the_controls_can_be_used_by_keyboard(explorer: lab.ExplorerView) -> None:
    explorer.usable(controls=4, first=explorer.slider("epsilon"))  # three knobs, and the number box of epsilon


def test_knobs_and_picture_fit_a_screen_of_768_pixels(explorer: lab.ExplorerView) -> None:
    picture, first = (part.bounding_box() for part in (explorer.root.locator("img").first, explorer.controls()[0]))
    assert picture["y"] + picture["height"] - first["y"] < 768 - 150  # 150: JupyterLab's own bars


def test_each_knob_gets_its_own_picture(explorer: lab.ExplorerView) -> None:
    before = explorer.look()
    explorer.slider("columns kept").press("Home")
    few = explorer.settled(lambda now: changed(before, now) and "for 2 columns" in now.alt, quiet=0.3)
    explorer.slider("rows made").press("Home")
    short = explorer.settled(lambda now: changed(few, now) and "and 500 rows" in now.alt, quiet=0.3)
    explorer.slider("epsilon").press("Home")
    least = explorer.settled(lambda now: changed(short, now) and explorer.says_its_epsilon(now), quiet=0.3)
    assert "With epsilon 0.1 for 2 columns" in least.alt
    explorer.screenshot("synthetic_explorer_least")
