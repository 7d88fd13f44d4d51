"""The attack study of chapter 06: eight kinds of model, each attacked 128 times, measured once and kept.

    python -m ppml_helpers.attack_and_audit.study            makes data/attack_study.json, in about two minutes
    python -m ppml_helpers.attack_and_audit.study --quick    the same with 16 models a case, printed and not kept

A pool of 2,000 patients. Each model is trained on 1,000 of them and is a target, with the models of all other pairs as
its shadow models (see `shadow`). A making that was stopped goes on where it was. What is kept can be computed again:
`shadows` trains the first few models of a case, and they are the first of the study.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import math
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from ppml_helpers import cohort
from ppml_helpers.attack_and_audit import lira, shadow
from ppml_helpers.attack_and_audit.shadow import Shadows
from ppml_helpers.errors import AttackError, DataError
from ppml_helpers.files import replacing
from ppml_helpers.membership import AttackResult, Interval, OperatingPoint
from ppml_helpers.private_training.engine import RECIPES, Progress, Recipe

RECORDS, MODELS, SEED = 2_000, 128, 0
FILE = cohort.DATA_FOLDER / "attack_study.json"
FOLDER = cohort.DATA_FOLDER.parent / ".kit" / "attack_study"
COMMAND = "python -m ppml_helpers.attack_and_audit.study"

CALM = Recipe(steps=100, learning_rate=1.0, clipping_norm=math.inf, averaged=0)
"""Plain logistic regression."""

TREES = 100


@dataclass(frozen=True)
class Training:
    """How the models of a case are made: a recipe's, or a forest's where there is none.

    Attributes
    ----------
    recipe : Recipe or None
    epsilon : float
        The promise; infinity adds no noise.
    adam : bool
        Whether to step by Adam.
    """

    recipe: Recipe | None
    epsilon: float = math.inf
    adam: bool = False


TRAININGS: Mapping[str, Training] = MappingProxyType(
    {
        "overfitted network": Training(shadow.OVERFITTED, adam=True),
        "forest": Training(None),
        "logistic regression": Training(CALM),
        "network, clipped, no noise": Training(RECIPES["MLP"]),
        **{f"network, epsilon {epsilon:g}": Training(RECIPES["MLP"], epsilon) for epsilon in (8.0, 3.0, 1.0, 0.5)},
    }
)
CASES = tuple(TRAININGS)
FEWER = (8, 16, 32, 64)
"""Numbers of models, of the first case, with which LiRA is measured too: two fewer are a target's shadow models."""

ATTACKS: Mapping[str, Callable[[Shadows], NDArray[np.float64]]] = MappingProxyType(
    {
        "loss threshold": lambda shadows: shadows.scores,
        "LiRA offline": lambda shadows: shadow.leave_one_out(shadows, lira.offline),
        "LiRA online": lambda shadows: shadow.leave_one_out(shadows, lira.online),
    }
)

_HALF_A_VOTE = 0.5 / TREES  # how sure a forest can be taken to be when all its trees agree
_RATE = 0.001  # of false alarms, at which each record's risk is counted
_GRID = np.concatenate([[0.0], np.logspace(-5, 0, 101)])  # of false positive rates, for the curves that are kept
_LAYOUT = 1  # a number that changes with whatever would make an old file wrong


