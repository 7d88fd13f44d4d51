"""The exercises of chapter 02b: right answers in several forms, and what wrong ones are told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from answers import reply

from ppml_helpers.people import free_text

GROUPS = {"names": ["name", "phone"], "labs": ["crea", "sod"], "groups": ["race", "sex"]}


WAYS = {"agree": "HMAC", "strike out": "vault", "stolen key": "vault", "no file": "HMAC", "reasons": "vault"}


def number_due(people: pd.DataFrame, today: str, years: int = 5) -> int:
    return int((people["admission_date"] + pd.DateOffset(years=years) <= pd.Timestamp(today)).sum())


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("02b.2", GROUPS),
        ("02b.2", {**GROUPS, "footer": []}),
        ("02b.2", {"names": ("phone", "name"), "labs": pd.Index(["sod", "crea"]), "groups": {"sex", "race"}}),
        *(("02b.3", answer) for answer in (30, np.int64(30), 31)),
        ("02b.5", WAYS),
        ("02b.5", {wish: f" {way.lower()} " for wish, way in reversed(WAYS.items())}),
    ],
)
def test_right_answers_in_many_forms(name: str, answer: object) -> None:
    assert reply(name, answer) == ""


def test_02b_1_counts_the_records_that_are_due(people: pd.DataFrame) -> None:
    right = number_due(people, "1998-04-01")
    assert reply("02b.1", right) == reply("02b.1", np.int64(right)) == ""
    for answer, words in (
        (number_due(people, "1998-07-01"), "the day of the chapter"),
        (number_due(people, "1998-03-31"), "who was admitted on 1 April 1993"),
        (len(people) - right, "that are kept"),
        (right - number_due(people, "1998-03-31"), "on that very day"),
        (0, "Count in `people`"),
        (right / len(people), "give how many"),
        (len(people), "five years from then"),
        (17, "How many are?"),
    ):
        assert words in reply("02b.1", answer)


def test_02b_4_counts_surnames_in_any_writing(people: pd.DataFrame) -> None:
    masked = people["note"].map(free_text.mask)
    pairs = list(zip(people["name"], masked, people["note"], strict=True))
    right = sum(name.split()[-1].lower() in text.lower() for name, text, _ in pairs)
    assert reply("02b.4", right) == reply("02b.4", np.float64(right)) == ""
    for answer, words in (
        (sum(name.split()[-1].lower() in note.lower() for name, _, note in pairs), "before masking"),
        (sum(name in text for name, text, _ in pairs), "whole names"),
        (sum(name.split()[-1] in text for name, text, _ in pairs), "without regard to capitals"),
        (right / len(people), "give how many"),
        (0, "the last word of `name`"),
    ):
        assert words in reply("02b.4", answer)


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [
        ("02b.2", GROUPS | {"labs": ["crea", "sod", "race"], "groups": ["sex"]}, "The analyst would read 'race'"),
        ("02b.2", GROUPS | {"names": ["name"], "footer": ["phone"]}, "would read 'phone' with the keys footer and"),
        ("02b.2", GROUPS | {"names": ["name"]}, "'phone' is in no group"),
        ("02b.2", GROUPS | {"groups": ["race", "sex", "crea"]}, "'crea' stands in two groups"),
        ("02b.2", GROUPS | {"labs": ["crea"], "groups": ["race", "sex", "sod"]}, "could not read 'sod'"),
        ("02b.2", GROUPS | {"fairness": ["race", "sex"]}, "No role holds a key named 'fairness'"),
        ("02b.2", GROUPS | {"groups": ["race", "sex", "age"]}, "'age' is no column"),
        ("02b.2", GROUPS | {"groups": "race"}, "are no list"),
        ("02b.2", ["names"], "give a dict"),
        ("02b.3", 365, "without any keys of their own"),
        ("02b.3", 0, "last night's backup of that store"),
        ("02b.3", 395, "at the same time"),
        ("02b.3", 335, "Nothing has to be subtracted"),
        ("02b.3", 7, "Until when is there a copy of both"),
        ("02b.5", "vault", "its keys are 'agree', 'strike out'"),
        ("02b.5", WAYS | {"agree": "a hash"}, "the choices are 'vault', 'hmac'"),
        ("02b.5", WAYS | {"agree": "vault"}, "other tokens for one person"),
        ("02b.5", WAYS | {"strike out": "HMAC"}, "strikes nobody out"),
        ("02b.5", WAYS | {"stolen key": "HMAC"}, "all identifiers are tried"),
        ("02b.5", WAYS | {"no file": "vault"}, "who loses it loses"),
        ("02b.5", dict.fromkeys(WAYS, "HMAC"), "And 2 more"),
        ("02b.5", WAYS | {"reasons": "HMAC"}, "keep a log"),
    ],
)
def test_a_wrong_answer_gets_its_own_sentence(name: str, answer: object, words: str) -> None:
    assert words in reply(name, answer)
