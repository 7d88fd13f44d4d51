"""Simulated hospitals: the patients of each, as arrays in memory and as a file of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ppml_helpers import checks, cohort
from ppml_helpers.errors import FederationError, TrainingDataError
from ppml_helpers.federated_learning.app.federated_hospitals import task


@dataclass(frozen=True)
class Hospital:
    """One hospital's patients, prepared for training: features (patients, features) and labels, 0 or 1.

    `sums` is its book of the masked sums that it helped to unmask, by the model that they started from; runs in this
    process read it and write in it, as a hospital on a network does beside its table.
    """

    name: str
    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    sums: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Keep numbers only; what a mask hides is missing."""
        mend = "prepare it with cohort.features"
        for part in task.PARTS:
            numbers = checks.floats(getattr(self, part), f"{self.name}'s {part}", error=FederationError, mend=mend)
            object.__setattr__(self, part, numbers)

    @property
    def patients(self) -> int:
        """Patients to train on."""
        return len(self.y_train)


def simulated(
    patients: pd.DataFrame | None = None,
    n: int = 4,
    seed: int = 0,
    skew: float = 0.0,
    columns: Iterable[str] | None = None,
) -> tuple[Hospital, ...]:
    """Deal the patients to simulated hospitals, and split each hospital's into training and test patients.

    Parameters
    ----------
    patients : DataFrame, optional
        Without it the kit's own patients.
    n, seed, skew
        As in `cohort.hospitals`.
    columns : iterable of str, optional
        Which columns become features, as in `cohort.features`.

    Returns
    -------
    tuple of Hospital
        Not real hospitals: SUPPORT2 does not say which patient was where.

    Raises
    ------
    FederationError
        If a hospital would be left with too few deaths or survivors to train and test on.
    """
    patients = cohort.load_patients() if patients is None else patients
    columns = None if columns is None else list(columns)
    dealt = []
    for number, (name, table) in enumerate(cohort.hospitals(patients, n, seed, skew).items()):
        X, y = cohort.features(table, columns)
        try:
            parts = cohort.split(X, y, seed + number)
        except TrainingDataError as error:
            raise FederationError(
                f"{name} cannot take part: {error} Or choose fewer hospitals or a smaller skew."
            ) from None
        numbers = {key: np.ascontiguousarray(part.to_numpy(np.float64)) for key, part in parts._asdict().items()}
        dealt.append(Hospital(name, **numbers))
    return tuple(dealt)


def pooled(hospitals: Sequence[Hospital]) -> Hospital:
    """Return all patients in one place: what federated learning is compared with, and wants to avoid."""
    check(hospitals)
    parts = {part: np.concatenate([getattr(hospital, part) for hospital in hospitals]) for part in task.PARTS}
    return Hospital("All patients pooled", **parts)


def write(hospitals: Sequence[Hospital], folder: str | Path) -> list[Path]:
    """Write each hospital's table to a file of its own, `hospital-0.npz` and so on, in a folder that exists.

    Beside each lies what its book of sums holds. The files hold real patients: keep the folder private, delete it.
    """
    check(hospitals)
    paths = [Path(folder) / f"hospital-{number}.npz" for number in range(len(hospitals))]
    for hospital, path in zip(hospitals, paths, strict=True):
        np.savez(path, **{part: getattr(hospital, part) for part in task.PARTS})
    remind(hospitals, paths)
    return paths


def remind(hospitals: Sequence[Hospital], paths: Sequence[Path]) -> None:
    """Write what the hospitals' books of sums hold into those beside their files."""
    for hospital, path in zip(hospitals, paths, strict=True):
        for start, members in hospital.sums.items():
            task.book(path).mkdir(exist_ok=True)
            (task.book(path) / start).write_text(members, "ascii")


def remember(hospitals: Sequence[Hospital], paths: Sequence[Path]) -> None:
    """Take over what was written into the books of sums beside the hospitals' files."""
    for hospital, path in zip(hospitals, paths, strict=True):
        hospital.sums.update({entry.name: entry.read_text("ascii") for entry in task.book(path).glob("*")})


def read(path: str | Path, name: str = "hospital") -> Hospital:
    """Read a hospital's file."""
    try:
        return Hospital(name, *task.load(path))
    except task.RunError as error:
        raise FederationError(f"Hospital {name!r} cannot take part: {error}") from None


def check(hospitals: Sequence[Hospital]) -> None:
    """Refuse hospitals that cannot train together."""
    if isinstance(hospitals, Mapping) or not all(isinstance(hospital, Hospital) for hospital in hospitals):
        raise FederationError(
            f"The hospitals are a {type(hospitals).__name__} of other things, they must be a sequence of Hospital: "
            f"make them with hospitals.simulated()."
        )
    if len(hospitals) < 2:
        raise FederationError(f"Hospitals given: {len(hospitals)}; a federation needs at least 2: add hospitals.")
    for number, hospital in enumerate(hospitals):
        who = f"Hospital {number} ({hospital.name})"
        try:
            task.check_table(task.Table(*(getattr(hospital, part) for part in task.PARTS)))
        except task.RunError as error:
            raise FederationError(f"{who} cannot take part: {error}") from None
        width = hospitals[0].X_train.shape[1]
        if hospital.X_train.shape[1] != width:
            raise FederationError(
                f"{who} has {hospital.X_train.shape[1]} features and the first hospital {width}: "
                f"prepare all tables with the same columns."
            )
