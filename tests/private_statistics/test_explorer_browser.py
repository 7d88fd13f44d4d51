"""Chapter 4 as a learner meets it: run the cells up to the explorer, then share out the budget."""

from __future__ import annotations

import lab
import pytest
from lab import changed

CHAPTER = "04_private_statistics.ipynb"
EXPLORER = "BudgetExplorer("
NEEDS = ("patients = cohort.load_patients()",)
SHARES = ("counts", "mean", "comparison")


def percents(explorer: lab.ExplorerView) -> list[int]:
    """What the three sliders show."""
    return [int(explorer.readout(name).removesuffix(" %")) for name in SHARES]


def says_its_shares(explorer: lab.ExplorerView, now: lab.View) -> bool:
    first, second, third = percents(explorer)
    return first + second + third == 100 and f"shared {first} %, {second} % and {third} %" in now.alt


def test_all_is_said_labelled_and_reached_by_tab(explorer: lab.ExplorerView) -> None:
    assert says_its_shares(explorer, explorer.whole("budget_explorer"))
    explorer.usable(7, first=explorer.slider("epsilon"))  # six knobs, and the number box of epsilon


def test_knobs_picture_and_sentence_fit_a_screen_of_768_pixels(explorer: lab.ExplorerView) -> None:
    first, said = (part.bounding_box() for part in (explorer.controls()[0], explorer.root.get_by_role("status").first))
    assert said["y"] + said["height"] - first["y"] < 768 - 150  # 150: JupyterLab's own bars


@pytest.mark.parametrize("name", SHARES)
def test_the_keyboard_moves_a_share_and_the_others_follow(explorer: lab.ExplorerView, name: str) -> None:
    for key, end in (("End", "90 %"), ("ArrowLeft", None), ("Home", "5 %"), ("ArrowRight", None)):
        before, stood = explorer.look(), explorer.readout(name)
        explorer.slider(name).press(key)
        explorer.settled(lambda now, old=before: changed(old, now) and says_its_shares(explorer, now))
        assert explorer.readout(name) != stood
        assert end in (None, explorer.readout(name))
        assert min(percents(explorer)) >= 5


def test_dragging_to_and_fro_ends_where_it_says_and_adds_up(explorer: lab.ExplorerView) -> None:
    for pixels in (60, -45):
        before = explorer.look()
        explorer.drag("counts", pixels)
        explorer.settled(lambda now, old=before: changed(old, now) and says_its_shares(explorer, now), quiet=0.5)


def test_other_groups_and_another_budget_get_their_own_picture(explorer: lab.ExplorerView) -> None:
    explorer.slider("patients").press("Home")
    few = explorer.settled(lambda now: "for 300 patients" in now.alt)
    explorer.choose("compare", "COPD and CHF")
    copd = explorer.settled(lambda now: changed(few, now) and "patients with COPD" in now.alt)
    explorer.slider("epsilon").press("Home")
    least = explorer.settled(lambda now: changed(copd, now) and explorer.says_its_epsilon(now))
    assert "With epsilon 0.01 for 300 patients" in least.alt
    explorer.screenshot("budget_explorer_least")
