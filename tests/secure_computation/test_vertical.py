"""Two hospitals' columns, the checks each makes alone, and what fixed point does to what is too large."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from ppml_helpers import cohort
from ppml_helpers.errors import ComputationError
from ppml_helpers.secure_computation import load_crypten, run_parties, secret, two_hospitals
from ppml_helpers.secure_computation.vertical import LARGEST, Vertical

crypten = load_crypten()


@pytest.fixture(scope="module")
def hospitals() -> Vertical:
    return two_hospitals(cohort.split(*cohort.features(cohort.load_patients()), seed=0))


def test_each_column_is_at_one_hospital_and_the_patients_are_the_same(hospitals: Vertical) -> None:
    columns = [*hospitals.north.columns, *hospitals.south.columns]
    assert sorted(columns) == sorted(cohort.features(cohort.load_patients())[0].columns)
    assert (hospitals.north.index == hospitals.south.index).all()
    assert (hospitals.north_test.index == hospitals.died_test.index).all()


def scored(values: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    scores = crypten.cryptensor(values, src=1).matmul(crypten.cryptensor(weights, src=0))
    return scores.get_plain_text(), scores.sigmoid().get_plain_text()


def test_all_test_patients_get_their_scores_and_risks(hospitals: Vertical) -> None:
    tables = [pd.concat(pair, axis=1).assign(one=1.0) for pair in (hospitals[:2], hospitals[2:4])]
    model = LogisticRegression(max_iter=1000, fit_intercept=False, C=10).fit(tables[0], hospitals.died)
    values, weights = secret(tables[1], "both"), torch.tensor(model.coef_[0], dtype=torch.float32)
    inputs = [(torch.zeros_like(values), weights), (values, torch.zeros_like(weights))]
    scores, risks = run_parties(scored, inputs)[0].result
    true = values @ weights
    assert (scores - true).abs().max() < 1e-3
    assert (risks - true.sigmoid()).abs().max() < 5e-3
    # The class is read from the score: the risk is an approximation, right to 5e-3 on either side of a half.
    assert ((scores > 0) != (true > 0)).double().mean() <= 0.002


async def scored_by_mpyc(mpc, values: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    number = mpc.SecFxp(48, 20)
    x = mpc.input(number.array(values, integral=False), senders=1)
    w = mpc.input(number.array(weights, integral=False), senders=0)
    scores = await mpc.output(x @ w, receivers=1)
    return None if mpc.pid != 1 else np.asarray(scores, dtype=float)


def test_mpyc_scores_all_test_patients(hospitals: Vertical) -> None:
    values = pd.concat(hospitals[2:4], axis=1).to_numpy(float)
    weights = np.random.default_rng(0).normal(scale=0.5, size=values.shape[1])
    nobody, nothing = np.zeros_like(values), np.zeros_like(weights)
    inputs = [(nobody, weights), (values, nothing), (nobody, nothing)]
    scores = run_parties(scored_by_mpyc, inputs, library="mpyc")[1].result
    assert scores.shape == (2_276,)
    assert np.abs(scores - values @ weights).max() < 1e-4


def product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return (crypten.cryptensor(left, src=0) * crypten.cryptensor(right, src=1)).get_plain_text()


def test_what_is_let_in_comes_out_right_and_beyond_it_goes_wrong_in_silence() -> None:
    inside, beyond = torch.full((100,), LARGEST), torch.full((100,), 2.0**17)
    for values, right in ((inside, True), (beyond, False)):
        found = run_parties(product, [(values, values), (values, values)])[0].result
        assert bool((found / values**2 - 1).abs().max() < 1e-3) == right


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.iloc[:-1], "has 3 patients, 4 were agreed"),
        (lambda t: t[["sod", "crea"]], "Column 1 of south is 'sod', 'crea' was agreed"),
        (lambda t: t.assign(extra=1.0), "Column 3 of south is 'extra', none was agreed"),
        (lambda t: t.drop(columns="sod"), "lacks the column 'sod'"),
        (lambda t: t.assign(crea=[1, np.nan, 2, 3]), "Row 1 of south holds a missing"),
        (lambda t: t.assign(crea=[1, 2, np.inf, 3]), "Row 2 of south holds a missing"),
        (lambda t: t.assign(crea=[1, 2, 3, 30.5]), "holds 30.5, at most 30"),
        (lambda t: t.assign(crea=list("abcd")), "holds what is no number"),
    ],
)
def test_a_table_that_would_come_out_wrong_is_refused(change, words: str) -> None:
    table = pd.DataFrame({"crea": [1.0, 2, 3, 4], "sod": [14.0, 14.1, 14.2, 14.3]})
    assert secret(table, "south", columns=["crea", "sod"], patients=4).shape == (4, 2)
    with pytest.raises(ComputationError, match=words):
        secret(change(table), "south", columns=["crea", "sod"], patients=4)
