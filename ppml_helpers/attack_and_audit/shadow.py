"""Shadow models: many models trained at once, each on its own random half of the same patients.

An attacker who wants to know how a model behaves on a record that it has, or has not, seen trains models of the same
kind on patients of their own. One after the other that takes as many trainings as there are models; here a block of
models is one computation, with closed-form gradients.

Models come in pairs: what the first is not trained on, the second is. So each model has exactly half of the records,
and each record is in exactly half of the models (Carlini et al. 2022 balance them too). Pairs are drawn independently
of each other. Every shadow model can therefore play the target, with all other *pairs* as its shadow models: they say
nothing about who is in the target (`leave_one_out`).
"""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ppml_helpers import accounting, checks
from ppml_helpers.attack_and_audit import lira
from ppml_helpers.attack_and_audit.lira import Members
from ppml_helpers.errors import AttackError
from ppml_helpers.files import replacing
from ppml_helpers.membership import AttackResult, Scores, membership_attack, operating_point
from ppml_helpers.private_training.engine import (
    Labels,
    Models,
    Progress,
    Recipe,
    Table,
    checked,
    no_progress,
    train,
)

OVERFITTED = Recipe(steps=300, learning_rate=0.02, clipping_norm=math.inf, averaged=0, hidden=64)
"""With ``adam=True``: a network that learns about a thousand records by heart. For showing a leak, not for use."""

# Models that are trained, and kept in a file, together.
BLOCK_OF_REGRESSIONS, BLOCK_OF_NETWORKS, BLOCK_OF_CLASSIFIERS = 64, 8, 8
_LAYOUT = 3  # of the files; a number that changes with whatever would make old files wrong


@dataclass(frozen=True, eq=False)
class Shadows:
    """What shadow models say about the records.

    Attributes
    ----------
    member : ndarray of bool, shape (models, records)
        Which model was trained on which record.
    scores : ndarray of float, shape (models, records)
        Logit-scaled confidences, see `lira.scores_of`.
    models : Models, optional
        The models themselves, in the same order, where they were trained here.
    """

    member: Members
    scores: Scores
    models: Models | None = None


