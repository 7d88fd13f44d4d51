"""Chapter 6 as a learner meets it: run the cells up to the explorer, then promise, measure and plant the bug."""

from __future__ import annotations

import re

import lab
from lab import changed
from playwright.sync_api import Locator, expect

CHAPTER = "06_attack_and_audit.ipynb"
EXPLORER = "AuditExplorer("
NEEDS = ("from ppml_helpers.exercises import check", "split = cohort.split(")


def switch(explorer: lab.ExplorerView) -> Locator:
    return explorer.root.get_by_role("checkbox", name=re.compile("introduce a bug"))


def says_its_knobs(explorer: lab.ExplorerView, now: lab.View) -> bool:
    """Whether the sentence names the promise, the canaries, the runs and the program that the knobs show."""
    runs = int(explorer.readout("runs"))
    said = "with noise 8 times too small" if switch(explorer).is_checked() else "with the noise that it takes"
    promise = f"Promised epsilon {float(explorer.readout('epsilon')):g} to "
    words = (promise, said, f"{explorer.readout('canaries')} canaries", "one run " if runs == 1 else f"{runs} runs ")
    return all(word in now.alt for word in words)


def test_all_is_said_labelled_and_reached_by_tab(explorer: lab.ExplorerView) -> None:
    assert says_its_knobs(explorer, explorer.whole("audit_explorer"))
    # three sliders, the number box of epsilon, and the switch, which the keyboard reaches too
    explorer.usable(4, first=explorer.slider("epsilon"), focusable=5)
    label = explorer.root.locator(".widget-checkbox .widget-label-basic")
    expect(label).to_have_text("introduce a bug: noise 8 times too small")
    assert label.evaluate("node => node.scrollWidth <= node.clientWidth")


def test_the_switch_is_worked_by_the_space_bar_and_changes_the_verdict(explorer: lab.ExplorerView) -> None:
    switch(explorer).set_checked(False)
    sound = explorer.settled(lambda now: says_its_knobs(explorer, now))
    assert "does not refute the promise" in sound.alt
    switch(explorer).press("Space")
    wrong = explorer.settled(lambda now: changed(sound, now) and says_its_knobs(explorer, now))
    assert "which refutes the promise" in wrong.alt
    explorer.screenshot("audit_explorer_bug")
    switch(explorer).press("Space")
    again = explorer.settled(lambda now: changed(wrong, now) and says_its_knobs(explorer, now))
    assert (again.src, again.alt) == (sound.src, sound.alt)


def test_a_typed_promise_goes_to_the_nearest_stop_and_the_box_shows_it(explorer: lab.ExplorerView) -> None:
    before = explorer.look()
    box = explorer.number_box("epsilon")
    box.fill("0.5")
    box.press("Enter")
    after = explorer.settled(lambda now: changed(before, now) and says_its_knobs(explorer, now), quiet=0.5)
    assert after.alt.startswith("Promised epsilon 0.56 to")
    assert explorer.readout("epsilon") == "0.56"


def test_fewer_canaries_and_more_runs_get_their_own_picture(explorer: lab.ExplorerView) -> None:
    before = explorer.look()
    explorer.slider("canaries").press("Home")
    few = explorer.settled(lambda now: changed(before, now) and says_its_knobs(explorer, now))
    assert "100 canaries" in few.alt
    explorer.slider("runs").press("End")
    many = explorer.settled(lambda now: changed(few, now) and says_its_knobs(explorer, now))
    assert "5 runs " in many.alt
    explorer.screenshot("audit_explorer_few")
