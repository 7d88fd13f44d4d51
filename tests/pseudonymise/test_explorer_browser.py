"""Chapter 02 as a learner meets it: run the cells up to the explorer, then turn the pseudonym explorer's knobs."""

from __future__ import annotations

import lab
import pytest
from lab import changed

CHAPTER = "02_minimise_and_pseudonymise.ipynb"
EXPLORER = "PseudonymExplorer("
NEEDS = ("import hashlib", "people = identities.identities(")


def test_all_is_said_labelled_and_reached_by_tab(explorer: lab.ExplorerView) -> None:
    explorer.whole("pseudonym_explorer")
    explorer.usable(3, first=explorer.control("identifier").locator("select"))


@pytest.mark.parametrize("key", ["End", "ArrowLeft", "Home"])
def test_the_keyboard_moves_the_attacker(explorer: lab.ExplorerView, key: str) -> None:
    explorer.choose("identifier", "national id, all")
    explorer.choose("method", "scrypt")
    before = explorer.settled(lambda now: "(slow hash (scrypt))" in now.alt)
    explorer.slider("attacker").press(key)
    said = explorer.readout("attacker")
    explorer.settled(lambda now: changed(before, now) and said in now.alt)


def test_each_method_gets_its_own_answer(explorer: lab.ExplorerView) -> None:
    explorer.choose("identifier", "birth date")
    explorer.choose("method", "plain")
    plain = explorer.settled(lambda now: "100 % of" in now.alt and "SHA-256" in now.alt)
    explorer.choose("method", "HMAC")
    keyed = explorer.settled(lambda now: changed(plain, now) and "HMAC" in now.alt)
    assert "no dictionary without the key" in keyed.alt
    assert "and 0 % of" in keyed.alt
    explorer.screenshot("pseudonym_explorer_hmac")
