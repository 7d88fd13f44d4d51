"""Chapter 9 as a learner meets it: choose who colludes and how slow the line is."""

from __future__ import annotations

import lab
from lab import changed

CHAPTER = "09_secure_computation.ipynb"
EXPLORER = "SharesExplorer("


def test_all_is_said_labelled_and_reached_by_tab(explorer: lab.ExplorerView) -> None:
    assert "2 of 3 parties" in explorer.whole("shares_explorer").alt
    explorer.usable(7, first=explorer.slider("secret value"))  # six knobs, and the number box of the latency
    first, said = (part.bounding_box() for part in (explorer.controls()[0], explorer.root.get_by_role("status").first))
    assert said["y"] + said["height"] - first["y"] < 768 - 150  # 150: JupyterLab's own bars


def test_the_keyboard_lets_the_secret_fall_and_slows_the_line(explorer: lab.ExplorerView) -> None:
    before = explorer.look()
    explorer.slider("collude").press("ArrowRight")
    fallen = explorer.settled(lambda now: changed(before, now) and "3 of 3 parties" in now.alt)
    assert "read 63 each time" in fallen.alt
    explorer.slider("latency, ms").press("End")
    slow = explorer.settled(lambda now: changed(fallen, now))
    assert "At 3.2e+02 ms" not in slow.alt
    explorer.slider("collude").press("End")
    explorer.settled(lambda now: "collude = 8 of 3 parties cannot be" in explorer.root.inner_text())
    explorer.choose("modulo", "65,537")
