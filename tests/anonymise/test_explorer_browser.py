"""Chapter 3 as a learner meets it: run the cells up to the explorer, then turn the anonymity explorer's knobs."""

from __future__ import annotations

import re

import lab
import pytest
from lab import changed
from playwright.sync_api import Locator

CHAPTER = "03_anonymise.ipynb"
EXPLORER = "AnonymityExplorer("


def slider(explorer: lab.ExplorerView, name: str) -> Locator:
    """The slider labelled exactly so ("l" is also a part of other labels)."""
    return explorer.slider(re.compile(f"^{name}$"))


def test_all_is_said_labelled_and_reached_by_tab(explorer: lab.ExplorerView) -> None:
    assert explorer.whole("anonymity_explorer").natural_height > 400
    explorer.usable(10, first=slider(explorer, "k"))


def test_knobs_picture_and_the_class_below_fit_a_screen_of_768_pixels(explorer: lab.ExplorerView) -> None:
    picture, first = (part.bounding_box() for part in (explorer.root.locator("img").first, explorer.controls()[0]))
    assert picture["y"] + picture["height"] - first["y"] < 768 - 150  # 150: JupyterLab's own bars
    assert "another one takes seconds" in explorer.look().text


@pytest.mark.parametrize("key", ["Home", "ArrowRight", "End", "ArrowLeft"])
def test_the_keyboard_moves_k(explorer: lab.ExplorerView, key: str) -> None:
    before = explorer.look()
    slider(explorer, "k").press(key)
    k = explorer.readout(re.compile("^k$"))
    after = explorer.settled(lambda now: changed(before, now) and f"At k = {k}, " in now.alt)
    assert after.alt in after.text


def test_another_attribute_and_another_weight_get_their_own_picture(explorer: lab.ExplorerView) -> None:
    before = explorer.look()
    explorer.choose("sensitive", "dementia")
    explorer.settled(lambda now: changed(before, now) and "with dementia" in now.alt)
    slider(explorer, "k").press("End")
    at_100 = explorer.settled(lambda now: "At k = 100, " in now.alt and "with dementia" in now.alt)
    explorer.choose("age", "3")
    explorer.settled(lambda now: changed(at_100, now))
    explorer.screenshot("anonymity_explorer_age")


def test_an_impossible_setting_is_said_and_leaves_the_picture(explorer: lab.ExplorerView) -> None:
    explorer.choose("sensitive", "cancer")
    before = explorer.settled(lambda now: "metastatic cancer" in now.alt)
    slider(explorer, "l").press("End")
    refused = explorer.settled(lambda now: "This setting cannot be shown" in now.text)
    assert "l = 8 is more than the 3 values" in refused.text
    assert (refused.src, refused.alt) == (before.src, before.alt)
    explorer.screenshot("anonymity_explorer_refused")
    slider(explorer, "l").press("Home")
    again = explorer.settled(lambda now: "cannot be shown" not in now.text)
    assert (again.src, again.alt) == (before.src, before.alt)
