"""Deal the patients out: to a training and a test part, and to simulated hospitals."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd

from ppml_helpers import checks
from ppml_helpers.cohort.schema import SUPPORT2
from ppml_helpers.cohort.table import refuse_values
from ppml_helpers.columns import as_numbers, as_objects, simple
from ppml_helpers.errors import DataError, KitError, TrainingDataError

SMALLEST_HOSPITAL = 20  # patients on average: fewer teach a model nothing and make any figure identifying

_LARGEST = 1e18  # squares of hundreds of such features add up to a finite number in single precision
_UNSCALED = 10.0  # mean distance from 0; of a standardised column it is at most 1


class Split(NamedTuple):
    """Patients to train on and patients to test on, no patient in both."""

    X_train: pd.DataFrame
    X_test: pd.DataFrame
    y_train: pd.Series
    y_test: pd.Series


def split(X: pd.DataFrame, y: pd.Series, seed: int, test_share: float = 0.25) -> Split:
    """Split patients at random into a training and a test part with the same share of the label 1.

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
        together, a patient has two rows by the index, either label has fewer than two patients, or `seed` or
        `test_share` is out of range.
    """
    rng = np.random.default_rng(checks.whole(seed, "seed", 0, error=TrainingDataError))
    X, y = _checked_part(X, y, "", TrainingDataError)
    repeated = X.index[X.index.duplicated()]
    if len(repeated):
        rows, patient = (X.index == repeated[0]).sum(), checks.shown(repeated[0])
        raise TrainingDataError(
            f"X has {rows} rows of {patient} by its index, and some of one patient's rows would be tested on: keep one "
            "row a patient, or number the rows anew if they are different patients."
        )
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


def checked_split(split: Split, error: type[KitError] = TrainingDataError) -> Split:
    """Return somebody's own split in the form on which every part of the kit can train, or say what is wrong with it.

    Columns are found by their names. Values are never filled, clipped, or recoded: text, NaN, and what cannot be
    squared in the single precision of networks are refused.

    Parameters
    ----------
    split : Split
        Its parts may be arrays too, such as ``Split(*train_test_split(X, y))`` of scikit-learn.
    error : type of KitError
        What to raise.

    Returns
    -------
    Split
        Tables of float64 with the same columns in the same order, and labels of int64 with the same index.

    Warns
    -----
    UserWarning
        If a column's values are far from the range -1 to 1: clipped gradients then hardly see the other columns. If the
        index gives a training patient several rows: a promise to one row is a weaker one to that patient.

    Raises
    ------
    KitError
        Of the given class, if a part is no table, X and y do not belong together, the columns of both tables differ, a
        value is no finite number, a label is not 0 or 1 or the only one of its part, or more patients are in both
        parts than are alike by chance. In a table of few and coarse columns, where many are alike, a small share of
        patients in both parts is therefore not noticed: split by the patient, not by the row.
    """
    if not isinstance(split, Split):
        raise error(
            f"the patients were given as a {type(split).__name__}, not a Split: give cohort.split(X, y, seed=0), or "
            "Split(X_train, X_test, y_train, y_test) of your own tables."
        )
    X, y = _checked_part(split.X_train, split.y_train, "_train", error)
    X_test, y_test = _checked_part(split.X_test, split.y_test, "_test", error)
    for one, other, where in ((X, X_test, "X_test"), (X_test, X, "X_train")):
        missing = one.columns.difference(other.columns, sort=False)
        if len(missing):
            raise error(f"{where} lacks the column {missing[0]!r}: give both tables the same columns.")
    X_test = X_test[X.columns]
    _refuse_the_same_people(X, X_test, error)
    _warn_of_rows_and_scale(X)
    return Split(X, X_test, y, y_test)


def outcome_words(split: Split) -> str:
    """Return what the labels of a split say, to follow "predicts": the words of the Schema, else the label's name."""
    y = split.y_train
    name = getattr(y, "name", None)
    words = getattr(y, "attrs", {}).get("outcome") or (SUPPORT2.outcome if name == SUPPORT2.label else None)
    return words or ("the label 1" if name is None else str(name))


