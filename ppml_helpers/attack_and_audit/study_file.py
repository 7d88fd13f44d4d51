"""The file of the attack study: what it holds, and how that is read, checked and written (see `study`)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppml_helpers import checks, cohort
from ppml_helpers.errors import AttackError
from ppml_helpers.files import replacing
from ppml_helpers.membership import AttackResult, Interval, OperatingPoint

FILE = cohort.DATA_FOLDER / "attack_study.json"
COMMAND = "python -m ppml_helpers.attack_and_audit.study"
_MEND = f"make it anew with `{COMMAND}`, about two minutes"


@dataclass(frozen=True, eq=False)
class Case:
    """What was measured of one kind of model.

    Attributes
    ----------
    model_aucs : ndarray, shape (models,)
        Each model's AUC for the patients of the pool that did not train it.
    attacks : mapping of str to AttackResult
        "loss threshold", "LiRA offline", "LiRA online", on all targets together. The ROC is thinned to points on it.
        The intervals are about these patients, as `shadow.pooled` says.
    no_leak : mapping of str to AttackResult
        The control. The same scores and attacks, but coins decided, in each pair of models and for each record, which
        of the two is said to have had it: what chance looks like. Other coins give other numbers, up to twice as far
        apart as the interval of `tpr`, which takes the threshold as given, would say.
    found, alarms : ndarray, shape (records,)
        For each record of the pool, the share of targets trained on it in which LiRA online finds it at 0.1 % false
        alarms, and the share of the others in which it is taken for a member.
    """

    model_aucs: NDArray[np.float64]
    attacks: Mapping[str, AttackResult]
    no_leak: Mapping[str, AttackResult]
    found: NDArray[np.float64]
    alarms: NDArray[np.float64]

    @property
    def model_auc(self) -> float:
        """Mean AUC of the models for patients who did not train them."""
        return float(self.model_aucs.mean())


@dataclass(frozen=True, eq=False)
class Study:
    """The whole study; ``study["forest"]`` is a `Case`.

    Attributes
    ----------
    models : int
        Of each case; half of them are trained on any one record.
    cases : mapping of str to Case
    fewer : mapping of int to mapping of str to AttackResult
        LiRA on the overfitted network with only the first so many models, each of them a target.
    """

    models: int
    cases: Mapping[str, Case]
    fewer: Mapping[int, Mapping[str, AttackResult]]

    def __getitem__(self, case: str) -> Case:
        """Return a case."""
        return self.cases[checks.choice(case, "case", self.cases, error=AttackError)]


# Writing ---------------------------------------------------------------------------------------------------------


def save(study: Study, made_from: str, file: Path) -> None:
    """Write the study, what it was made from, and its checksum into the `SHA256SUMS` beside it."""
    content = {
        "made by": COMMAND,
        "made from": made_from,
        "models": study.models,
        "fewer models": {str(size): _as_json(results) for size, results in study.fewer.items()},
        "cases": {name: _case_as_json(case, study.models) for name, case in study.cases.items()},
    }
    data = _text(content).encode("utf-8")
    sums = file.with_name("SHA256SUMS")
    try:
        lines = sums.read_text("utf-8").splitlines() if sums.exists() else []
        lines = [line for line in lines if line.split()[1:] != [file.name]]
        lines.append(f"{hashlib.sha256(data).hexdigest()}  {file.name}")
        for target, content_of in ((file, data), (sums, ("\n".join(lines) + "\n").encode("utf-8"))):
            with replacing(target) as scratch:
                scratch.write_bytes(content_of)
                scratch.chmod(0o644)
    except OSError as error:
        raise AttackError(f"{error.filename or file} cannot be written ({error.strerror}); free space there.") from None


def _case_as_json(case: Case, models: int) -> dict[str, Any]:
    counts = {name: np.rint(getattr(case, name) * (models / 2)).astype(int).tolist() for name in ("found", "alarms")}
    attacks = {"attacks": _as_json(case.attacks), "no leak": _as_json(case.no_leak)}
    return {"model AUCs": case.model_aucs.tolist(), **attacks, **counts}


def _as_json(results: Mapping[str, AttackResult]) -> dict[str, Any]:
    return {name: _plain(dataclasses.asdict(result)) for name, result in results.items()}


def _plain(value: Any) -> Any:
    """Turn a result into what JSON can hold; six digits are more than is known, and an infinity becomes null."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, tuple | list | np.ndarray):
        return [_plain(part) for part in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def _text(content: dict[str, Any]) -> str:
    """Lay JSON out with one line a value and lists of numbers filled to the line's width, so that changes show."""

    def filled(found: re.Match[str]) -> str:
        return textwrap.fill(" ".join(found[0].split()), 100, break_on_hyphens=False)

    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return re.sub(r"\[[^\[\]{}]*\]", filled, text) + "\n"


# Reading ---------------------------------------------------------------------------------------------------------


def load(made_from: str, file: Path) -> Study:
    """Read the study, if it is the file that SHA256SUMS beside it names and was made from what it would be today."""
    try:
        data = file.read_bytes()
        sums = file.with_name("SHA256SUMS").read_text("utf-8")
    except OSError as error:
        raise AttackError(f"{error.filename} cannot be read ({error.strerror}); {_MEND}.") from None
    if f"{hashlib.sha256(data).hexdigest()}  {file.name}" not in sums.splitlines():
        raise AttackError(f"{file} is not the file that SHA256SUMS beside it names; restore both from git, or {_MEND}.")
    content = json.loads(data)
    if content["made from"] != made_from:
        raise AttackError(f"{file} was made from other patients or settings than today's; {_MEND}.")
    models = content["models"]
    cases = {name: _case(stored, models) for name, stored in content["cases"].items()}
    return Study(models, cases, {int(size): _results(stored) for size, stored in content["fewer models"].items()})


def _case(stored: dict[str, Any], models: int) -> Case:
    found, alarms = (np.array(stored[side], dtype=float) / (models / 2) for side in ("found", "alarms"))
    aucs = np.array(stored["model AUCs"], dtype=float)
    return Case(aucs, _results(stored["attacks"]), _results(stored["no leak"]), found, alarms)


def _results(stored: dict[str, Any]) -> dict[str, AttackResult]:
    return {attack: _result(result) for attack, result in stored.items()}


def _result(stored: dict[str, Any]) -> AttackResult:
    points = {name: _point(stored[name]) for name in ("at_1_in_1000", "at_1_in_100")}
    intervals = {name: Interval(*stored[name]) for name in ("auc_interval", "advantage_interval")}
    curves = {name: np.array(stored[name], dtype=float) for name in ("fpr", "tpr")}
    return AttackResult(**{**stored, **points, **intervals, **curves})


def _point(stored: dict[str, Any]) -> OperatingPoint:
    threshold = math.inf if stored["threshold"] is None else stored["threshold"]
    intervals = {name: Interval(*stored[name]) for name in ("fpr_interval", "tpr_interval")}
    return OperatingPoint(**{**stored, **intervals, "threshold": threshold})
