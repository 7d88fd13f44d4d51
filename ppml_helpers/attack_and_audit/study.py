"""The attack study of chapters 06 and 06b: eight kinds of model, each attacked 128 times, measured once and kept.

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
import math
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from ppml_helpers import checks, cohort
from ppml_helpers.attack_and_audit import lira, shadow, study_file
from ppml_helpers.attack_and_audit.shadow import Shadows
from ppml_helpers.attack_and_audit.study_file import COMMAND, FILE, Case, Study
from ppml_helpers.errors import AttackError, DataError
from ppml_helpers.membership import AttackResult
from ppml_helpers.private_training.engine import RECIPES, Progress, Recipe, no_progress

RECORDS, MODELS, SEED = 2_000, 128, 0
FOLDER = cohort.DATA_FOLDER.parent / ".kit" / "attack_study"

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


# Measuring -------------------------------------------------------------------------------------------------------


def pool() -> tuple[pd.DataFrame, pd.Series]:
    """Return the patients of the study, in an order drawn at random once: features, and whether they died."""
    X, y = cohort.features(cohort.load_patients())
    chosen = np.random.default_rng(SEED).permutation(len(X))[:RECORDS]
    return X.iloc[chosen], y.iloc[chosen]


def shadows(case: str, n_models: int, folder: str | Path | None = None, progress: Progress = no_progress) -> Shadows:
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
    """
    training = TRAININGS[checks.choice(case, "case", TRAININGS, error=AttackError)]
    X, y = (part.to_numpy() for part in pool())
    kept = {"folder": folder, "progress": progress}
    if training.recipe is None:
        return shadow.fit_shadows(_forest, X, y, n_models, SEED, smallest=_HALF_A_VOTE, **kept)
    how = {"epsilon": training.epsilon, "adam": training.adam}
    return shadow.train_shadows(X, y, training.recipe, n_models, SEED, **how, **kept)


def _forest(seed: int) -> RandomForestClassifier:
    return RandomForestClassifier(TREES, random_state=seed)


def without_leak(given: Shadows, seed: int = 1) -> Shadows:
    """Let coins decide, in each pair of models and for each record, which of the two is said to have had it.

    The scores stay the same. Attacks on it find nothing, however much the models leak.
    """
    checks.whole(seed, "seed", 0, error=AttackError)
    coins = np.random.default_rng(seed).random((len(given.member) // 2, given.member.shape[1])) < 0.5
    return Shadows(given.member ^ np.repeat(coins, 2, axis=0), given.scores)


def model_aucs(given: Shadows) -> NDArray[np.float64]:
    """Return each model's AUC for the patients of the pool that did not train it."""
    y = pool()[1].to_numpy()
    log_odds = given.scores * np.where(y == 1, 1, -1)  # scores are about what happened, these about death
    return np.array([roc_auc_score(y[~own], row[~own]) for own, row in zip(given.member, log_odds, strict=True)])


def measure(folder: str | Path | None = None, progress: Progress = no_progress, n_models: int = MODELS) -> Study:
    """Train the models of all cases and attack them; a folder keeps them meanwhile, to go on from there."""
    checks.whole(n_models, "n_models", 6, error=AttackError, mend="LiRA needs two pairs besides the target's own")
    cases, fewer = {}, {}
    for number, case in enumerate(CASES):

        def tell(share: float, what: str, number: int = number, case: str = case) -> None:
            progress((number + 0.9 * share) / len(CASES), f"{case}: {what}")

        given = shadows(case, n_models, None if folder is None else Path(folder) / _slug(case), tell)
        cases[case] = _measured(given)
        if case == CASES[0]:
            sizes = [size for size in FEWER if size < n_models]
            fewer = {size: _attacked(Shadows(given.member[:size], given.scores[:size])) for size in sizes}
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


def _slug(case: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", case)


# Kept in a file --------------------------------------------------------------------------------------------------


def fingerprint(n_models: int = MODELS) -> str:
    """Return a hash of everything that the study depends on: patients, cases, recipes, seeds, attacks."""
    X, y = pool()
    settings = (_LAYOUT, RECORDS, int(n_models), SEED, TREES, _HALF_A_VOTE, _RATE, FEWER, tuple(ATTACKS))
    digest = hashlib.sha256(repr((settings, dict(TRAININGS), list(X.columns), X.index.tolist())).encode())
    # Processors compute logarithms that differ in the last digit.
    digest.update((np.round(X.to_numpy(), 6) + 0.0).astype("<f8").tobytes())
    digest.update(y.to_numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def load(path: str | Path = FILE, n_models: int = MODELS) -> Study:
    """Read the study, the kit's own file by default."""
    return study_file.load(fingerprint(n_models), Path(path))


def make(
    progress: Progress = no_progress, path: str | Path = FILE, folder: str | Path = FOLDER, n_models: int = MODELS
) -> Study:
    """Measure and save the study, going on from the models that an earlier run has left in the folder."""
    made_from = fingerprint(n_models)
    kept = Path(folder) / made_from[:16]  # models of other settings lie elsewhere
    study = measure(kept, progress, n_models)
    study_file.save(study, made_from, Path(path))
    shutil.rmtree(kept, ignore_errors=True)
    return study


def ensure(
    progress: Progress = no_progress, path: str | Path = FILE, folder: str | Path = FOLDER, n_models: int = MODELS
) -> bool:
    """Make the study if it is missing, damaged or out of date; return whether it was made."""
    try:
        load(path, n_models)
    except AttackError:
        make(progress, path, folder, n_models)
        return True
    return False


def prepare() -> bool:
    """Make what the chapter reads and does not compute itself, if it is missing or out of date."""
    return ensure(printed())


# Command line ----------------------------------------------------------------------------------------------------


def rows(study: Study) -> Iterator[str]:
    """Describe a study in lines of text."""
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
    """Return a progress that is printed: on a terminal in one line, elsewhere in a line a case."""
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
        study = measure(progress=printed(), n_models=16) if quick else make(printed())
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