# What is kept ----------------------------------------------------------------------------------------------------


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
        In the order of `CASES`.
    fewer : mapping of int to mapping of str to AttackResult
        LiRA on the overfitted network with only the first so many models, each of them a target.
    """

    models: int
    cases: Mapping[str, Case]
    fewer: Mapping[int, Mapping[str, AttackResult]]

    def __getitem__(self, case: str) -> Case:
        """Return a case."""
        return self.cases[_known(case)]


# Measuring -------------------------------------------------------------------------------------------------------


def pool() -> tuple[pd.DataFrame, pd.Series]:
    """Return the patients of the study.

    Returns
    -------
    X : DataFrame, shape (2000, 39)
        Features, in an order drawn at random once; the index holds the patients' labels in the table.
    y : Series
        Whether they died in hospital.
    """
    X, y = cohort.features(cohort.load_patients())
    chosen = np.random.default_rng(SEED).permutation(len(X))[:RECORDS]
    return X.iloc[chosen], y.iloc[chosen]


def shadows(case: str, n_models: int, folder: str | Path | None = None, progress: Progress | None = None) -> Shadows:
    """Train models of a case on random halves of the pool.

    Parameters
    ----------
    case : str
        One of `CASES`.
    n_models : int
        Even, at least 4. Fewer models are the first of more.
    folder, progress
        As in `shadow.train_shadows`.

    Returns
    -------
    Shadows
        Records in the order of `pool`.

    Raises
    ------
    AttackError
        If the case is unknown, or as `shadow.train_shadows`.
    """
    training = TRAININGS[_known(case)]
    X, y = (part.to_numpy() for part in pool())
    if training.recipe is None:
        return shadow.fit_shadows(_forest, X, y, n_models, SEED, progress, folder=folder, smallest=_HALF_A_VOTE)
    settings = {"epsilon": training.epsilon, "adam": training.adam, "folder": folder, "progress": progress}
    return shadow.train_shadows(X, y, training.recipe, n_models, SEED, **settings)


def _forest(seed: int) -> RandomForestClassifier:
    return RandomForestClassifier(TREES, random_state=seed)


def without_leak(given: Shadows, seed: int = 1) -> Shadows:
    """Let coins decide, in each pair of models and for each record, which of the two is said to have had it.

    Parameters
    ----------
    given : Shadows
    seed : int
        Of the coins.

    Returns
    -------
    Shadows
        The same scores. Attacks on it find nothing, however much the models leak.
    """
    coins = np.random.default_rng(seed).random((len(given.member) // 2, given.member.shape[1])) < 0.5
    return Shadows(given.member ^ np.repeat(coins, 2, axis=0), given.scores)


def model_aucs(given: Shadows) -> NDArray[np.float64]:
    """Return each model's AUC for the patients of the pool that did not train it."""
    y = pool()[1].to_numpy()
    log_odds = given.scores * np.where(y == 1, 1, -1)  # scores are about what happened, these about death
    return np.array([roc_auc_score(y[~own], row[~own]) for own, row in zip(given.member, log_odds, strict=True)])


def measure(folder: str | Path | None = None, progress: Progress | None = None, n_models: int = MODELS) -> Study:
    """Train the models of all cases and attack them.

    Parameters
    ----------
    folder : str or Path, optional
        Where models are kept meanwhile; one that was stopped goes on from there.
    progress : callable, optional
        Called as ``progress(fraction, what)``; it may raise to stop.
    n_models : int
        Of each case, even, at least 6: with two pairs of shadow models a variance can be told.

    Returns
    -------
    Study

    Raises
    ------
    AttackError
        If there are too few models, or as `shadow.train_shadows`.
    """
    shadow.memberships(n_models, RECORDS, SEED)
    if n_models < 6:
        raise AttackError(f"n_models is {n_models}; LiRA needs two pairs besides the target's own: give 6 or more.")
    cases, fewer = {}, {}
    for number, case in enumerate(CASES):

        def tell(share: float, what: str, number: int = number, case: str = case) -> None:
            if progress is not None:
                progress((number + 0.9 * share) / len(CASES), f"{case}: {what}")

        given = shadows(case, n_models, None if folder is None else Path(folder) / _slug(case), tell)
        cases[case] = _measured(given)
        if case == CASES[0]:
            sizes = [size for size in FEWER if size < n_models]
            fewer = {size: _attacked(Shadows(given.member[:size], given.scores[:size])) for size in sizes}
    if progress is not None:
        progress(1.0, f"{len(CASES)} kinds of model attacked")
    return Study(n_models, cases, fewer)


def _measured(given: Shadows) -> Case:
    risk = shadow.vulnerability(ATTACKS["LiRA online"](given), given.member, _RATE)
    aucs = np.round(model_aucs(given), 4)
    return Case(aucs, _attacked(given), _attacked(without_leak(given)), risk.found, risk.alarms)


def _attacked(given: Shadows) -> dict[str, AttackResult]:
    results = {name: shadow.pooled(attack(given), given.member, resamples=100) for name, attack in ATTACKS.items()}
    return {name: _thinned(result) for name, result in results.items()}


