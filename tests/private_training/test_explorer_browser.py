"""Chapter 5 as a learner meets it: run the cells up to the explorer, then turn the epsilon explorer's knobs."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import lab
import pytest
from lab import changed
from playwright.sync_api import expect

CHAPTER = "05_private_training.ipynb"
EXPLORER = "EpsilonExplorer("
NEEDS = ("split = cohort.split(",)


@pytest.fixture
def explorer(explorer: lab.ExplorerView) -> lab.ExplorerView:
    """The explorer at rest, with the quick model."""
    explorer.choose("model", "logistic")
    explorer.settled(lambda now: explorer.says_its_epsilon(now) and "logistic" in now.alt)
    return explorer


def test_all_is_said_labelled_and_reached_by_tab(chapter: lab.NotebookPage, explorer: lab.ExplorerView) -> None:
    chapter.screenshot("epsilon_explorer_page")
    assert explorer.says_its_epsilon(explorer.whole("epsilon_explorer"))
    # 13 knobs and the number box of epsilon; then the button that keeps a choice, and what others chose
    explorer.usable(14, first=explorer.slider("epsilon"), focusable=15)
    top = explorer.root.locator(".widget-vbox").first.bounding_box()["y"]
    said = explorer.root.locator("p[role=status]").bounding_box()
    assert said["y"] + said["height"] - top <= 768  # knobs, picture and sentence on one screen


def test_by_keyboard_the_game_is_played_again_and_the_choice_is_kept_in_words(explorer: lab.ExplorerView) -> None:
    before = explorer.look()
    explorer.slider("games").press("ArrowRight")
    after = explorer.settled(lambda now: changed(before, now) and "of 200 games" in now.alt)
    view = explorer.control("view").locator("select")
    view.focus()
    for key in ("Alt+ArrowDown", "ArrowDown", "Enter"):  # a bare arrow would move to another cell in JupyterLab
        explorer.page.keyboard.press(key)
    explorer.settled(lambda now: now.src != after.src)
    explorer.whole("epsilon_map")
    explorer.choose("view", "curve")
    explorer.settled(lambda now: now.src == after.src)  # nothing was played or trained anew
    explorer.root.get_by_role("button", name="Keep this choice").focus()
    explorer.page.keyboard.press("Enter")
    statement = explorer.root.locator("textarea")
    expect(statement).to_have_value(re.compile("Promise: epsilon 1 .*Who pays: ", re.DOTALL))
    statement.focus()
    explorer.page.keyboard.press("Control+a")
    chosen = statement.evaluate("node => node.value.slice(node.selectionStart, node.selectionEnd)")
    assert chosen == statement.input_value()
    explorer.root.locator("summary").focus()
    explorer.page.keyboard.press("Enter")
    expect(explorer.root.get_by_text("US Census 2020")).to_be_visible()
    explorer.screenshot("epsilon_statement")


def moved(explorer: lab.ExplorerView, move: Callable[[], None], quiet: float = 0.1) -> None:
    """Move epsilon and demand that number, picture and sentence follow."""
    before, number = explorer.look(), explorer.readout("epsilon")
    move()
    explorer.settled(lambda now: explorer.says_its_epsilon(now) and changed(before, now), quiet)
    assert explorer.readout("epsilon") != number
    assert float(explorer.readout("epsilon")) == pytest.approx(explorer.epsilon(), rel=0.06)


def test_keyboard_mouse_and_a_typed_number_move_picture_and_sentence(explorer: lab.ExplorerView) -> None:
    for key in ("Home", "ArrowRight", "End", "ArrowLeft", "ArrowUp", "PageDown"):
        moved(explorer, partial(explorer.slider("epsilon").press, key))
    for pixels in (-60, 45):
        moved(explorer, partial(explorer.drag, "epsilon", pixels), quiet=0.5)
    box = explorer.number_box("epsilon")
    moved(explorer, lambda: (box.fill("0.25"), box.press("Enter")))
    assert explorer.epsilon() == pytest.approx(0.25, rel=0.06)


def test_after_a_burst_of_keys_the_last_value_wins(explorer: lab.ExplorerView) -> None:
    handle = explorer.slider("epsilon")
    handle.press("Home")
    handle.focus()
    for _ in range(17):
        explorer.page.keyboard.press("ArrowRight", delay=5)
    in_haste = explorer.settled(explorer.says_its_epsilon, quiet=1)
    handle.press("ArrowLeft")
    explorer.settled(lambda now: explorer.says_its_epsilon(now) and changed(in_haste, now))
    handle.press("ArrowRight")
    at_leisure = explorer.settled(lambda now: explorer.says_its_epsilon(now) and now.alt == in_haste.alt)
    assert at_leisure.src == in_haste.src


def test_the_other_model_gets_its_own_picture(explorer: lab.ExplorerView) -> None:
    before = explorer.look()
    explorer.choose("model", "MLP")
    after = explorer.settled(lambda now: changed(before, now) and "MLP" in now.alt)
    assert explorer.says_its_epsilon(after)


def test_long_work_shows_progress_and_can_be_stopped(chapter: lab.NotebookPage, explorer: lab.ExplorerView) -> None:
    explorer.choose("model", "logistic")
    explorer.slider("patients").press("End")
    everybody = explorer.settled(lambda now: explorer.says_its_epsilon(now) and "6,829" in now.alt)
    explorer.slider("clipping norm").press("End")  # no network was trained with this one: a whole curve is due
    before = explorer.settled(lambda now: now.src != everybody.src)
    explorer.choose("model", "MLP")
    stop = explorer.stop_button()
    expect(stop).to_be_visible()
    expect(explorer.root.locator(".progress-bar").first).to_be_visible()
    explorer.screenshot("epsilon_explorer_working")
    stop.click()
    stopped = explorer.settled(lambda now: "Stopped" in now.text)
    explorer.screenshot("epsilon_explorer_stopped")
    expect(stop).to_be_hidden()
    assert (stopped.src, stopped.alt) == (before.src, before.alt)
    explorer.choose("model", "logistic")  # and the explorer still works
    explorer.slider("epsilon").press("ArrowLeft")
    explorer.settled(lambda now: changed(before, now) and explorer.says_its_epsilon(now))
    assert "Stopped" not in explorer.look().text