def _checked_part(X: pd.DataFrame, y: pd.Series, part: str, error: type[KitError]) -> tuple[pd.DataFrame, pd.Series]:
    """Return features as float64 and labels as int64, with one index."""
    X = X.toarray() if hasattr(X, "toarray") else X  # a sparse matrix
    for name, given, most in (("X", X, 2), ("y", y, 1)):
        try:
            dimensions = np.ndim(given)
        except ValueError:  # NumPy's, of nested lists
            raise error(f"{name}{part} has rows of different lengths: give each patient the same columns.") from None
        if dimensions not in (1, most):
            raise error(
                f"{name}{part} has {dimensions} dimensions, it must have {most}: pass the pair that `features` "
                f"returned, of a table the one column."
            )
    index = next((given.index for given in (X, y) if isinstance(given, pd.DataFrame | pd.Series)), None)
    X = X if isinstance(X, pd.DataFrame) else pd.DataFrame(X, index=index if len(X) == len(y) else None)
    y = y if isinstance(y, pd.Series) else pd.Series(np.asarray(y), index=X.index if len(X) == len(y) else None)
    if len(X) != len(y) or not X.index.equals(y.index):
        raise error(
            f"X{part} has {len(X)} rows and y{part} has {len(y)}, and their indices must be the same: "
            f"pass the pair that `features` returned."
        )
    if not X.shape[1]:
        raise error(f"X{part} has no column: give it at least one feature.")
    twice = X.columns[X.columns.duplicated()]
    if len(twice):
        raise error(f"X{part} has two columns named {twice[0]!r}, names must be unique: rename one.")
    X = pd.DataFrame({name: _finite(X[name], part, error) for name in X.columns}, index=X.index, columns=X.columns)
    return X, _checked_labels(y, part, error)


def _checked_labels(y: pd.Series, part: str, error: type[KitError]) -> pd.Series:
    """Return labels as int64 with what they are called."""
    labels = as_numbers(y, text=False)
    odd = ~np.isin(labels, (0, 1))
    if odd.any():
        raise error(
            f"y{part} holds the label {checks.shown(y[odd].iloc[0])}, labels must be 0 or 1: recode them, such as by "
            "y = (y == 'dead').astype(int)."
        )
    deaths = int(labels.sum())
    least = 1 if part else 2  # of the whole table: one to train, one to test
    if min(deaths, len(y) - deaths) < least:
        raise error(
            f"y{part} has {len(y) - deaths} patients with label 0 and {deaths} with label 1, both need at least "
            f"{least}: take more patients."
        )
    known = pd.Series(labels.astype(np.int64), index=y.index, name=y.name)
    known.attrs = dict(y.attrs)
    return known


def _finite(values: pd.Series, part: str, error: type[KitError]) -> np.ndarray:
    """Return a feature as floats; squares of it, too, are finite in the single precision of networks."""
    values = simple(values)
    numbers = as_numbers(values, text=False)
    wrong = ~(np.abs(numbers) <= _LARGEST)
    if wrong.any():
        odd = checks.shown(values[wrong].iloc[0])
        raise error(
            f"X{part} holds {odd} in column {values.name!r}, every feature must be a finite number of at most "
            f"{_LARGEST:g}: fill, encode, or drop it before you split (cohort.features with your own Schema does)."
        )
    return numbers


def _warn_of_rows_and_scale(X: pd.DataFrame) -> None:
    """Warn of what makes a promise weaker, or a training worse, than it looks."""
    most = int(X.index.value_counts().max())
    if most > 1:
        warnings.warn(
            f"One patient has {most} rows in X_train by its index, and an epsilon that protects a row protects that "
            f"patient less: keep one row a patient, count {most} rows a patient, or number the rows anew if they are "
            "different patients.",
            stacklevel=3,
        )
    size = X.abs().mean()
    if size.max() > _UNSCALED:
        warnings.warn(
            f"The column {size.idxmax()!r} was not scaled: its values are {size.max():,.4g} from 0 on average. Bring "
            "each to -1 to 1 by public bounds (cohort.features with your own Schema): else clipping hides the others, "
            "and what looks like the price of privacy is that of scale.",
            stacklevel=3,
        )


def _refuse_the_same_people(X: pd.DataFrame, X_test: pd.DataFrame, error: type[KitError]) -> None:
    """Refuse patients in both parts, whatever their index says, but not people who are alike by chance.

    Of two people alike, both are trained on with probability a * a and one with 2 * a * (1 - a), if a is the share of
    the training part. So pairs within the training part tell how many to expect across. Values that three or more
    share, such as a row of fill-in values, say nothing of a person.
    """
    times, again = (pd.util.hash_pandas_object(part, index=False).value_counts() for part in (X, X_test))
    pairs = times.index[times == 1].isin(again.index[again == 1]).sum()
    ratio = 2 * len(X_test) / len(X)
    expected = ratio * ((times == 2).sum() + 3)  # that none was seen is no proof that there are none
    if pairs > expected + 5 * np.sqrt(expected * (1 + ratio)):
        raise error(
            f"{pairs:,} of {len(X_test):,} patients of X_test have the very features of one of X_train, and by chance "
            f"at most about {expected:,.0f} would: test on patients who were not trained on."
        )


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
