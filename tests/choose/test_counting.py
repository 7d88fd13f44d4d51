"""Who stands alone: against a loop over rows, and bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ppml_helpers.choose.counting import alone
from ppml_helpers.errors import DataError


def made_up(rows: int = 60, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {"age": rng.uniform(20, 40, rows), "sex": rng.choice(["f", "m"], rows), "dzgroup": rng.choice(["a", "b"], rows)}
    )


@pytest.mark.parametrize("years", [1, 7, 100])
def test_it_is_what_a_loop_over_rows_counts(years: int) -> None:
    table = made_up()
    rows = [(age // years, sex, group) for age, sex, group in table.itertuples(index=False)]
    assert alone(table, years) == sum(rows.count(row) == 1 for row in rows) / len(rows)


@pytest.mark.parametrize("years", [0, 101, 2.5, True, "5"])
def test_a_width_out_of_range_is_named(years: object) -> None:
    with pytest.raises(DataError, match=f"years = {years!r}"):
        alone(made_up(), years)
