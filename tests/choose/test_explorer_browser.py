"""The chooser of chapter 11 as a learner meets it: run its cell, then say what is wanted."""

from __future__ import annotations

import lab
from lab import changed
from playwright.sync_api import expect

CHAPTER = "11_choose.ipynb"
NEEDS = ("from ppml_helpers.choose import making, measure",)
EXPLORER = "ChooseExplorer("


class ChooserView(lab.ExplorerView):
    """An explorer without a slider: it is found by its drop-downs."""

    KNOB = "select"


VIEW = ChooserView

LABELS = ["what leaves", "the data are", "patients", "hospitals: trusted", "server: trusted", "researcher: trusted"]
LABELS += ["promise for a year", "how often", "time", "bytes", "what counts"]


def test_all_is_said_labelled_on_one_screen_and_reached_by_the_keyboard(explorer: ChooserView) -> None:
    now = explorer.whole("choose_explorer")
    assert now.alt.startswith("7 of 18 techniques give a model from one table")
    assert explorer.root.bounding_box()["height"] <= 768
    said = explorer.root.locator(".widget-dropdown .widget-label").all_inner_texts()
    assert [text.strip() for text in said] == LABELS
    explorer.usable(len(LABELS), first=explorer.root.locator("select").first)


def test_what_is_wanted_decides_what_is_left(explorer: ChooserView) -> None:
    before = explorer.look()
    explorer.choose("the data are", "parts by rows")
    rows = explorer.settled(lambda now: changed(before, now))
    assert rows.alt.startswith("3 of 18 techniques give a model from parts by rows")
    explorer.choose("hospitals: trusted", "nothing")
    explorer.choose("researcher: trusted", "nothing")
    explorer.choose("promise for a year", "epsilon 10")
    explorer.choose("how often", "every month")
    one = explorer.settled(lambda now: now.alt.startswith("1 of 18 techniques gives"))
    assert "first federated + noise" in one.alt
    picker = explorer.control("what leaves").locator("select")
    picker.focus()
    picker.press("s")  # by the keyboard: to statistics
    none = explorer.settled(lambda now: changed(one, now))
    assert none.alt.startswith("None of 18 techniques gives statistics")
    expect(explorer.root.locator("[role=alert]")).to_have_count(0)
