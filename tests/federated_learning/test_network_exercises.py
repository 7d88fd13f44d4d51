"""The exercises of chapter 07b: right answers in several forms, and what wrong ones are told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from answers import reply

from ppml_helpers import cohort
from ppml_helpers.federated_learning import survival
from ppml_helpers.federated_learning.network_exercises import door

RIGHT = {
    "authority.crt": {"server", "hospital", "submitter"},
    "server.key": {"server"},
    "hospital-0": {"hospital"},
    "hospital-0.pub": {"server"},
    "submit.token": {"server", "submitter"},
}
HEX = "0123456789abcdef"


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"server.key": "server"},
        {"submit.token": ["submitter", "server"]},
        {"hospital-0.pub": ("server", "hospital")},
    ],
)
def test_07b_1_takes_the_right_lists_in_any_form(change: dict) -> None:
    assert reply("07b.1", RIGHT | change) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"server.key": {"server", "hospital"}}, "It never leaves the server"),
        ({"server.key": set()}, "The server proves with server.key"),
        ({"hospital-0": {"server", "hospital"}}, "in hospital 0's name"),
        ({"hospital-0": "server"}, "in hospital 0's name"),
        ({"hospital-0": ()}, "signs its requests"),
        ({"hospital-0.pub": {"hospital"}}, "needs hospital-0.pub"),
        ({"submit.token": {"server", "submitter", "hospital"}}, "could run code at all the others"),
        ({"submit.token": {"submitter"}}, "both have it"),
        ({"authority.crt": {"hospital"}}, "goes to all three"),
        ({"hospital-0": {"nurse"}}, "'nurse' is none of them"),
        ({"other": set()}, "its keys are 'authority.crt'"),
    ],
)
def test_07b_1_says_what_a_wrong_list_would_allow(change: dict, words: str) -> None:
    assert words in reply("07b.1", RIGHT | change)


def longer(knock: Callable[[str], int], known: str = "") -> str:
    if len(known) == 16:
        return known
    return longer(knock, known + max(HEX, key=lambda one: knock(known + one)))


def in_order(knock: Callable[[str], int]) -> str:
    known = ""
    for length in range(16):
        [right] = [one for one in HEX if knock(known + one) > length]
        known += right
    return known


def wasteful(knock: Callable[[str], int]) -> str:
    known = ""
    for length in range(16):
        known += next(one for one in HEX if knock(known) == length and knock(known + one) > length)
    return known


ANSWERS = [
    (longer, ""),
    (in_order, ""),
    (lambda knock: longer(knock)[:15], "It stops after 15 characters"),
    (lambda knock: None, "returns nothing"),
    (lambda knock: int(longer(knock), 16), "returned a int"),
    (lambda knock: "", "It stops after 0 characters"),
    (lambda knock: "g" * 16, "found 0 leading characters"),
    (wasteful, "knocks. 256 are enough"),
    (lambda knock: next(f"{n:016x}" for n in range(16**16) if knock(f"{n:016x}") == 16), "more than 5,120 times"),
    ("3f9a0c77be51d264", "write it with def attack"),
    (lambda: "", "stopped with TypeError"),
]


@pytest.mark.parametrize(("answer", "words"), ANSWERS)
def test_07b_2_wants_every_token_in_few_knocks(answer: object, words: str) -> None:
    said = reply("07b.2", answer)
    assert words in said
    assert (said == "") == (words == "")


def test_the_door_of_07b_2_counts_leading_characters() -> None:
    assert [door("abca")(guess) for guess in ("", "a", "ab", "abd", "xbca", "abca", "abcab")] == [0, 1, 2, 2, 0, 4, 4]


def test_07b_3_is_the_curve_of_the_one_who_is_in_one_sum_only() -> None:
    homes, days = cohort.hospitals(cohort.load_patients(), 4, 0, 0.9), range(1, 2030)
    four, three = survival.federated(homes, days), survival.federated(dict(list(homes.items())[:3]), days)
    left = survival.Curve(four.days, four.at_risk - three.at_risk, four.deaths - three.deaths).survival[364]
    assert reply("07b.3", left) == reply("07b.3", round(left, 3)) == ""
    for answer, words in (
        (100 * left, "in percent"),
        (four.survival[364], "all four"),
        (three.survival[364], "the other three"),
        (three.survival[364] - four.survival[364], "cannot be subtracted"),
        (1 - left, "the share who died"),
        (1.5, "between 0 and 1"),
        (left + 0.05, "survival[364]"),
    ):
        assert words in reply("07b.3", answer)
