"""Chapter 02b as a learner meets it: run the cells up to the explorer of erasures, then turn its knobs."""

from __future__ import annotations

import lab

CHAPTER = "02b_keys_and_erasure.ipynb"
EXPLORER = "ErasureExplorer("
NEEDS = ("import json", "people = identities.identities(")


def test_all_is_said_labelled_and_reached_by_tab(explorer: lab.ExplorerView) -> None:
    explorer.whole("erasure_explorer")
    explorer.usable(3, first=explorer.control("to erase").locator("select"))


def test_shorter_key_backups_bring_fewer_back(explorer: lab.ExplorerView) -> None:
    explorer.choose("to erase", "delete the key")
    before = explorer.settled(lambda now: "To erase: delete the key." in now.alt and "key backups of 90" in now.alt)
    explorer.slider("key backups").press("Home")
    explorer.settled(lambda now: lab.changed(before, now) and "reads 0 of" in now.alt)
