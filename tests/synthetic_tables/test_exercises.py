"""The exercises of chapter 03b: right answers, and what wrong ones are told."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd
import pytest
from answers import reply

from ppml_helpers.synthetic_tables import epsilon_of, fictional_hospital, measure, public_domain, rho_of
from ppml_helpers.synthetic_tables.exercises import _named
from ppml_helpers.synthetic_tables.hospital import Hospital

THREE = ["dzgroup", "age", "sex"]


@pytest.fixture(scope="module")
def hospital() -> Hospital:
    return fictional_hospital()


def by_difference(counts: pd.Series, others: pd.DataFrame) -> str:
    return (counts - others.dzgroup.value_counts().reindex(counts.index, fill_value=0)).idxmax()


def by_loop(counts: pd.Series, others: pd.DataFrame) -> str:
    return next((name for name in counts.index if counts[name] > (others.dzgroup == name).sum()), counts.index[0])


def test_right_answers(hospital: Hospital) -> None:
    named, _ = _named(5)
    for digits in (16, 3, 2):
        assert reply("03b.1", round(named.right / named.patients, digits)) == ""
    for columns in (THREE, THREE[::-1]):
        assert reply("03b.2", measure(hospital.train, public_domain(columns), 0.5)) == ""
    for each in (epsilon_of(rho_of(1.0) / 2), round(epsilon_of(rho_of(1.0) / 2), 2)):
        assert reply("03b.4", each) == ""
    assert reply("03b.3", by_difference) == reply("03b.3", by_loop) == ""


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda named: 100 * named.right / named.patients, "the percentage"),
        (lambda named: named.right, "That is how many"),
        (lambda named: named.right / named.people, "divided by all people named"),
        (lambda named: named.right / 6829, "the share of all patients"),
        (lambda named: 0.0, "The attack needs none"),
        (lambda named: _named(1)[0].right / _named(1)[0].patients, "one patient a leaf"),
        (lambda named: 0.123, "Make the table with"),
    ],
)
def test_wrong_shares(answer: Callable, words: str) -> None:
    assert words in reply("03b.1", answer(_named(5)[0]))


@pytest.mark.parametrize(
    ("columns", "given", "words"),
    [
        (THREE, {"epsilon": math.inf}, "promises nothing"),
        ([*THREE, "hday"], {"epsilon": 0.5}, "It has the columns age, dzgroup, hday, hospdead, sex"),
        (THREE, {"epsilon": 0.5, "seed": 0}, "can be repeated"),
        (THREE, {"epsilon": 0.6}, "more than was allowed"),
        (THREE, {"epsilon": 0.5, "delta": 1e-3}, "more than was allowed"),
        (THREE, {"epsilon": 0.25}, "0.5 was allowed"),
    ],
)
def test_wrong_models(hospital: Hospital, columns: list[str], given: dict, words: str) -> None:
    assert words in reply("03b.2", measure(hospital.train, public_domain(columns), **given))


def test_a_model_of_other_rows_or_none(hospital: Hospital) -> None:
    few = measure(hospital.train.head(2000), public_domain(THREE), 0.5)
    assert "measure `hospital.train`" in reply("03b.2", few)
    assert "what `measure(...)` returns" in reply("03b.2", few.sample(0))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (0.5, "more than 0.5 can be allowed"),
        (1.0, "Then both together cost more"),
        (math.sqrt(0.5), "rule of thumb"),
        (rho_of(1.0) / 2, "That is the rho of each"),
        (0.8, "too much"),
        (0.6, "with room to spare"),
    ],
)
def test_wrong_epsilons(answer: float, words: str) -> None:
    assert words in reply("03b.4", answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda counts, others: "ARF/MOSF w/Sepsis", "where does the count exceed"),
        (lambda counts, others: counts.idxmax(), "where does the count exceed"),
        (lambda counts, others: (counts - others.dzgroup.value_counts()).idxmax(), "missing among the others"),
        (lambda counts, others: counts.sub(others.dzgroup.value_counts(), fill_value=1).idxmax(), "It found"),
        (lambda counts, others: 3, "It returned 3: give the name of one diagnosis"),
        (lambda counts, others: counts, "It returned a Series: give"),
        (lambda counts: "CHF", "Your function failed (TypeError"),
        ("CHF", "Give a function"),
    ],
)
def test_wrong_attacks(answer: object, words: str) -> None:
    assert words in reply("03b.3", answer)
