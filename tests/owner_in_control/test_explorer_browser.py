"""The explorer of chapter 10 as a learner meets it: run its cell, then switch defences and attack."""

from __future__ import annotations

import re

import lab
from lab import changed
from playwright.sync_api import Locator, expect

CHAPTER = "10_owner_in_control.ipynb"
EXPLORER = "ReleaseGateExplorer("

DEFENCES = ["logs", "stray files", "fingerprint", "run script", "sender check", "scratch copy"]
DEFENCES += ["quarantine", "budget"]
START = DEFENCES[:1]  # on in the cell of the chapter
ATTACKS = ["logs", "stray file", "swapped code", "run script", "planted file", "public folder"]


class GateView(lab.ExplorerView):
    """An explorer without a slider: it is found by its switches."""

    KNOB = "input[type=checkbox]"

    def switch(self, name: str) -> Locator:
        return self.root.get_by_role("checkbox", name=name, exact=True)

    def on(self) -> list[str]:
        return [name for name in DEFENCES if self.switch(name).is_checked()]

    def turn(self, wanted: list[str]) -> None:
        """Switch, by the keyboard, every defence that does not stand as wanted."""
        for name in DEFENCES:
            if self.switch(name).is_checked() != (name in wanted):
                self.switch(name).press("Space")


VIEW = GateView


def test_all_is_said_labelled_and_reached_by_the_keyboard(explorer: GateView) -> None:
    explorer.page.set_viewport_size({"width": 1280, "height": 1100})  # for the screenshots
    now = explorer.whole("release_gate_explorer")
    assert now.alt.startswith("With logs on, 5 of 6 attacks got ")
    assert explorer.on() == START
    labels = explorer.root.locator(".widget-checkbox .widget-label-basic")
    assert [text.strip() for text in labels.all_inner_texts()] == DEFENCES
    for label in labels.all():
        assert label.evaluate("node => node.checkVisibility() && node.scrollWidth <= node.clientWidth")
    explorer.usable(0, first=explorer.switch("logs"), focusable=9)  # switches and button are their own labels
    told = explorer.root.get_by_text("The job leaves a file with the patients in its working directory")
    expect(told).to_be_hidden()
    summary = explorer.root.get_by_text("What each defence and each attack does")
    summary.press("Enter")
    expect(told).to_be_visible()
    summary.press("Enter")


def test_a_switch_alone_attacks_nothing_and_what_is_known_comes_back(explorer: GateView) -> None:
    before = explorer.look()
    explorer.switch("fingerprint").press("Space")
    after = explorer.settled(lambda now: changed(before, now))
    assert explorer.on() == ["logs", "fingerprint"]
    assert after.alt.startswith("With logs and fingerprint on, none of the six attacks has been carried")
    explorer.turn([])
    without = explorer.settled(lambda now: now.alt.startswith("Without a gate"))
    assert without.src != after.src
    explorer.turn(START)
    again = explorer.settled(lambda now: now.alt == before.alt)
    assert again.src == before.src


def test_the_button_attacks_one_after_the_other_and_stop_keeps_what_is_done(explorer: GateView) -> None:
    before = explorer.look()
    explorer.turn(DEFENCES)
    untried = explorer.settled(lambda now: now.alt.startswith("With every defence on, none"))
    assert explorer.on() == DEFENCES
    explorer.stop_once_it_says("attack 2 of 6: stray file")
    explorer.root.get_by_role("button", name="Carry out the six attacks").press("Enter")
    stopped = explorer.settled(lambda now: changed(untried, now))
    expect(explorer.stop_button()).to_be_hidden()
    done = re.match(r"With every defence on, ([1-5]) of 6 attacks stopped: logs \(by logs\)(; | and |, )", stopped.alt)
    assert done, stopped.alt  # how many a machine has done by then is its own affair
    first, last = ATTACKS[int(done[1]) : -1], ATTACKS[-1]
    assert f"not carried out yet: {' and '.join(filter(None, (', '.join(first), last)))}." in stopped.alt
    explorer.screenshot("release_gate_explorer_stopped")
    explorer.turn(START)
    again = explorer.settled(lambda now: now.alt == before.alt)
    assert again.src == before.src
