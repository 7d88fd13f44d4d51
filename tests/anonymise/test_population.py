"""`population`: uniqueness estimated from a sample, where the population and so the truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ppml_helpers.anonymise import uniqueness
from ppml_helpers.errors import AnonymityError
from ppml_helpers.people.identities import Register

QI = ["age", "sex", "postcode"]


def truth(population: pd.DataFrame, sample: np.ndarray, qi: list[str]) -> tuple[float, float, float]:
    """What `uniqueness` estimates, counted in the population."""
    everybody = population.groupby(qi)[qi[0]].transform("size").to_numpy()[sample]
    alone = ~population.iloc[sample].duplicated(qi, keep=False).to_numpy()
    return alone.mean(), (alone & (everybody == 1)).mean(), alone.sum() / everybody[alone].sum()


@pytest.mark.parametrize("sampled", [0.1, 0.3, 1.0])
def test_of_a_random_sample_of_the_register_it_tells_the_truth(register: Register, sampled: float) -> None:
    people = register.table
    rows = round(sampled * len(people))
    estimates, truths = [], []
    for seed in range(5):
        sample = np.random.default_rng(seed).permutation(len(people))[:rows]
        estimates.append(uniqueness(people.iloc[sample], QI, sampled))
        truths.append(truth(people, sample, QI))
    assert np.allclose(np.mean(estimates, axis=0), np.mean(truths, axis=0), rtol=0.06)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 5.0])
def test_of_a_poisson_gamma_population_it_tells_the_truth(alpha: float) -> None:
    """The model that it assumes: cells whose sizes are gamma, here of very different and of nearly equal size."""
    rng = np.random.default_rng(0)
    population = pd.DataFrame({"cell": np.repeat(np.arange(40_000), rng.poisson(rng.gamma(alpha, 3 / alpha, 40_000)))})
    sample = np.flatnonzero(rng.random(len(population)) < 0.2)
    estimate = uniqueness(population.iloc[sample], ["cell"], 0.2)
    assert np.allclose(estimate, truth(population, sample, ["cell"]), rtol=0.1)


def test_by_hand() -> None:
    table = pd.DataFrame({"cell": [1, 2, 3, 4, 5, 5]})  # four alone, one pair
    assert uniqueness(table, ["cell"], 0.5) == (4 / 6, 4 / 6 * np.exp(-0.5), 1 / 1.5)
    assert uniqueness(table, ["cell"], 1) == (4 / 6, 4 / 6, 1)
    assert uniqueness(table.iloc[4:], ["cell"], 0.5) == (0, 0, 0)


@pytest.mark.parametrize("sampled", [0, 1.01, True, float("nan")])
def test_a_share_out_of_range_is_refused(sampled: float) -> None:
    with pytest.raises(AnonymityError, match=r"sampled = .* above 0 and of at most 1: rows / population"):
        uniqueness(pd.DataFrame({"cell": [1]}), ["cell"], sampled)
