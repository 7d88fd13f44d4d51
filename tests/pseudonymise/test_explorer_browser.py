"""Chapter 2 as a learner meets it: run the cells up to the explorer, then turn the pseudonym explorer's knobs."""

from __future__ import annotations

import lab
import pytest
from lab import changed

CHAPTER = "02_minimise_and_pseudonymise.ipynb"
EXPLORER = "PseudonymExplorer("
NEEDS = ("import hashlib", "people = identities.identities(")


def test_picture_and_sentence_say_the_same(explorer: lab.ExplorerView) -> None:
    explorer.whole("pseudonym_explorer")


def test_every_control_has_a_label_that_can_be_read(explorer: lab.ExplorerView) -> None:
    assert len(explorer.controls()) == 3
    assert explorer.poor_labels() == []


def test_tab_reaches_every_control(explorer: lab.ExplorerView) -> None:
    assert explorer.mark_focusable() >= 3
    assert explorer.tab_misses(explorer.control("identifier").locator("select")) == set()


@pytest.mark.parametrize("key", ["End", "ArrowLeft", "Home"])
def test_the_keyboard_moves_the_attackers_cores(explorer: lab.ExplorerView, key: str) -> None:
    explorer.choose("identifier", "national id, all")
    explorer.choose("method", "scrypt")
    before = explorer.settled(lambda now: "(slow hash (scrypt))" in now.alt, quiet=0.3)
    explorer.slider("cores").press(key)
    said = f"takes {explorer.readout('cores')} core"
    explorer.settled(lambda now: changed(before, now) and said in now.alt, quiet=0.3)


def test_each_method_gets_its_own_answer(explorer: lab.ExplorerView) -> None:
    explorer.choose("identifier", "birth date")
    explorer.choose("method", "plain")
    plain = explorer.settled(lambda now: "100 % of" in now.alt and "SHA-256" in now.alt, quiet=0.3)
    explorer.choose("method", "HMAC")
    keyed = explorer.settled(lambda now: changed(plain, now) and "HMAC" in now.alt, quiet=0.3)
    assert "no dictionary without the key" in keyed.alt
    assert "and 0 % of" in keyed.alt
    explorer.screenshot("pseudonym_explorer_hmac")