def memberships(n_models: int, records: int, seed: int) -> Members:
    """Draw which model is trained on which record: in pairs, each with one random half and the other.

    The pairs of a smaller number of models are the first of a larger.
    """
    for name, value, why in (
        ("n_models", n_models, "shadow models come in pairs"),
        ("records", records, "each shadow model is trained on exactly half"),
    ):
        if checks.whole(value, name, 4, error=AttackError, mend=why) % 2:
            raise AttackError(f"{name} is {value!r}; {why}: give an even number, 4 or more.")
    checks.whole(seed, "seed", 0, error=AttackError)
    member = np.zeros((n_models, records), dtype=bool)
    for first in range(0, n_models, 2):
        half = np.random.default_rng([seed, first]).permutation(records)[: records // 2]
        member[first, half] = True
        member[first + 1] = ~member[first]
    return member


def model_seed(seed: int, model: int) -> int:
    """Return the seed of one shadow model's starting weights, batches and noise, below 2^32."""
    return int(np.random.SeedSequence([seed, model, 1]).generate_state(1, np.uint32)[0])


def train_shadows(
    X: Table,
    y: Labels,
    recipe: Recipe,
    n_models: int,
    seed: int,
    *,
    epsilon: float = math.inf,
    adam: bool = False,
    dtype: torch.dtype = torch.float32,
    folder: str | Path | None = None,
    progress: Progress = no_progress,
) -> Shadows:
    """Train shadow models of one recipe, each on a random half of the records, a block of them at once.

    Parameters
    ----------
    X : DataFrame or ndarray, shape (records, d)
        Finite features, an even number of records.
    y : Series or ndarray, shape (records,)
        Labels 0 and 1.
    recipe : Recipe
        As in `private_training.train`: logistic regression or a network, with or without clipping and sampling.
    n_models : int
        Even, at least 4.
    seed : int
        Of halves, starting weights, batches and noise.
    epsilon : float
        The promise that each model keeps for its own half. Infinity adds no noise: with a finite clipping norm the
        control (clipped, no noise), without one plain training.
    adam : bool
        Whether to step by Adam instead of momentum; its first decay rate is the recipe's momentum.
    dtype : torch.dtype
    folder : str or Path, optional
        Where finished blocks of models are kept. A training that was stopped, or killed, goes on from there to the
        same result.
    progress : callable
        Called as ``progress(fraction, what)`` between steps; it may raise to stop.

    Returns
    -------
    Shadows
    """
    table, labels, member = _checked_halves(X, y, n_models, seed)
    sigma = accounting.noise_multiplier(epsilon, recipe.sample_rate, recipe.steps)
    size = BLOCK_OF_NETWORKS if recipe.hidden else BLOCK_OF_REGRESSIONS
    made_from = _fingerprint(table, labels, (size, recipe, sigma, adam, str(dtype)), n_models, seed)

    def trained(numbers: range, tell: Callable[..., None]) -> _Block:
        seeds = [model_seed(seed, model) for model in numbers]
        noises = [sigma] * len(seeds)
        own = {"member": member[numbers], "adam": adam, "dtype": dtype}
        models = train(table, labels, recipe, noises, seeds, **own, progress=lambda share, _: tell(share))
        return _Block(lira.logit_confidence(models.logits(table), labels), models.weights)

    blocks = _in_blocks(n_models, size, trained, folder, made_from, progress)
    weights = tuple(torch.cat(parts) for parts in zip(*(block.weights for block in blocks), strict=True))
    return Shadows(member, np.concatenate([block.scores for block in blocks]), Models(weights, recipe.hidden))


def fit_shadows(
    make: Callable[[int], Any],
    X: Table,
    y: Labels,
    n_models: int,
    seed: int,
    *,
    folder: str | Path | None = None,
    progress: Progress = no_progress,
    smallest: float = 1e-6,
) -> Shadows:
    """Fit shadow models of any scikit-learn classifier, one after the other.

    Parameters
    ----------
    make : callable
        ``make(seed)`` returns a classifier that is not yet fitted. Its parameters, as ``get_params()`` gives them,
        tell whose models a folder holds.
    X, y, n_models, seed, folder, progress
        As in `train_shadows`; the halves are the same.
    smallest : float
        As in `lira.scores_of`.

    Returns
    -------
    Shadows
        Without models.
    """
    table, labels, member = _checked_halves(X, y, n_models, seed)
    example = make(0)
    setting = (BLOCK_OF_CLASSIFIERS, type(example).__qualname__, sorted(example.get_params().items()), float(smallest))
    made_from = _fingerprint(table, labels, setting, n_models, seed)

    def fitted(numbers: range, tell: Callable[..., None]) -> _Block:
        scores = np.empty((len(numbers), len(table)))
        for place, number in enumerate(numbers):
            half = member[number]
            model = make(model_seed(seed, number)).fit(table[half], labels[half])
            scores[place] = lira.scores_of(model, table, labels, smallest)
            if place < len(numbers) - 1:
                tell((place + 1) / len(numbers), place + 1)
        return _Block(scores, ())

    blocks = _in_blocks(n_models, BLOCK_OF_CLASSIFIERS, fitted, folder, made_from, progress)
    return Shadows(member, np.concatenate([block.scores for block in blocks]))


# Attacks with every shadow model as the target -------------------------------------------------------------------


def leave_one_out(shadows: Shadows, attack: Callable[..., Scores] = lira.online) -> Scores:
    """Attack every shadow model in turn, with the others as its shadow models.

    The target's pair is left out with it. It was trained on exactly the records that the target was not, so that its
    membership is the answer, and records in and out of the target would have unequal numbers of shadow models.

    Parameters
    ----------
    shadows : Shadows
        Pairs, as from `memberships`.
    attack : callable
        `lira.online` or `lira.offline`.

    Returns
    -------
    ndarray, shape (models, records)
        The attack's score of each record in each target.
    """
    scores, member = _paired(shadows.scores, shadows.member)
    if len(member) < 4 or len(member) % 2 or (member[0::2] == member[1::2]).any():
        raise AttackError(
            "The shadow models are not in pairs of which each record trained exactly one; draw them by `memberships`."
        )
    found = np.empty(scores.shape)
    others = np.ones(len(member), dtype=bool)
    for target in range(len(member)):
        pair = slice(target // 2 * 2, target // 2 * 2 + 2)
        others[pair] = False
        found[target] = attack(scores[target], scores[others], member[others])
        others[pair] = True
    return found


def pooled(scores: ArrayLike, member: ArrayLike, **settings: Any) -> AttackResult:
    """Measure an attack on all targets together.

    Parameters
    ----------
    scores : array_like, shape (models, records)
        From `leave_one_out`; or the confidences themselves, for the attack with one threshold (Yeom et al. 2018).
    member : array_like of bool, shape (models, records)
    **settings
        Of `membership_attack`.

    Returns
    -------
    AttackResult
        The intervals are about these records: each is counted once a target, half of the times as a member. Other
        records would differ by more.
    """
    given, chosen = _paired(scores, member)
    return membership_attack(given[chosen], given[~chosen], **settings)


class Vulnerability(NamedTuple):
    """How often each record is found.

    Attributes
    ----------
    found : ndarray of float, shape (records,)
        Share of the targets trained on the record in which the attack found it.
    alarms : ndarray of float, shape (records,)
        Share of the other targets in which the attack took it for a member.
    threshold : float
        Lowest score that counts as found.
    """

    found: NDArray[np.float64]
    alarms: NDArray[np.float64]
    threshold: float


def vulnerability(scores: ArrayLike, member: ArrayLike, fpr: float = 0.01) -> Vulnerability:
    """Count for each record in how many targets the attack finds it."""
    given, chosen = _paired(scores, member)
    threshold = operating_point(given[chosen], given[~chosen], fpr).threshold
    above, targets = given >= threshold, chosen.sum(axis=0)
    return Vulnerability(
        found=(above & chosen).sum(axis=0) / targets,
        alarms=(above & ~chosen).sum(axis=0) / (len(chosen) - targets),
        threshold=threshold,
    )


def _paired(scores: ArrayLike, member: ArrayLike) -> tuple[Scores, Members]:
    chosen, given = lira.checked_members(member), lira.finite("scores", scores, 2)
    if chosen.shape != given.shape:
        raise AttackError(f"Members have shape {chosen.shape} and scores {given.shape}; both are (models, records).")
    return given, chosen


# Keeping finished blocks -----------------------------------------------------------------------------------------


class _Block(NamedTuple):
    scores: Scores
    weights: tuple[Tensor, ...]


def _in_blocks(
    n_models: int,
    size: int,
    train: Callable[[range, Callable[..., None]], _Block],
    folder: str | Path | None,
    made_from: str,
    progress: Progress,
) -> list[_Block]:
    """Train one block of models after the other, or take it from the folder if it was kept there."""
    blocks = []
    for number, start in enumerate(range(0, n_models, size)):
        numbers = range(start, min(start + size, n_models))

        def tell(fraction: float, finished: int = 0, numbers: range = numbers) -> None:
            share = (numbers.start + fraction * len(numbers)) / n_models
            progress(share, f"{numbers.start + finished} of {n_models} shadow models trained")

        file = None if folder is None else Path(folder) / f"block-{number:04d}.npz"
        block = None if file is None else _kept(file, made_from)
        if block is None:
            block = train(numbers, tell)
            if file is not None:
                _keep(file, made_from, block)
        blocks.append(block)
        tell(1.0, len(numbers))
    return blocks


def _fingerprint(table: np.ndarray, labels: np.ndarray, setting: object, n_models: int, seed: int) -> str:
    """Return a hash of everything that the result depends on."""
    sizes = (_LAYOUT, int(n_models), int(seed), table.shape)
    digest = hashlib.sha256(repr((sizes, setting)).encode())
    for part in (table, labels):
        digest.update(part.tobytes())
    return digest.hexdigest()


def _kept(file: Path, fingerprint: str) -> _Block | None:
    """Return a block that was kept, or None if there is none."""
    try:
        with np.load(file, allow_pickle=False) as content:
            made_from = str(content["made_from"])
            weights = tuple(torch.from_numpy(content[f"weights_{i}"]) for i in range(len(content.files) - 2))
            block = _Block(content["scores"], weights)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        raise AttackError(
            f"{file} cannot be read as shadow models ({error}); delete it, and they are trained again."
        ) from error
    if made_from != fingerprint:
        raise AttackError(
            f"{file} holds shadow models of other data or settings; name another folder, or delete this one."
        )
    return block


def _keep(file: Path, fingerprint: str, block: _Block) -> None:
    weights = {f"weights_{i}": weight.numpy() for i, weight in enumerate(block.weights)}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as scratch, scratch.open("wb") as stream:
            np.savez(stream, made_from=np.array(fingerprint), scores=block.scores, **weights)
    except OSError as error:
        raise AttackError(f"{file} cannot be written ({error}); free space or name another folder.") from error


# What is refused -------------------------------------------------------------------------------------------------


def _checked_halves(X: Table, y: Labels, n_models: int, seed: int) -> tuple[np.ndarray, np.ndarray, Members]:
    """Return records, labels and halves; refuse a record that would be member and non-member of one model."""
    table, labels = (part.numpy() for part in checked(X, y))
    member = memberships(n_models, len(table), seed)
    content = np.column_stack([table, labels])
    distinct, first = np.unique(content, axis=0, return_index=True)
    if len(distinct) < len(content):
        twice = int(np.setdiff1d(np.arange(len(content)), first)[0])
        raise AttackError(
            f"Record {twice} occurs twice; a copy would make it a member and a non-member of one model: drop copies."
        )
    events = member @ labels
    if events.min() == 0 or events.max() == member.shape[1] // 2:
        raise AttackError("A shadow model's half holds a single label; give more records, with both labels among them.")
    return table, labels, member
