"""The explorer of chapter 03b: it shows what the functions give, says the promise, and can be read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from readable import assert_readable

from ppml_helpers import cohort
from ppml_helpers.errors import ExplorerError
from ppml_helpers.synthetic_tables import SyntheticExplorer, measure, public_domain, train_and_test
from ppml_helpers.synthetic_tables.domain import ORDER


@pytest.fixture(scope="module")
def explorer() -> SyntheticExplorer:
    patients = cohort.load_patients()
    order = np.random.default_rng(0).permutation(len(patients))
    return SyntheticExplorer(patients.iloc[order[:3000]], patients.iloc[order[3000:4500]])


@pytest.mark.parametrize(("epsilon", "columns", "rows"), [(1.0, 12, 7_000), (0.1, 2, 500), (10.0, 26, 2_000)])
def test_it_shows_what_the_functions_give_and_can_be_read(
    explorer: SyntheticExplorer, epsilon: float, columns: int, rows: int
) -> None:
    explorer.set(epsilon=epsilon, columns=columns, rows=rows)
    result = explorer.result
    by_hand = measure(explorer._train, public_domain(ORDER[:columns]), epsilon, seed=0).sample(0, rows)
    assert result.table.equals(by_hand)
    assert result.use == train_and_test(by_hand, explorer._test)
    assert result.model.epsilon <= epsilon
    assert f"epsilon {epsilon:.2g} for {columns} columns and {rows:,} rows" in explorer.sentence
    assert f"AUC {result.use.auc:.2f} on real patients" in explorer.sentence
    assert_readable(explorer)


def test_more_rows_are_made_without_asking_the_patients_again(explorer: SyntheticExplorer) -> None:
    explorer.set(epsilon=1.0, columns=4, rows=500)
    few = explorer.result.model
    explorer.set(rows=20_000)
    many = explorer.result.model
    assert few.ledger.entries == many.ledger.entries
    assert all((few.noisy[at] == many.noisy[at]).all() for at in few.noisy)


def test_what_cannot_be_explored_is_refused(explorer: SyntheticExplorer) -> None:
    with pytest.raises(ExplorerError, match="train lacks the column 'dzgroup'"):
        SyntheticExplorer(pd.DataFrame({"age": [1]}), explorer._test)
    with pytest.raises(ExplorerError, match="the rows of test"):
        SyntheticExplorer(explorer._train, explorer._test.head(9))
