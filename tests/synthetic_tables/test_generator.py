"""The generator: its tree, its promise by the audit of chapter 06, and its use on real patients."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest

from ppml_helpers import cohort
from ppml_helpers.attack_and_audit import epsilon_lower_bound
from ppml_helpers.errors import PrivacyParameterError
from ppml_helpers.synthetic_tables import Axis, Domain, Ledger, Model, ledger, measure, public_domain, train_and_test
from ppml_helpers.synthetic_tables.ledger import discrete_gaussian

CANARIES, PROMISE = 120, 2.0
LABEL = Axis("hospdead", ("0", "1"), (-0.5, 0.5, 1.5), whole=True)
CODED = Domain((Axis("code", tuple(map(str, range(CANARIES + 1)))), Axis("sex", ("female", "male")), LABEL))


def made_up(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """Two columns that go together, two that do not, and a label that depends on the first."""
    rng = np.random.default_rng(seed)
    sick = rng.random(rows) < 0.3
    coma = np.where(sick, rng.choice([0.0, 50], rows), 0.0)
    return pd.DataFrame(
        {
            "sex": rng.choice(["female", "male"], rows),
            "scoma": coma,
            "hrt": np.where(coma > 0, 150, 60) + rng.integers(-15, 15, rows),
            "diabetes": rng.integers(0, 2, rows),
            "hospdead": (rng.random(rows) < np.where(sick, 0.6, 0.2)).astype(int),
        }
    )


def test_the_first_pair_is_the_one_that_goes_together_and_the_tree_has_no_circle() -> None:
    domain = public_domain(["sex", "scoma", "hrt", "diabetes"])
    for epsilon in (float("inf"), 3.0):
        model = measure(made_up(), domain, epsilon, seed=0)
        assert model.tree[0] == ("scoma", "hrt")
        assert len(model.tree) == 3
        assert {name for edge in model.tree for name in edge} == set(domain.names[:-1])


def test_without_noise_the_rows_have_the_tables_of_the_patients() -> None:
    table = made_up()
    domain = public_domain(["sex", "scoma", "hrt", "diabetes"])
    model = measure(table, domain, float("inf"))
    assert (model.rows, model.epsilon) == (len(table), float("inf"))
    drawn = domain.encode(model.sample(seed=1, rows=60_000))
    true = domain.encode(table)
    for pair in (*model.pairs, (0, 4), (2, 4)):
        cells = [np.ravel_multi_index(codes[:, pair].T, [domain.sizes[end] for end in pair]) for codes in (drawn, true)]
        frequencies = [np.bincount(each, minlength=100) / len(each) for each in cells]
        assert np.abs(frequencies[0] - frequencies[1]).max() < 0.01


def test_one_row_moves_a_score_by_at_most_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The price of a choice rests on it, and OpenDP takes our word for it."""
    domain, moves = public_domain(["sex", "scoma", "diabetes"]), set()

    def choose(book: Ledger, scores: Callable, candidates: int, rho: float, what: str) -> int:
        before = np.array(scores(book._codes))
        for row in np.ndindex(domain.sizes):
            moves.update(np.array(scores(np.vstack([book._codes, row]))) - before)
        return int(before.argmax())

    monkeypatch.setattr(Ledger, "choose", choose)
    measure(made_up(50), domain, 1.0, seed=0)
    assert moves == {-1, 1}


def test_the_same_seed_gives_the_same_rows_and_opendp_never() -> None:
    domain = public_domain(["scoma", "hrt"])
    one, same, other = (measure(made_up(), domain, 1.0, seed=seed) for seed in (0, 0, None))
    assert one.sample(0).equals(same.sample(0))
    assert not all((one.noisy[at] == other.noisy[at]).all() for at in one.noisy)
    assert len(one.sample(0, rows=7)) == 7


