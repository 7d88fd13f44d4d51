"""Chapter 5 as a learner meets it: run the cells up to the explorer, then turn the epsilon explorer's knobs."""

from __future__ import annotations

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
    explorer.settled(lambda now: explorer.says_its_epsilon(now) and "logistic" in now.alt, quiet=0.3)
    return explorer


def test_picture_and_sentence_say_the_same(chapter: lab.NotebookPage, explorer: lab.ExplorerView) -> None:
    chapter.screenshot("epsilon_explorer_page")
    assert explorer.says_its_epsilon(explorer.whole("epsilon_explorer"))


@pytest.mark.parametrize("keys", [["Home"], ["ArrowRight"], ["End"], ["ArrowLeft"], ["ArrowUp", "PageDown"]])
def test_keyboard_moves_picture_and_sentence(explorer: lab.ExplorerView, keys: list[str]) -> None:
    for key in keys:
        before, number = explorer.look(), explorer.readout("epsilon")
        explorer.slider("epsilon").press(key)
        after = explorer.settled(lambda now: explorer.says_its_epsilon(now) and changed(before, now), quiet=0.3)  # noqa: B023
        assert explorer.readout("epsilon") != number
        assert float(explorer.readout("epsilon")) == pytest.approx(explorer.epsilon(), rel=0.06)
        assert changed(before, after)


@pytest.mark.parametrize("pixels", [-60, 45])
def test_mouse_moves_picture_and_sentence(explorer: lab.ExplorerView, pixels: int) -> None:
    before, number = explorer.look(), explorer.readout("epsilon")
    explorer.drag("epsilon", pixels)
    explorer.settled(lambda now: explorer.says_its_epsilon(now) and changed(before, now), quiet=0.3)
    assert explorer.readout("epsilon") != number


def test_a_typed_number_moves_slider_picture_and_sentence(explorer: lab.ExplorerView) -> None:
    before = explorer.look()
    box = explorer.number_box("epsilon")
    box.fill("0.25")
    box.press("Enter")
    explorer.settled(lambda now: explorer.says_its_epsilon(now) and changed(before, now), quiet=0.3)
    assert explorer.epsilon() == pytest.approx(0.25, rel=0.06)


def test_after_a_burst_of_keys_the_last_value_wins(explorer: lab.ExplorerView) -> None:
    handle = explorer.slider("epsilon")
    handle.press("Home")
    handle.focus()
    for _ in range(17):
        explorer.page.keyboard.press("ArrowRight", delay=5)
    in_haste = explorer.settled(explorer.says_its_epsilon, quiet=2)
    handle.press("ArrowLeft")
    explorer.settled(lambda now: explorer.says_its_epsilon(now) and changed(in_haste, now))
    handle.press("ArrowRight")
    at_leisure = explorer.settled(lambda now: explorer.says_its_epsilon(now) and now.alt == in_haste.alt)
    assert at_leisure.src == in_haste.src


def test_tab_reaches_every_control(explorer: lab.ExplorerView) -> None:
    assert explorer.mark_focusable() >= 5
    assert explorer.tab_misses(explorer.slider("epsilon")) == set()


def test_every_control_has_a_label_that_can_be_read(explorer: lab.ExplorerView) -> None:
    assert len(explorer.controls()) == 5  # four knobs, and the number box of epsilon
    assert explorer.poor_labels() == []


def test_the_other_model_gets_its_own_picture(explorer: lab.ExplorerView) -> None:
    before = explorer.look()
    explorer.choose("model", "MLP")
    after = explorer.settled(lambda now: changed(before, now) and "MLP" in now.alt)
    assert explorer.says_its_epsilon(after)


def test_long_work_shows_progress_and_can_be_stopped(chapter: lab.NotebookPage, explorer: lab.ExplorerView) -> None:
    explorer.choose("model", "logistic")
    explorer.slider("patients").press("End")
    explorer.slider("clipping norm").press("End")  # no network was trained with this one: a whole curve is due
    before = explorer.settled(lambda now: explorer.says_its_epsilon(now) and "6,829" in now.alt, quiet=2)
    explorer.choose("model", "MLP")
    stop = explorer.root.get_by_role("button", name="Stop")
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
