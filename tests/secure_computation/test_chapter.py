"""What chapter 09 promises of its own cells, run as they are stored."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from answers import cells

STORED = cells("09_secure_computation")


def run(*names: str, scope: dict[str, Any]) -> dict[str, Any]:
    for name in names:
        exec(STORED[name].source, scope)
    return scope


@pytest.fixture(scope="module")
def learned() -> dict[str, Any]:
    """The names of the chapter once it has trained."""
    return run("setup", "train", "trained", scope={})


def test_training_on_shares_is_as_good_as_the_same_in_plain(learned: dict[str, Any]) -> None:
    on_shares, in_plain = learned["aucs"]
    assert abs(on_shares - in_plain) < 0.005
    assert in_plain > 0.8


@pytest.mark.parametrize("p", [257, 7_919])
def test_tags_let_the_truth_through_and_a_lie_with_one_key_of_all(p: int) -> None:
    """The chance that a wrong share passes is 1/p: counted over every key, not drawn."""
    rng, shown = np.random.default_rng(0), run("tags", "tags-guess", scope={"np": np})["with_a_lie"]
    for _ in range(3):
        lie, guess = (int(one) for one in rng.integers(1, p, size=2))
        passed = [key for key in range(p) if shown(key, p, lie, guess) is not None]
        assert passed == [guess]
        assert shown(guess, p, lie, guess) == (63 + lie) % p
    assert all(shown(key, p, 0, 5) == 63 for key in range(p))


@pytest.mark.parametrize("installed", [True, False])
def test_the_network_section_shows_its_stored_outputs_and_without_its_package_says_so(
    installed: bool, learned: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """These outputs are not compared by nbval, for the package is optional: so they are held here."""
    names = ("network-trained", "network-fit", "network-scored")
    found = "".join(output["text"] for name in names for output in STORED[name].outputs)
    if installed:
        pytest.importorskip("onnx")
    else:
        monkeypatch.setitem(sys.modules, "onnx", None)
        found = "The optional packages onnx and ml_dtypes are not installed here: this section stays empty.\n"
    run(*names, scope=learned | {"S_test": learned["secret"](learned["south_test"], "south_test")})
    assert capsys.readouterr().out == found
