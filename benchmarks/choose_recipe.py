"""Choose the training recipes of the course on made-up tables, so that choosing spends nobody's privacy.

A grid search on the patients would look at them hundreds of times, and each look costs epsilon. The tables made here
share with the patients only what is public: about how many rows and columns there are, how they are scaled, and how
rare the label is. The choice is the setting with the least mean log loss over all tables, epsilons and seeds: a risk of
death must be usable as a number, and AUC sees only the order. AUC and the share of extreme risks are written beside it.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np

from ppml_helpers import accounting
from ppml_helpers.private_training.engine import RECIPES, Recipe, train

ROWS, COLUMNS, LABEL_SHARE = 6_800, 39, 0.26
EPSILONS = (0.3, 1.0, 3.0)
GRIDS = {
    "logistic regression": {
        "steps": (50, 100),
        "learning_rate": (0.25, 0.5, 1.0, 2.0, 8.0),
        "clipping_norm": (0.3, 1.0, 2.0, 3.0),
    },
    # The explorer has one clipping norm for both models, so the network is tuned for that of logistic regression.
    "MLP": {
        "steps": (50, 100),
        "learning_rate": (0.0625, 0.125, 0.25, 0.5, 1.0),
        "clipping_norm": (2.0,),
    },
}


def made_up_table(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Make a table of flags and measurements in [-1, 1] with a rare label.

    Parameters
    ----------
    rng : numpy.random.Generator
    rows : int

    Returns
    -------
    X : ndarray, shape (rows, COLUMNS)
    y : ndarray, shape (rows,)
        0 and 1; a noisy function of a few columns, one product and one bend, so that no model is exactly right.
    """
    flags = COLUMNS // 2
    rare = rng.beta(1, 3, size=flags)
    X = np.hstack([(rng.random((rows, flags)) < rare).astype(float), rng.beta(3, 3, (rows, COLUMNS - flags)) * 2 - 1])
    score = X @ (rng.normal(size=COLUMNS) * (rng.random(COLUMNS) < 0.5)) + X[:, -1] * X[:, -2] + np.abs(X[:, -3])
    score = 1.6 * (score - score.mean()) / score.std()
    noisy = score + rng.logistic(size=rows)
    return X, (noisy > np.quantile(noisy, 1 - LABEL_SHARE)).astype(float)


def score(recipe: Recipe, tables: int, seeds: int) -> dict[str, float]:
    """Return how good a recipe is, as means over tables, epsilons and seeds.

    Parameters
    ----------
    recipe : Recipe
    tables, seeds : int
        How many of each.

    Returns
    -------
    dict
        "log loss", "AUC" and "extreme" (the share of risks below 1 % or above 99 %), each of fresh rows.
    """
    measured = []
    pairs = list(itertools.product(EPSILONS, range(seeds)))
    sigmas = [accounting.noise_multiplier(e, recipe.sample_rate, recipe.steps) for e, _ in pairs]
    for number in range(tables):
        X, y = made_up_table(np.random.default_rng(number), ROWS + 3_000)
        models = train(X[:ROWS], y[:ROWS], recipe, sigmas, [seed for _, seed in pairs])
        fresh = X[ROWS:], y[ROWS:]
        extreme = np.abs(models.risks(fresh[0]) - 0.5) > 0.49
        measured.append((models.log_loss(*fresh).mean(), models.auc(*fresh).mean(), extreme.mean()))
    means = np.mean(measured, axis=0).round(5).tolist()
    return dict(zip(("log loss", "AUC", "extreme"), means, strict=True))


def main() -> None:
    """Search every grid, print the best five settings of each model and say whether the course uses the best."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one table and two seeds: to see that it works")
    quick = parser.parse_args().quick
    tables, seeds = (1, 2) if quick else (3, 4)
    report = {"quick": quick, "tables": tables, "seeds": seeds, "epsilons": EPSILONS, "rows": ROWS}
    for name, grid in GRIDS.items():
        ranked = []
        for setting in itertools.product(*grid.values()):
            recipe = dataclasses.replace(RECIPES[name], **dict(zip(grid, setting, strict=True)))
            ranked.append({**score(recipe, tables, seeds), **dict(zip(grid, setting, strict=True))})
            print(f"\r{name}: {len(ranked)} settings tried", end="", flush=True)
        ranked.sort(key=lambda entry: entry["log loss"])
        used = [getattr(RECIPES[name], knob) for knob in grid]
        print("\n" + "  ".join(ranked[0]))
        for entry in ranked[:5]:
            mark = "   <- the course uses this" if [entry[knob] for knob in grid] == used else ""
            print("  ".join(f"{value:g}" for value in entry.values()) + mark)
        report[name] = ranked
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    name = "choose_recipe.quick.json" if quick else "choose_recipe.json"
    (folder / name).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
