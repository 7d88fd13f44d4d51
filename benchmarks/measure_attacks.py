"""Measure the membership attacks on the models of the course, with enough shadow models for tight intervals.

Run it by ``python benchmarks/measure_attacks.py [--quick]`` from the kit's folder; it writes
``benchmarks/results/measure_attacks.json``. A pool of 2,000 patients; every shadow model is trained on 1,000 of them,
and is a target with the other pairs as its shadow models. The rows of "no leak" have the right scores and the wrong
members: in each pair of models, coins decided for each patient who is said to have had them. They show what chance
looks like.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ppml_helpers import cohort
from ppml_helpers.attacks import AttackResult, lira, shadow
from ppml_helpers.attacks.shadow import Shadows
from ppml_helpers.private_training import RECIPES, Recipe

RESULT = Path(__file__).resolve().parent / "results" / "measure_attacks.json"
RECORDS, MODELS = 2_000, 128
CALM = Recipe(steps=100, learning_rate=1.0, clipping_norm=math.inf, averaged=0)
CASES: tuple[tuple[str, Recipe, float, bool], ...] = (
    ("overfitted network", shadow.OVERFITTED, math.inf, True),
    ("network, clipped, no noise", RECIPES["MLP"], math.inf, False),
    *((f"network, epsilon {epsilon:g}", RECIPES["MLP"], epsilon, False) for epsilon in (8, 3, 1, 0.5)),
    ("logistic regression", CALM, math.inf, False),
    ("logistic regression, clipped, no noise", RECIPES["logistic regression"], math.inf, False),
    ("logistic regression, epsilon 1", RECIPES["logistic regression"], 1.0, False),
)


def summary(result: AttackResult) -> dict[str, Any]:
    """Return what is reported of an attack.

    Parameters
    ----------
    result : AttackResult

    Returns
    -------
    dict
    """
    points = {"0.1 %": result.at_1_in_1000, "1 %": result.at_1_in_100}
    return {
        "auc": result.auc,
        "auc_interval": result.auc_interval,
        "scores_a_side": result.n_members,
        "tpr": {name: point.tpr for name, point in points.items()},
        "tpr_interval": {name: point.tpr_interval for name, point in points.items()},
        "fpr_interval": {name: point.fpr_interval for name, point in points.items()},
    }


def attacked(shadows: Shadows, sizes: list[int]) -> Iterator[tuple[str, int, AttackResult]]:
    """Run the attacks on all targets: the loss threshold, then LiRA with fewer and more shadow models.

    Parameters
    ----------
    shadows : Shadows
    sizes : list of int
        Numbers of models, each with all of them as targets.

    Yields
    ------
    tuple of (str, int, AttackResult)
        The attack, the number of shadow models of a target, what it finds.
    """
    yield "loss threshold", 0, shadow.pooled(shadows.scores, shadows.member, resamples=100)
    for size in sizes:
        part = Shadows(shadows.member[:size], shadows.scores[:size])
        for name, attack in (("LiRA offline", lira.offline), ("LiRA online", lira.online)):
            yield name, size - 2, shadow.pooled(shadow.leave_one_out(part, attack), part.member, resamples=100)


def without_leak(shadows: Shadows, seed: int) -> Shadows:
    """Let coins decide, in each pair of models and for each record, which of the two is said to have had it.

    Parameters
    ----------
    shadows : Shadows
    seed : int

    Returns
    -------
    Shadows
    """
    coins = np.random.default_rng(seed).random((len(shadows.member) // 2, shadows.member.shape[1])) < 0.5
    return Shadows(shadows.member ^ np.repeat(coins, 2, axis=0), shadows.scores)


def main() -> None:
    """Train, attack, print and write."""
    parser = argparse.ArgumentParser(description="Measure the membership attacks on the models of the course.")
    parser.add_argument("--quick", action="store_true", help="16 shadow models, and no file")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    n_models = 16 if quick else MODELS
    X, y = (part.to_numpy() for part in cohort.features(cohort.load_patients()))
    order = np.random.default_rng(0).permutation(len(X))
    pool, rest = order[:RECORDS], order[RECORDS:]
    rows = []
    for name, recipe, epsilon, adam in CASES:
        begun = time.process_time()
        shadows = shadow.train_shadows(X[pool], y[pool], recipe, n_models, seed=0, epsilon=epsilon, adam=adam)
        seconds = (time.process_time() - begun) / n_models
        auc = float(shadows.models.auc(X[rest], y[rest]).mean())
        print(f"{name}: {seconds:.3f} s of the processor a model, mean AUC for other patients {auc:.3f}", flush=True)
        sizes = [size for size in (8, 16, 32, 64) if adam and size < n_models]
        cases = [("", shadows, [*sizes, n_models]), (" (no leak)", without_leak(shadows, seed=1), [n_models])]
        for suffix, given, chosen in cases:
            for attack, others, result in attacked(given, chosen):
                row = {"model": name, "attack": attack + suffix, "shadow_models": others, "model_auc": auc}
                rows.append({**row, "cpu_seconds_a_model": seconds, **summary(result)})
                low, high = result.at_1_in_1000.tpr_interval
                print(
                    f"  {attack + suffix:25} {others:4}  AUC {result.auc:.3f}  TPR at 0.1 %: "
                    f"{result.at_1_in_1000.tpr:.2%} ({low:.2%} to {high:.2%})  at 1 %: {result.at_1_in_100.tpr:.2%}",
                    flush=True,
                )
    if not quick:
        RESULT.write_text(json.dumps({"records": RECORDS, "models": n_models, "rows": rows}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
