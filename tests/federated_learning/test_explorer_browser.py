"""Chapter 7 as a learner meets it: run the cells up to the explorer, then deal, train and protect."""

from __future__ import annotations

import lab
import pytest
from lab import changed
from playwright.sync_api import expect

CHAPTER = "07_federated_learning.ipynb"
EXPLORER = "FederationExplorer("
NEEDS = ("patients = cohort.load_patients()",)
PROTECTED = {"none": "without protection", "masks": "under masks", "DP": "with DP at epsilon"}


def counted(number: str, what: str) -> str:
    return f"{number} {what}{'' if number == '1' else 's'}"


def says_its_knobs(explorer: lab.ExplorerView, now: lab.View) -> bool:
    """Whether the sentence names what every slider and drop-down shows."""
    skew = explorer.readout("skew")
    strategy, protection = (
        explorer.control(name).locator("select").evaluate("node => node.selectedOptions[0].innerText")
        for name in ("strategy", "protection")
    )
    words = [
        f"{explorer.readout('hospitals')} simulated hospitals ",
        "the same mix" if skew == "0" else f"skew {skew} ",
        f"by {strategy}, {counted(explorer.readout('rounds'), 'round')} of ",
        f"of {counted(explorer.readout('local epochs'), 'local epoch')}, ",
        next(said for name, said in PROTECTED.items() if protection.startswith(name)),
    ]
    in_force = not protection.startswith("DP") or explorer.says_its_epsilon(now)
    return in_force and all(word in now.alt for word in words)


def protect(explorer: lab.ExplorerView, how: str) -> lab.View:
    explorer.choose("protection", how)
    return explorer.settled(lambda now: says_its_knobs(explorer, now) and PROTECTED[how] in now.alt)


def test_all_is_said_labelled_and_reached_by_tab(explorer: lab.ExplorerView) -> None:
    assert says_its_knobs(explorer, explorer.whole("federation_explorer"))
    protect(explorer, "DP")  # otherwise epsilon rests
    explorer.usable(8, first=explorer.slider("hospitals"))  # seven knobs, and the number box of epsilon


def test_protections_change_what_the_server_reads(explorer: lab.ExplorerView) -> None:
    bare = protect(explorer, "none")
    assert "reads the patient's record exactly" in bare.alt
    expect(explorer.number_box("epsilon")).to_be_disabled()
    masked = protect(explorer, "masks")
    assert "sees random numbers in place of A's update" in masked.alt
    explorer.screenshot("federation_explorer_masks")
    private = protect(explorer, "DP")
    assert "guessing A's average" in private.alt
    explorer.screenshot("federation_explorer_dp")
    expect(explorer.number_box("epsilon")).to_be_enabled()
    again = protect(explorer, "none")
    assert (again.src, again.alt) == (bare.src, bare.alt)


@pytest.mark.parametrize("name", ["hospitals", "skew", "local epochs", "rounds"])
def test_the_keyboard_moves_each_slider(explorer: lab.ExplorerView, name: str) -> None:
    protect(explorer, "none")
    for key in ("ArrowLeft", "ArrowRight"):
        before, stood = explorer.look(), explorer.readout(name)
        explorer.slider(name).press(key)
        explorer.settled(lambda now, old=before: changed(old, now) and says_its_knobs(explorer, now))
        assert explorer.readout(name) != stood


def test_dragging_to_and_fro_ends_where_it_says(explorer: lab.ExplorerView) -> None:
    protect(explorer, "none")
    for pixels in (70, -50):
        before = explorer.look()
        explorer.drag("hospitals", pixels)
        explorer.settled(lambda now, old=before: changed(old, now) and says_its_knobs(explorer, now), quiet=0.5)


def test_long_work_shows_progress_and_can_be_stopped(explorer: lab.ExplorerView) -> None:
    for name in ("rounds", "hospitals"):
        explorer.slider(name).press("End")
    before = protect(explorer, "masks")
    explorer.slider("local epochs").press("End")  # 20 rounds of 8 hospitals, 10 epochs each, under masks
    expect(explorer.stop_button()).to_be_visible()
    expect(explorer.root.locator(".progress-bar").first).to_be_visible()
    explorer.stop_button().click()
    stopped = explorer.settled(lambda now: "Stopped" in now.text)
    expect(explorer.stop_button()).to_be_hidden()
    assert (stopped.src, stopped.alt) == (before.src, before.alt)
    explorer.slider("local epochs").press("Home")  # and the explorer still works
    explorer.slider("rounds").press("Home")
    explorer.settled(lambda now: says_its_knobs(explorer, now) and "Stopped" not in now.text)
