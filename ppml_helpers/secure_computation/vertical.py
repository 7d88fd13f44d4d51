"""Two hospitals that hold different columns of the same patients, and what fixed-point numbers can hold of them.

North knows who the patients are, their diagnoses, and who died in hospital. South, an intensive care unit, measured
their coma score, blood and vital signs. Both are simulated: they are the two halves of one table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from ppml_helpers import checks, cohort
from ppml_helpers.errors import ComputationError

_SOUTH = ("scoma", "hday")  # and all from this column on:
_FIRST_MEASURED = "meanbp low"

LARGEST = 30.0
"""Largest value that is let into a computation.

CrypTen keeps a number as a whole multiple of 2^-16 in 64 bits, and a product as one of 2^-32. Two parties cut a product
back each on its own share. That goes wrong, without any error, with a chance of |product| / 2^32: at 30 times 30 twice
in ten million, at 1,000 times 1,000 in one of 4,000, and always beyond 2^31.
"""


class Vertical(NamedTuple):
    """Train and test patients of two hospitals in the same order, and who died in hospital (North's)."""

    north: pd.DataFrame
    south: pd.DataFrame
    north_test: pd.DataFrame
    south_test: pd.DataFrame
    died: pd.Series
    died_test: pd.Series


def two_hospitals(split: cohort.Split) -> Vertical:
    """Cut a split of the patients into the columns of North and of South."""
    columns = list(split.X_train.columns)
    south = [*_SOUTH, *columns[columns.index(_FIRST_MEASURED) :]]
    north = [column for column in columns if column not in south]
    tables = [table[part] for table in (split.X_train, split.X_test) for part in (north, south)]
    return Vertical(*tables, split.y_train, split.y_test)


def plain_twin(X: torch.Tensor, died: torch.Tensor, batches: Sequence[torch.Tensor]) -> torch.Tensor:
    """Take the same steps of gradient descent as the chapter does on shares, on one table: what secrecy costs.

    Parameters
    ----------
    X : torch.Tensor
        Shape (patients, columns), the ones for the intercept among them.
    died : torch.Tensor
        0 or 1, shape (patients,).
    batches : sequence of tensors
        The rows of each step.

    Returns
    -------
    torch.Tensor
        The weights, shape (columns,).
    """
    model = torch.nn.Linear(X.shape[1], 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.8, momentum=0.9)
    for rows in batches:
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(X[rows])[:, 0], died[rows])
        loss.backward()
        optimizer.step()
    return model.weight[0].detach()


def secret(
    values: Any, name: str, *, columns: Sequence[str] | None = None, patients: int | None = None
) -> torch.Tensor:
    """Return a hospital's values as the tensor that enters a computation, or refuse what would come out wrong.

    Neither hospital can look at the other's table, so nothing can be compared there: each checks its own against what
    both agreed on.

    Parameters
    ----------
    values : DataFrame, Series or array
        Numbers; NaN is none, and none may exceed `LARGEST` in size.
    name : str
        What to call the table in a message.
    columns : sequence of str, optional
        The columns that were agreed, in that order.
    patients : int, optional
        How many patients were agreed.

    Returns
    -------
    torch.Tensor
        Of float32, in the shape of the values.

    Raises
    ------
    ComputationError
        For another number of patients, other columns or another order of them, text, NaN, and what is too large.
    """
    if columns is not None:
        given = list(checks.table(values, name, columns, error=ComputationError).columns)
        if given != list(columns):
            at = next(i for i, name_of_it in enumerate(given) if [*columns[i : i + 1]] != [name_of_it])
            agreed = repr(columns[at]) if at < len(columns) else "none"
            raise ComputationError(
                f"Column {at + 1} of {name} is {given[at]!r}, {agreed} was agreed, and the other hospital cannot see "
                "that: choose the agreed columns, in their order."
            )
    try:
        array = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError):
        raise ComputationError(f"{name} holds what is no number: turn every column into numbers.") from None
    if patients is not None and len(array) != patients:
        raise ComputationError(
            f"{name} has {len(array):,} patients, {patients:,} were agreed: link the patients first, in one order."
        )
    if not np.isfinite(array).all():
        where = int(np.argwhere(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))[0, 0])
        raise ComputationError(f"Row {where} of {name} holds a missing or infinite value: fill it in before sharing.")
    if array.size and np.abs(array).max() > LARGEST:
        raise ComputationError(
            f"{name} holds {np.abs(array).max():,.6g}, at most {LARGEST:,.0f} is let in: products of larger values "
            "leave the fixed point's range without an error. Scale the column by public bounds."
        )
    return torch.from_numpy(np.ascontiguousarray(array))