def _thinned(result: AttackResult) -> AttackResult:
    """Keep, of the points of the ROC, the last before each point of the grid."""
    kept = np.unique(np.searchsorted(result.fpr, _GRID, side="right") - 1)
    return dataclasses.replace(result, fpr=result.fpr[kept], tpr=result.tpr[kept])


def _known(case: str) -> str:
    if case not in TRAININGS:
        raise AttackError(f"There is no case {case!r} in the study; choose one of {', '.join(map(repr, CASES))}.")
    return case


def _slug(case: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", case)


# The file --------------------------------------------------------------------------------------------------------


def fingerprint(n_models: int = MODELS) -> str:
    """Return a hash of everything that the study depends on: patients, cases, recipes, seeds, attacks.

    Parameters
    ----------
    n_models : int

    Returns
    -------
    str
        64 hexadecimal digits, the same on every machine.
    """
    X, y = pool()
    settings = (_LAYOUT, RECORDS, int(n_models), SEED, TREES, _HALF_A_VOTE, _RATE, FEWER, tuple(ATTACKS))
    digest = hashlib.sha256(repr((settings, dict(TRAININGS), list(X.columns), X.index.tolist())).encode())
    # Processors compute logarithms that differ in the last digit.
    digest.update((np.round(X.to_numpy(), 6) + 0.0).astype("<f8").tobytes())
    digest.update(y.to_numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def save(study: Study, path: str | Path = FILE) -> None:
    """Write the study, and its checksum into the `SHA256SUMS` beside it.

    Parameters
    ----------
    study : Study
    path : str or Path

    Raises
    ------
    AttackError
        If the file or the list of checksums cannot be written.
    """
    file = Path(path)
    content = {
        "made by": COMMAND,
        "made from": fingerprint(study.models),
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


def load(path: str | Path = FILE, n_models: int = MODELS) -> Study:
    """Read the study.

    Parameters
    ----------
    path : str or Path
        The kit's own file by default.
    n_models : int
        That the study must have of each case.

    Returns
    -------
    Study

    Raises
    ------
    AttackError
        If the file is missing, is not what its checksum says, or was made from other patients or settings than today's.
    """
    file = Path(path)
    mend = f"make it anew with `{COMMAND}`, about two minutes"
    try:
        data = file.read_bytes()
    except OSError as error:
        raise AttackError(f"{file} cannot be read ({error.strerror}); {mend}.") from None
    if hashlib.sha256(data).hexdigest() != _expected(file):
        raise AttackError(f"{file} is not the file that SHA256SUMS beside it names; restore both from git, or {mend}.")
    try:
        content = json.loads(data)
        made_from = content["made from"]
    except (ValueError, TypeError, KeyError):
        raise AttackError(f"{file} holds no study; {mend}.") from None
    if made_from != fingerprint(n_models):
        raise AttackError(f"{file} was made from other patients or settings than today's; {mend}.")
    try:
        return _from_json(content)
    except (ValueError, TypeError, KeyError) as error:
        raise AttackError(f"{file} holds no whole study ({type(error).__name__}: {error}); {mend}.") from None


def _expected(file: Path) -> str | None:
    try:
        lines = file.with_name("SHA256SUMS").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return next((line.split()[0] for line in lines if line.split()[1:] == [file.name]), None)


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


def _from_json(content: dict[str, Any]) -> Study:
    models = int(content["models"])
    cases = {}
    for name in CASES:
        stored = content["cases"][name]
        found, alarms = (np.array(stored[side], dtype=float) / (models / 2) for side in ("found", "alarms"))
        if not len(found) == len(alarms) == RECORDS:
            raise ValueError(f"{name} has {len(found)} records")
        attacks, no_leak = ({attack: _result(stored[side][attack]) for attack in ATTACKS} for side in _SIDES)
        cases[name] = Case(np.array(stored["model AUCs"], dtype=float), attacks, no_leak, found, alarms)
    fewer = {
        int(size): {attack: _result(results[attack]) for attack in ATTACKS}
        for size, results in content["fewer models"].items()
    }
    return Study(models, cases, fewer)


_SIDES = ("attacks", "no leak")


def _result(stored: dict[str, Any]) -> AttackResult:
    points = {name: _point(stored[name]) for name in ("at_1_in_1000", "at_1_in_100")}
    intervals = {name: Interval(*stored[name]) for name in ("auc_interval", "advantage_interval")}
    curves = {name: np.array(stored[name], dtype=float) for name in ("fpr", "tpr")}
    return AttackResult(**{**stored, **points, **intervals, **curves})


def _point(stored: dict[str, Any]) -> OperatingPoint:
    threshold = math.inf if stored["threshold"] is None else stored["threshold"]
    intervals = {name: Interval(*stored[name]) for name in ("fpr_interval", "tpr_interval")}
    return OperatingPoint(**{**stored, **intervals, "threshold": threshold})


# Command line ----------------------------------------------------------------------------------------------------


def make(
    progress: Progress | None = None,
    path: str | Path = FILE,
    folder: str | Path = FOLDER,
    n_models: int = MODELS,
) -> Study:
    """Measure and save the study, going on from what an earlier run has left.

    Parameters
    ----------
    progress, n_models
        As in `measure`.
    path : str or Path
        The file to write; the kit's own by default.
    folder : str or Path
        In a folder of this one models are kept meanwhile; when the study is saved they are deleted.

    Returns
    -------
    Study

    Raises
    ------
    AttackError
        As `measure` and `save`.
    """
    kept = Path(folder) / fingerprint(n_models)[:16]  # models of other settings lie elsewhere
    study = measure(kept, progress, n_models)
    save(study, path)
    shutil.rmtree(kept, ignore_errors=True)
    return study


def ensure(
    progress: Progress | None = None,
    path: str | Path = FILE,
    folder: str | Path = FOLDER,
    n_models: int = MODELS,
) -> bool:
    """Make the study if it is missing, damaged or out of date.

    Parameters
    ----------
    progress, path, folder, n_models
        As in `make`.

    Returns
    -------
    bool
        True when it was made.

    Raises
    ------
    AttackError
        As `make`.
    """
    try:
        load(path, n_models)
    except AttackError:
        make(progress, path, folder, n_models)
        return True
    return False


def rows(study: Study) -> Iterator[str]:
    """Describe a study in lines of text.

    Parameters
    ----------
    study : Study

    Yields
    ------
    str
    """
    for name, case in study.cases.items():
        yield f"{name}: mean AUC for other patients {case.model_auc:.3f}"
        for suffix, results in (("", case.attacks), (", no leak", case.no_leak)):
            for attack, result in results.items():
                low, high = result.at_1_in_1000.tpr_interval
                yield (
                    f"  {attack + suffix:25} AUC {result.auc:.3f}  TPR at 0.1 %: {result.at_1_in_1000.tpr:.2%} "
                    f"({low:.2%} to {high:.2%})  at 1 %: {result.at_1_in_100.tpr:.2%}"
                )


def printed() -> Progress:
    """Return a progress that is printed: on a terminal in one line, elsewhere in a line a case.

    Returns
    -------
    callable
    """
    last = ""

    def tell(share: float, what: str) -> None:
        nonlocal last
        case = what.split(":")[0]
        if sys.stdout.isatty():
            print(f"\r{share:4.0%}  {what:<75}", end="\n" if share == 1 else "", flush=True)
        elif case != last:
            print(f"{share:4.0%}  {case}", flush=True)
        last = case

    return tell


def main(arguments: list[str] | None = None) -> int:
    """Make the study, or try it with few models; return the exit code."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Measure the attacks of chapter 06 and keep the result.")
    parser.add_argument("--quick", action="store_true", help="16 models a case, and no file")
    quick = parser.parse_args(arguments).quick
    begun = time.process_time()
    try:
        study = measure(None, printed(), 16) if quick else make(printed())
    except (AttackError, DataError) as error:
        print(error, flush=True)
        return 2
    except KeyboardInterrupt:
        kept = "" if quick else " The models trained so far are kept: the same command goes on with them."
        print(f"\nStopped.{kept}", flush=True)
        return 130
    print("\n".join(rows(study)))
    print(f"{time.process_time() - begun:.0f} s of the processor" + ("" if quick else f"; {FILE.name} is written"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
