"""What every technique of the scoreboard is measured on: one split of one table, and one attack on every model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from ppml_helpers import checks, cohort, membership
from ppml_helpers.cohort import Schema, Split
from ppml_helpers.cohort.schema import Number
from ppml_helpers.errors import OutcomeError
from ppml_helpers.synthetic_tables import fictional_hospital
from ppml_helpers.synthetic_tables.hospital import Hospital

Fields = dict[str, Any]
Risk = Callable[[pd.DataFrame], np.ndarray]

METHODS = MappingProxyType(
    {
        "auc_interval": "95 %, percentile bootstrap of 500 resamples of the test patients, either outcome apart",
        "tpr_interval": "95 %, Clopper-Pearson, over members",
        "advantage_interval": "95 %, Newcombe's for a difference of two shares, threshold from the other half",
        "attack": "surprise scores of chapter 01 through membership.membership_attack, seed 0",
    }
)

_PERSONAL = ("age", "sex", "race", "edu", "income")  # what others know about a patient: minimised away first
_FEWEST = 10  # scores a side, as membership_attack demands


@dataclass(frozen=True, eq=False)
class Ground:
    """A split of a table as the techniques take it.

    Parameters
    ----------
    split : cohort.Split
        Features in [-1, 1], labels 0 and 1.
    seed : int
        Of whatever is drawn for display.
    records : DataFrame
        The rows behind the features, of both parts, with the label named as that of `schema`: the patients' charts if
        it is the course's table, else the features themselves under numbered names.
    schema : cohort.Schema
        Of the records.
    hospital : Hospital or None
        The course's patients with fictional postcodes and the register that an attacker holds.
    """

    split: Split
    seed: int
    records: pd.DataFrame = field(repr=False)
    schema: Schema = field(repr=False)
    hospital: Hospital | None = field(repr=False)

    @cached_property
    def train(self) -> pd.DataFrame:
        """The records of the training part."""
        return self.records.loc[self.split.X_train.index]

    @cached_property
    def test(self) -> pd.DataFrame:
        """The records of the test part."""
        return self.records.loc[self.split.X_test.index]

    @property
    def candidates(self) -> list[str]:
        """The columns among which to minimise: of the patients, what a neighbour does not know."""
        known = _PERSONAL if self.hospital is not None else ()
        return [name for name in self.schema.columns if name not in known]

    @cached_property
    def attacker(self) -> tuple[Split, LogisticRegression]:
        """Test patients: half are the attacker's own, half the others; and the attacker's model of their own."""
        halves = cohort.split(self.split.X_test, self.split.y_test, seed=0, test_share=0.5)
        return halves, LogisticRegression(max_iter=1000).fit(halves.X_train, halves.y_train)

    def of(self, X: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
        """Return the features of some columns of the records behind X."""
        return cohort.features(self.records.loc[X.index], columns, self.schema)[0]


def ground(split: Split, seed: int = 0) -> Ground:
    """Check a split and find what is behind it.

    Raises
    ------
    OutcomeError
        If it is no split, or a feature lies outside [-1, 1].
    """
    split = cohort.checked_split(split, OutcomeError)
    seed = checks.whole(seed, "seed", 0, error=OutcomeError)
    for part in (split.X_train, split.X_test):
        far = part.abs().max()
        if far.max() > 1:
            raise OutcomeError(
                f"The column {far.idxmax()!r} holds a value {far.max():.6g} from 0, features must lie in [-1, 1]: "
                "scale it by public bounds (cohort.features with a Schema of yours does)."
            )
    if _is_the_course(split):
        # The seed of the identities and of the split is the chapters', so that their figures can be compared.
        return Ground(split, seed, cohort.load_patients(), cohort.SUPPORT2, fictional_hospital())
    return Ground(split, seed, *_numbered(split), None)


def _is_the_course(split: Split) -> bool:
    """Say whether it is the course's patients, split as the chapters do."""
    X, y = cohort.features(cohort.load_patients())
    theirs = cohort.split(X, y, seed=0)
    return all(one.equals(other) for one, other in zip(split, theirs, strict=True))


def _numbered(split: Split) -> tuple[pd.DataFrame, Schema]:
    """Return features as records: names of a table could mean something else to the rooms."""
    X = pd.concat([split.X_train, split.X_test])
    names = [f"feature {number:03d}" for number in range(1, X.shape[1] + 1)]
    roles = {name: Number("", -1, 1, 0, "features lie in [-1, 1]") for name in names}
    records = X.set_axis(names, axis=1).assign(**{cohort.SUPPORT2.label: pd.concat([split.y_train, split.y_test])})
    return records, Schema(MappingProxyType(roles), cohort.SUPPORT2.label, tight=True)


def judged(ground: Ground, risk: Risk, members: pd.Index | None = None) -> Fields:
    """Measure a model: its use on the test patients, and the one attack of the scoreboard on it.

    Parameters
    ----------
    ground : Ground
    risk : callable
        From features of some patients (their index leads to the records) to the risks that the model tells.
    members : Index, optional
        Who trained it; the whole training part by default.
    """
    split, (halves, calm) = ground.split, ground.attacker
    told = np.clip(risk(split.X_test), 1e-9, 1 - 1e-9)
    found: Fields = {
        "auc": roc_auc_score(split.y_test, told),
        "log_loss": log_loss(split.y_test, told),
        "methods": dict(METHODS),
    }
    ends = told[split.y_test == 1], told[split.y_test == 0]
    if min(map(len, ends)) >= _FEWEST:
        # An AUC is the chance that one of the first scores above one of the second, of a model as of an attack.
        found["auc_interval"] = membership.membership_attack(*ends).auc_interval
    X, y = split.X_train, split.y_train
    if members is not None:
        X, y = X.loc[members], y.loc[members]
    if min(len(y), len(halves.y_test)) < _FEWEST:
        return found

    def surprise(X: pd.DataFrame, y: pd.Series) -> np.ndarray:
        sure = membership.true_class_confidence(np.clip(risk(X), 0, 1), y)
        return sure - membership.scores(calm, X, y)

    attack = membership.membership_attack(surprise(X, y), surprise(halves.X_test, halves.y_test))
    found |= {"advantage": attack.advantage, "advantage_interval": attack.advantage_interval}
    at = attack.at_1_in_100
    if np.isfinite(at.tpr):
        found |= {"tpr_at_1_percent": at.tpr, "tpr_interval": at.tpr_interval}
    return found


class Clock:
    """Seconds that the block of `running` took."""

    seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the seconds of a block."""
        began = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - began