@pytest.mark.parametrize("seed", [0, None])
def test_the_promise_is_the_sum_of_the_ledger(seed: int | None) -> None:
    model = measure(made_up(), public_domain(["sex", "scoma", "hrt"]), 1.0, 1e-5, seed)
    assert [entry.kind for entry in model.ledger.entries] == ["count"] * 3 + ["choice"] * 2 + ["count"] * 2
    assert 0.9999 < model.epsilon <= 1.0
    assert len(model.noisy) == 5  # what is counted is published, and nothing else


def test_a_published_model_carries_no_patient() -> None:
    domain = public_domain(["sex", "scoma"])
    few, many = (len(pickle.dumps(measure(made_up(rows), domain, 1.0))) for rows in (400, 20_000))
    assert many < few + 200


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (1.2, -0.1, -0.1)])
def test_shares_that_do_not_share_are_refused(shares: tuple[float, float, float]) -> None:
    with pytest.raises(PrivacyParameterError, match="share"):
        measure(made_up(), public_domain(["sex"]), 1.0, seed=0, shares=shares)


# The audit: canaries with a code of their own, in or out by coin --------------------------------------------------


def audited(epsilon: float, seed: int) -> tuple[Model, pd.DataFrame, np.ndarray]:
    """Return what was published, the canaries, and how the coins fell."""
    rng = np.random.default_rng(seed)
    canaries = pd.DataFrame(
        {
            "code": [str(k) for k in range(CANARIES)],
            "sex": rng.choice(["female", "male"], CANARIES),
            "hospdead": rng.integers(0, 2, CANARIES),
        }
    )
    patients = made_up(300, seed)[["sex", "hospdead"]].assign(code=str(CANARIES))
    included = rng.random(CANARIES) < 0.5
    return measure(pd.concat([patients, canaries[included]]), CODED, epsilon, seed=seed), canaries, included


def from_tables(model: Model, canaries: pd.DataFrame) -> np.ndarray:
    """The strongest view: the noisy counts of each canary's own cells, weighted as their noise deserves."""
    codes = CODED.encode(canaries)
    price = {entry.cells: entry.rho for entry in model.ledger.entries if entry.kind == "count"}
    return sum(price[table.size] * table[tuple(codes[:, at].T)] for at, table in model.noisy.items() if 0 in at)


def from_rows(model: Model, canaries: pd.DataFrame) -> np.ndarray:
    """The ordinary view: how many of ten synthetic tables' rows are the canary."""
    drawn = pd.concat([model.sample(seed) for seed in range(10)])
    return canaries.merge(drawn.value_counts().rename("rows").reset_index(), how="left").rows.fillna(0).to_numpy()


def bounds(view: Callable[[Model, pd.DataFrame], np.ndarray], seeds: range) -> Iterator[float]:
    for seed in seeds:
        model, canaries, included = audited(PROMISE, seed)
        yield epsilon_lower_bound(view(model, canaries), included, 1e-5).epsilon_lower


@pytest.mark.parametrize("view", [from_tables, from_rows])
def test_the_audit_never_refutes_the_promise(view: Callable[[Model, pd.DataFrame], np.ndarray]) -> None:
    assert max(bounds(view, range(40))) <= PROMISE


def test_the_audit_catches_a_tenth_of_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "discrete_gaussian", lambda scale, size, rng: discrete_gaussian(scale / 10, size, rng))
    assert min(bounds(from_tables, range(5))) > PROMISE


# What it is good for ----------------------------------------------------------------------------------------------


def test_trained_on_synthetic_rows_at_epsilon_1_a_model_serves_real_patients() -> None:
    patients = cohort.load_patients()
    parts = cohort.split(*cohort.features(patients), seed=0)
    train, test = patients.loc[parts.X_train.index], patients.loc[parts.X_test.index]
    aucs = [train_and_test(measure(train, public_domain(), 1.0, seed=k).sample(k), test).auc for k in range(5)]
    assert np.mean(aucs) > 0.77
    assert min(aucs) > 0.72
