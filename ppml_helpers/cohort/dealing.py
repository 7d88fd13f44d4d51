"""Deal the patients out: to a training and a test part, and to simulated hospitals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from ppml_helpers import checks
from ppml_helpers.cohort.table import as_numbers, as_objects, refuse_values
from ppml_helpers.errors import DataError, TrainingDataError

SMALLEST_HOSPITAL = 20  # patients on average: fewer teach a model nothing and make any figure identifying


class Split(NamedTuple):
    """Patients to train on and patients to test on, no patient in both."""

    X_train: pd.DataFrame
    X_test: pd.DataFrame
    y_train: pd.Series
    y_test: pd.Series


def split(X: pd.DataFrame, y: pd.Series, seed: int, test_share: float = 0.25) -> Split:
    """Split patients at random into a training and a test part with the same share of deaths.

    Parameters
    ----------
    X : DataFrame of float
        Features, one row a patient (an array will do).
    y : Series of int
        Labels 0 or 1, one a row of X.
    seed : int
        The same seed gives the same split.
    test_share : float
        Share of each label's patients that go to the test part, between 0 and 1.

    Returns
    -------
    Split
        (X_train, X_test, y_train, y_test), rows in random order, indices kept.

    Raises
    ------
    TrainingDataError
        If X holds a value that is no finite number, labels are not 0/1 or all equal, X and y do not belong
        together, either label has fewer than two patients, or `seed` or `test_share` is out of range.
    """
    rng = np.random.default_rng(checks.whole(seed, "seed", 0, error=TrainingDataError))
    X, y = _checked_training_data(X, y)
    test_share = checks.number(
        test_share, "test_share", 0, 1, above=True, below=True, error=TrainingDataError, mend="try the usual 0.25"
    )
    train, test = [], []
    for label in (0, 1):
        rows = rng.permutation(np.flatnonzero(y.to_numpy() == label))
        size = min(max(round(test_share * len(rows)), 1), len(rows) - 1)
        test.append(rows[:size])
        train.append(rows[size:])
    train, test = rng.permutation(np.concatenate(train)), rng.permutation(np.concatenate(test))
    return Split(X.iloc[train], X.iloc[test], y.iloc[train], y.iloc[test])


def _checked_training_data(X: pd.DataFrame, y: pd.Series) -> tuple[pd.DataFrame, pd.Series]:
    for name, given, most in (("X", X, 2), ("y", y, 1)):
        if np.ndim(given) not in (1, most):
            raise TrainingDataError(
                f"{name} has {np.ndim(given)} dimensions, it must have {most}: pass the pair that `features` returned, "
                f"of a table the one column."
            )
    X = X if isinstance(X, pd.DataFrame) else pd.DataFrame(X)
    y = y if isinstance(y, pd.Series) else pd.Series(np.asarray(y), index=X.index if len(X) == len(y) else None)
    if len(X) != len(y) or not X.index.equals(y.index):
        raise TrainingDataError(
            f"X has {len(X)} rows and y has {len(y)}, and their indices must be the same: "
            f"pass the pair that `features` returned."
        )
    for column, name in enumerate(X.columns):
        wrong = ~np.isfinite(as_numbers(X.iloc[:, column]))
        if wrong.any():
            raise TrainingDataError(
                f"X holds {X.iloc[:, column][wrong].iloc[0]!s} in column {name!r}, every feature must be a finite "
                f"number: fill or drop it before you split."
            )
    labels = as_numbers(y)
    odd = ~np.isin(labels, (0, 1))
    if odd.any():
        raise TrainingDataError(f"y holds the label {y[odd].iloc[0]!s}, labels must be 0 or 1: recode them.")
    deaths = int(labels.sum())
    if min(deaths, len(y) - deaths) < 2:
        raise TrainingDataError(
            f"y has {len(y) - deaths} patients with label 0 and {deaths} with label 1, both need at least two "
            f"(one to train, one to test): take more patients."
        )
    return X, y


def hospitals(patients: pd.DataFrame, n: int, seed: int, skew: float, by: str = "dzgroup") -> dict[str, pd.DataFrame]:
    """Deal the patients to simulated hospitals that specialise more or less.

    SUPPORT2 comes from five real centres but does not say which patient was where, so these hospitals are made
    up. Every diagnosis gets a home: one hospital, or several if there are more hospitals than diagnoses. The
    share `skew` of its patients go home, the others are spread evenly. Large diagnoses get their home first and
    small ones fill up, so that hospitals stay as equal in size as their diagnoses allow. (The federated-learning
    literature often draws shares from a Dirichlet distribution instead; there a hospital can come out empty and
    the same knob gives a different mix for each seed.)

    Parameters
    ----------
    patients : DataFrame
        One row a patient.
    n : int
        Number of hospitals, at least 2, with at least 20 patients a hospital on average.
    seed : int
        Decides which patient goes where, and which hospital is home to which diagnosis.
    skew : float
        0: every hospital has the same mix of diagnoses. 1: no patient outside the home of their diagnosis.
    by : str
        Column that holds the diagnosis.

    Returns
    -------
    dict of str to DataFrame
        "Hospital A (simulated)", ... and its patients, in the table's order; every patient is in exactly one.
        Each table's ``attrs["simulated"]`` says in a sentence that the hospital is not real.

    Raises
    ------
    DataError
        If n, seed or skew is out of range, or a patient has no diagnosis.
    """
    n = checks.whole(n, "n", 2, error=DataError)
    rng = np.random.default_rng(checks.whole(seed, "seed", 0, error=DataError))
    skew = checks.share(skew, "skew", error=DataError, mend="0 is the same mix everywhere, 1 a home a diagnosis")
    checks.table(patients, "patients", [by], error=DataError, mend="load them first")
    refuse_values(patients[by], patients[by].isna().to_numpy(), "every patient needs one to be dealt by")
    if len(patients) < n * SMALLEST_HOSPITAL:
        raise DataError(
            f"n = {n} hospitals for {len(patients)} patients leaves fewer than {SMALLEST_HOSPITAL} each: "
            f"take at most {len(patients) // SMALLEST_HOSPITAL} hospitals or more patients."
        )
    where = _deal(np.array([str(diagnosis) for diagnosis in as_objects(patients[by])]), n, rng, skew)
    note = (
        f"This hospital is simulated: {n} hospitals were made by dealing the patients by {by} "
        f"(seed {seed}, skew {skew:g}); the real centres are not in the data."
    )
    dealt = {}
    for hospital in range(n):
        table = patients.iloc[np.flatnonzero(where == hospital)].copy()
        table.attrs["simulated"] = note
        dealt[f"Hospital {_letters(hospital)} (simulated)"] = table
    return dealt


def _deal(diagnoses: np.ndarray, n: int, rng: np.random.Generator, skew: float) -> np.ndarray:
    """Return each patient's hospital, 0 to n-1."""
    names, sizes = np.unique(diagnoses, return_counts=True)
    homes = _homes(sizes, n)
    label = rng.permutation(n)
    where = np.empty(len(diagnoses), dtype=np.int64)
    guests = []
    for name, size, home in zip(names, sizes, homes, strict=True):
        members = rng.permutation(np.flatnonzero(diagnoses == name))
        at_home = round(skew * size)
        where[members[:at_home]] = np.resize(home, at_home)
        guests.append(members[at_home:])
    # One round for all diagnoses, so that left-overs of small groups do not pile up in the first hospital.
    guests = np.concatenate(guests)
    where[guests] = np.resize(np.arange(n), len(guests))
    return label[where]


def _homes(sizes: np.ndarray, n: int) -> list[list[int]]:
    """Give each diagnosis its home hospitals: as equal in size as whole homes allow, none without patients."""
    homes: list[list[int]] = [[] for _ in sizes]
    largest_first = np.argsort(-sizes, kind="stable")
    if n <= len(sizes):
        load = np.zeros(n)
        for group in largest_first:
            hospital = int(load.argmin())
            homes[group].append(hospital)
            load[hospital] += sizes[group]
        return homes
    for hospital in range(n):
        # The first ones go round, so that no diagnosis stays homeless; then to the most crowded homes.
        crowd = sizes / np.array([len(home) or 1 for home in homes])
        group = largest_first[hospital] if hospital < len(sizes) else int(crowd.argmax())
        homes[group].append(hospital)
    return homes


def _letters(number: int) -> str:
    """Return A, B, ..., Z, AA, AB, ... for 0, 1, ...."""
    head, tail = divmod(number, 26)
    return (_letters(head - 1) if head else "") + chr(ord("A") + tail)
