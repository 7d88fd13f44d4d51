"""The explorer of chapter 8 as a learner meets it: run its cell, then choose parameters for encrypted computing."""

from __future__ import annotations

import re

import lab
import pytest
from lab import changed
from playwright.sync_api import expect

CHAPTER = "08_homomorphic_encryption.ipynb"
EXPLORER = "EncryptionExplorer("
STOPS = {
    "ring size": ["2,048", "4,096", "8,192", "16,384"],
    "scale": ["20", "24", "28", "32", "36", "40", "45"],
    "depth": [str(depth) for depth in range(1, 11)],
}
START = {"ring size": "8,192", "scale": "36", "depth": "3"}


@pytest.fixture
def explorer(explorer: lab.ExplorerView) -> lab.ExplorerView:
    """The explorer with the knobs at START, wherever the chapter or the test before left them."""
    for name, stop in START.items():
        steps = STOPS[name].index(stop) - STOPS[name].index(explorer.readout(name))
        for _ in range(abs(steps)):
            explorer.slider(name).press("ArrowRight" if steps > 0 else "ArrowLeft")
    explorer.settled(lambda now: "8,192, a scale of 2^36 and 3 multiplications" in now.alt)
    return explorer


def says_its_knobs(explorer: lab.ExplorerView, now: lab.View) -> bool:
    """Whether the sentence names what every slider shows."""
    ring, scale, depth = map(explorer.readout, STOPS)
    return f"A ring of {ring}, a scale of 2^{scale} and {depth} multiplication" in now.alt


def turned(explorer: lab.ExplorerView, name: str, key: str) -> lab.View:
    """Press a key that moves a slider and wait for the new picture."""
    before = explorer.look()
    explorer.slider(name).press(key)
    return explorer.settled(lambda now: changed(before, now) and says_its_knobs(explorer, now))


def test_all_is_said_labelled_and_reached_by_tab(explorer: lab.ExplorerView) -> None:
    assert says_its_knobs(explorer, explorer.whole("encryption_explorer"))
    explorer.usable(5, first=explorer.slider("ring size"))  # ring, scale, depth, packing and run


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ring size", "102 bits too many; at scale 2^36 this ring allows no multiplication; ring 8,192 would do."),
        ("scale", "comes back with a typical error of"),
        ("depth", "comes back with a typical error of"),
    ],
)
def test_the_keyboard_moves_each_slider_and_back(explorer: lab.ExplorerView, name: str, words: str) -> None:
    before = explorer.look()
    assert words in turned(explorer, name, "ArrowLeft").alt
    explorer.screenshot(f"encryption_explorer_less_{name.partition(' ')[0]}")
    back = turned(explorer, name, "ArrowRight")
    assert (back.src, back.alt) == (before.src, before.alt)  # remembered


def test_simulated_first_then_executed_in_either_packing_or_at_every_scale(explorer: lab.ExplorerView) -> None:
    before = explorer.look()
    assert "simulated, the age of 4,096 patients" in before.alt
    explorer.choose("run", "execute every scale")
    explorer.settled(lambda now: "from scale 2^20 to 2^36, the largest that fits here" in now.alt)
    explorer.screenshot("encryption_explorer_sweep")
    explorer.choose("run", "execute")
    executed = explorer.settled(lambda now: "within a factor of two" in now.alt and "from scale" not in now.alt)
    explorer.choose("packing", "one patient")
    after = explorer.settled(lambda now: "39 of 4,096 slots are in use" in now.alt)
    assert changed(executed, after)
    explorer.choose("packing", "columns")
    explorer.choose("run", "simulate")
    explorer.settled(lambda now: now.alt == before.alt)


def test_a_large_ring_is_simulated_at_once_and_its_execution_can_be_stopped(explorer: lab.ExplorerView) -> None:
    turned(explorer, "ring size", "End")
    too_many = turned(explorer, "depth", "End")
    assert "30 bits too many; at scale 2^36 this ring allows 9 multiplications; " in too_many.alt
    simulated = turned(explorer, "depth", "ArrowLeft")
    assert "simulated, the age of 8,192 patients, raised to the power 10" in simulated.alt
    explorer.screenshot("encryption_explorer_simulated")
    explorer.choose("run", "execute every scale")
    stop = explorer.stop_button()
    expect(stop).to_be_visible()
    expect(explorer.root.locator(".progress-bar").first).to_be_visible()
    stop.click()
    stopped = explorer.settled(lambda now: "Stopped" in now.text or "executed" in now.alt)
    expect(stop).to_be_hidden()
    if "Stopped" in stopped.text:  # on a quick machine the work may be done before the click arrives
        assert (stopped.src, stopped.alt) == (simulated.src, simulated.alt)
    explorer.choose("run", "execute")
    explorer.settled(lambda now: re.search(r"executed, the age of 8,192 .* power 10, .* 210 times as many", now.alt))
    explorer.screenshot("encryption_explorer_large")
    explorer.choose("run", "simulate")
