"""`kit.py assess` on tables of people who do not exist, against fitting two ordinary models to them once.

Ours is the whole road: the table is read from a file, everybody who stands alone is counted, a release, statistics and
eight models are made and attacked, a curve over epsilon is drawn, and the report is written. The floor is what anybody
does first: the same file read by pandas, and scikit-learn's forest and logistic regression fitted once to as many
people as ours trains on. Both sides train on at most 10,000 people, however long the table is.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from _frame import Benchmark, BenchmarkError
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from ppml_helpers.choose import assess
from ppml_helpers.choose.findings import MOST_PEOPLE
from ppml_helpers.choose.proposal import READ, Roles, propose, with_target

SIZES = (1_000, 10_000, 100_000, 1_000_000)
MEASURES = [f"measure {number}" for number in range(8)]
SLOWER = 30.0  # times as long as the two fits that the whole report may take


def made_up(rows: int) -> pd.DataFrame:
    """Return a table with names, two columns that others may know, a ward, eight measures, and who died."""
    rng = np.random.default_rng(0)
    age, measures = rng.normal(60, 12, rows).clip(18, 99).round(), rng.normal(0, 1, (rows, len(MEASURES))).clip(-4, 4)
    risk = (age - 60) / 12 + measures[:, :3].sum(axis=1) + rng.normal(0, 2, rows)
    return pd.DataFrame(
        {
            "name": [f"person {number:07d}" for number in rng.permutation(rows)],
            "age": age,
            "sex": rng.choice(["f", "m"], rows),
            "ward": rng.choice(["A", "B", "C"], rows),
            **dict(zip(MEASURES, measures.round(3).T, strict=True)),
            "died": (risk > np.quantile(risk, 0.7)).astype(int),
        }
    )


def decided(table: pd.DataFrame) -> Roles:
    """Take the proposal, with bounds that are public since these people were made up within them."""
    roles = with_target(propose(table), "died")
    ends = {"age": (18.0, 99.0, 60.0), **dict.fromkeys(MEASURES, (-4.0, 4.0, 0.0))}
    columns = {}
    for name, column in roles.columns.items():
        source = "as they were made up" if column.source == READ else column.source
        low, high, fill = ends.get(name, (column.low, column.high, column.fill))
        columns[name] = replace(column, source=source, low=low, high=high, fill=fill)
    return replace(roles, columns=columns)


def assessed(path: Path) -> None:
    """Go the whole road.

    Raises
    ------
    BenchmarkError
        If no report was written.
    """
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        status = assess.main([str(path), "--roles", str(path.with_suffix(".roles.toml"))])
    if status != assess.WRITTEN:
        raise BenchmarkError(f"kit.py assess ended with {status}: {told.getvalue()[-500:]}")


def fitted_once(path: Path) -> None:
    """Read the file, and fit the two models to three quarters of at most 10,000 people."""
    table = pd.read_csv(path)
    people = table.sample(min(len(table), MOST_PEOPLE), random_state=0)
    X, y = pd.get_dummies(people.drop(columns=["name", "died"])), people["died"]
    train = len(X) * 3 // 4
    for model in (RandomForestClassifier(random_state=0), LogisticRegression(max_iter=1000)):
        model.fit(X[:train], y[:train]).predict_proba(X[train:])


def main() -> None:
    """Compare as the table grows."""
    about = "A table of one's own, from the file to the report, against two ordinary models fitted once."
    with tempfile.TemporaryDirectory(prefix="assess-") as scratch, Benchmark("assess", about) as benchmark:
        for rows in SIZES[:2] if benchmark.quick else SIZES:
            path, table = Path(scratch) / f"people-{rows}.csv", made_up(rows)
            table.to_csv(path, index=False)
            decided(table).save(path.with_suffix(".roles.toml"))
            result = benchmark.floor(
                f"{rows:,} rows, from the file to the report",
                ours=lambda path=path: assessed(path),
                peer=lambda path=path: fitted_once(path),
                repeats=1 if benchmark.quick else 3,
                unit="report",
                note=f"{table.shape[1]} columns; both train on at most {MOST_PEOPLE:,} people",
                at_most=SLOWER,
                warmup=0 if benchmark.quick else 1,
            )
            result.facts = {"file_megabytes": path.stat().st_size / 1e6}


if __name__ == "__main__":
    main()
