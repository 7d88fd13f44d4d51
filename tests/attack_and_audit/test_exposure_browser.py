"""Chapter 06b as a learner meets it: run the cells up to the explorer, then change the model and the patient."""

from __future__ import annotations

import lab
from lab import changed

CHAPTER = "06b_who_is_exposed.ipynb"
EXPLORER = "ExposureExplorer("


def test_all_is_said_labelled_and_worked_by_the_keyboard(explorer: lab.ExplorerView) -> None:
    first = explorer.whole("exposure_explorer")
    assert "overfitted network: mean log-odds" in first.alt
    explorer.usable(2, first=explorer.control("model").locator("select"), focusable=2)
    explorer.slider("how likely").press("End")
    last = explorer.settled(lambda now: changed(first, now))
    assert "left hospital alive" in last.alt
    explorer.choose("model", "network, clipped, no noise")
    calm = explorer.settled(lambda now: changed(last, now) and "network, clipped, no noise: mean" in now.alt)
    assert "in 0 of 16" in calm.alt
