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
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ppml_helpers import accounting
from ppml_helpers.attack_and_audit import lira
from ppml_helpers.attack_and_audit.lira import Members
from ppml_helpers.attack_and_audit.shadow_training import Setting, train_block
from ppml_helpers.errors import AttackError
from ppml_helpers.files import replacing
from ppml_helpers.membership import AttackResult, Scores, membership_attack, operating_point
from ppml_helpers.private_training import engine
from ppml_helpers.private_training.engine import Labels, Models, Progress, Recipe, Table

OVERFITTED = Recipe(steps=300, learning_rate=0.02, clipping_norm=math.inf, averaged=0, hidden=64)
"""With ``adam=True``: a network that learns about a thousand records by heart. For showing a leak, not for use."""

# Models that are trained, and kept in a file, together.
BLOCK_OF_REGRESSIONS, BLOCK_OF_NETWORKS, BLOCK_OF_CLASSIFIERS = 64, 8, 8
_LAYOUT = 2  # of the files; a number that changes with whatever would make old files wrong


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

    Parameters
    ----------
    n_models : int
        Even, at least 4.
    records : int
        Even, at least 4.
    seed : int
        0 or more. The pairs of a smaller number of models are the first of a larger.

    Returns
    -------
    ndarray of bool, shape (n_models, records)

    Raises
    ------
    AttackError
        If an argument is odd, too small or no whole number.
    """
    for name, value, why in (
        ("n_models", n_models, "shadow models come in pairs"),
        ("records", records, "each shadow model is trained on exactly half"),
    ):
        if not _is_whole(value) or value < 4 or value % 2:
            raise AttackError(f"{name} is {value!r}; {why}: give an even number, 4 or more.")
    if not _is_whole(seed) or seed < 0:
        raise AttackError(f"seed is {seed!r}; give a whole number, 0 or more.")
    member = np.zeros((n_models, records), dtype=bool)
    for first in range(0, n_models, 2):
        half = np.random.default_rng([seed, first]).permutation(records)[: records // 2]
        member[first, half] = True
        member[first + 1] = ~member[first]
    return member


def model_seed(seed: int, model: int) -> int:
    """Return the seed of one shadow model's starting weights, batches and noise.

    Parameters
    ----------
    seed : int
        Of all shadow models together.
    model : int
        Its number, from 0.

    Returns
    -------
    int
        Below 2^32.
    """
    return int(np.random.SeedSequence([seed, model, 1]).generate_state(1, np.uint32)[0])


def train_shadows(
    X: Table,
    y: Labels,
    recipe: Recipe,
    n_models: int,
    seed: int,
    *,
    epsilon: float = math.inf,
    delta: float = accounting.DELTA,
    adam: bool = False,
    dtype: torch.dtype = torch.float32,
    folder: str | Path | None = None,
    progress: Progress | None = None,
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
    epsilon, delta : float
        The promise that each model keeps for its own half. Infinity adds no noise: with a finite clipping norm the
        control (clipped, no noise), without one plain training.
    adam : bool
        Whether to step by Adam instead of momentum; its first decay rate is the recipe's momentum. It only
        processes noisy gradients further, so it costs no privacy.
    dtype : torch.dtype
    folder : str or Path, optional
        Where finished blocks of models are kept. A training that was stopped, or killed, goes on from there to the
        same result.
    progress : callable, optional
        Called as ``progress(fraction, what)`` between steps; it may raise to stop.

    Returns
    -------
    Shadows

    Raises
    ------
    AttackError
        If records or models cannot be halved, a record occurs twice, a half has a single label, or the folder holds
        models of other data or settings, or cannot be read or written.
    TrainingDataError, PrivacyParameterError
        As `private_training.train`.

    Notes
    -----
    One thread. Models of one block see the same Poisson sample of the records, each its own members among it, so
    that each model's own training is the usual one and its guarantee holds.
    """
    table, labels = engine._checked(X, y)
    member = memberships(n_models, len(table), seed)
    _check_records(table, labels, member)
    setting = Setting(recipe, accounting.noise_multiplier(epsilon, recipe.sample_rate, recipe.steps, delta), adam)
    engine._noise_scales([setting.noise_multiplier], [0], recipe)  # refuses noise without clipping
    size = BLOCK_OF_NETWORKS if recipe.hidden else BLOCK_OF_REGRESSIONS
    made_from = _fingerprint(table, labels, (size, setting, str(dtype)), n_models, seed)

    def train(numbers: range, tell: Callable[[float], None]) -> _Block:
        seeds = [model_seed(seed, model) for model in numbers]
        models = train_block(table.to(dtype), labels.to(dtype), member[numbers], setting, seeds, tell)
        return _Block(lira.logit_confidence(models.logits(table.numpy()), labels.numpy()), models.weights)

    blocks = _in_blocks(n_models, size, train, folder, made_from, progress)
    weights = tuple(torch.cat(parts) for parts in zip(*(block.weights for block in blocks), strict=True))
    return Shadows(member, np.concatenate([block.scores for block in blocks]), Models(weights, recipe.hidden))


def fit_shadows(
    make: Callable[[int], Any],
    X: Table,
    y: Labels,
    n_models: int,
    seed: int,
    progress: Progress | None = None,
    *,
    folder: str | Path | None = None,
    smallest: float = 1e-6,
) -> Shadows:
    """Fit shadow models of any scikit-learn classifier, one after the other.

    Parameters
    ----------
    make : callable
        ``make(seed)`` returns a classifier that is not yet fitted.
    X, y, n_models, seed, progress, folder
        As in `train_shadows`; the halves are the same. The classifier's parameters, as ``get_params()`` gives them,
        tell whose models a folder holds.
    smallest : float
        As in `lira.scores_of`.

    Returns
    -------
    Shadows
        Without models.

    Raises
    ------
    AttackError, TrainingDataError
        As `train_shadows` and `lira.scores_of`, and if there is a folder, but no way to tell whose models it holds.
    """
    table, labels = engine._checked(X, y)
    member = memberships(n_models, len(table), seed)
    _check_records(table, labels, member)
    made_from = ""
    if folder is not None:
        setting = (BLOCK_OF_CLASSIFIERS, _identity(make(0)), float(smallest))
        made_from = _fingerprint(table, labels, setting, n_models, seed)

    def train(numbers: range, tell: Callable[..., None]) -> _Block:
        scores = np.empty((len(numbers), len(table)))
        for place, number in enumerate(numbers):
            half = member[number]
            model = make(model_seed(seed, number)).fit(table.numpy()[half], labels.numpy()[half])
            scores[place] = lira.scores_of(model, table.numpy(), labels.numpy(), smallest)
            if place < len(numbers) - 1:
                tell((place + 1) / len(numbers), place + 1)
        return _Block(scores, ())

    blocks = _in_blocks(n_models, BLOCK_OF_CLASSIFIERS, train, folder, made_from, progress)
    return Shadows(member, np.concatenate([block.scores for block in blocks]))


# Attacks with every shadow model as the target -------------------------------------------------------------------


def leave_one_out(
    shadows: Shadows, attack: Callable[..., Scores] = lira.online, *, fixed_variance: bool | None = None
) -> Scores:
    """Attack every shadow model in turn, with the others as its shadow models.

    The target's pair is left out with it. It was trained on exactly the records that the target was not, so that its
    membership is the answer, and records in and out of the target would have unequal numbers of shadow models.

    Parameters
    ----------
    shadows : Shadows
        Pairs, as from `memberships`.
    attack : callable
        `lira.online` or `lira.offline`.
    fixed_variance : bool, optional
        As in `lira.online`.

    Returns
    -------
    ndarray, shape (models, records)
        The attack's score of each record in each target.

    Raises
    ------
    AttackError
        If the models are not in pairs, or too few.
    """
    member, scores = lira.checked_members(shadows.member), np.asarray(shadows.scores, dtype=float)
    if member.shape != scores.shape:
        raise AttackError(f"Members have shape {member.shape} and scores {scores.shape}; both are (models, records).")
    if len(member) < 4 or len(member) % 2 or (member[0::2] == member[1::2]).any():
        raise AttackError(
            "The shadow models are not in pairs of which each record trained exactly one; draw them by `memberships`."
        )
    found = np.empty(scores.shape)
    others = np.ones(len(member), dtype=bool)
    for target in range(len(member)):
        pair = slice(target // 2 * 2, target // 2 * 2 + 2)
        others[pair] = False
        found[target] = attack(scores[target], scores[others], member[others], fixed_variance=fixed_variance)
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

    Raises
    ------
    AttackError
        If the shapes differ or a score is not finite.
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
    targets : ndarray of int, shape (records,)
        Targets that were trained on the record: what `found` is a share of.
    threshold : float
        Lowest score that counts as found.
    """

    found: NDArray[np.float64]
    alarms: NDArray[np.float64]
    targets: NDArray[np.int64]
    threshold: float


def vulnerability(scores: ArrayLike, member: ArrayLike, fpr: float = 0.01) -> Vulnerability:
    """Count for each record in how many targets the attack finds it."""
    given, chosen = _paired(scores, member)
    targets = chosen.sum(axis=0)
    if targets.min() == 0 or targets.max() == len(chosen):
        odd = int(((targets == 0) | (targets == len(chosen))).argmax())
        raise AttackError(f"Record {odd} trained {targets[odd]} of {len(chosen)} targets; some must have it, some not.")
    threshold = operating_point(given[chosen], given[~chosen], fpr).threshold
    above = given >= threshold
    return Vulnerability(
        found=(above & chosen).sum(axis=0) / targets,
        alarms=(above & ~chosen).sum(axis=0) / (len(chosen) - targets),
        targets=targets,
        threshold=threshold,
    )


def _paired(scores: ArrayLike, member: ArrayLike) -> tuple[Scores, Members]:
    chosen, given = lira.checked_members(member), np.asarray(scores, dtype=float)
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
    progress: Progress | None,
) -> list[_Block]:
    """Train one block of models after the other, or take it from the folder if it was kept there."""
    blocks = []
    for number, start in enumerate(range(0, n_models, size)):
        numbers = range(start, min(start + size, n_models))

        def tell(fraction: float, finished: int = 0, numbers: range = numbers) -> None:
            if progress is not None:
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


def _fingerprint(table: Tensor, labels: Tensor, setting: object, n_models: int, seed: int) -> str:
    """Return a hash of everything that the result depends on."""
    sizes = (_LAYOUT, int(n_models), int(seed), tuple(table.shape))
    digest = hashlib.sha256(repr((sizes, setting)).encode())
    for part in (table, labels):
        digest.update(np.ascontiguousarray(part.numpy()).tobytes())
    return digest.hexdigest()


def _identity(model: Any) -> str:
    """Return what tells a classifier from others that would be fitted differently."""
    kind = type(model)
    settings = repr(sorted(model.get_params().items())) if hasattr(model, "get_params") else " at 0x"
    if " at 0x" in settings:  # an address says where an object is, not what it is
        raise AttackError(
            f"{kind.__name__} has no parameters by which its models could be known again in a folder; leave the folder "
            "out, or give a classifier whose get_params() names plain values."
        )
    return f"{kind.__module__}.{kind.__qualname__} {settings}"


def _kept(file: Path, fingerprint: str) -> _Block | None:
    """Return a block that was kept, or None if there is none."""
    try:
        with np.load(file, allow_pickle=False) as content:
            made_from, checksum = (str(content[name]) for name in ("made_from", "checksum"))
            weights = tuple(torch.from_numpy(content[f"weights_{i}"]) for i in range(len(content.files) - 3))
            block = _Block(content["scores"], weights)
        if checksum != _checksum(made_from, block):  # the archive's own checksums do not cover all of it
            raise ValueError("its content is not what was written")
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


def _checksum(made_from: str, block: _Block) -> str:
    digest = hashlib.sha256(made_from.encode())
    for part in (block.scores, *(weight.numpy() for weight in block.weights)):
        digest.update(repr((part.shape, part.dtype.str)).encode())
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def _keep(file: Path, fingerprint: str, block: _Block) -> None:
    weights = {f"weights_{i}": weight.numpy() for i, weight in enumerate(block.weights)}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as scratch, scratch.open("wb") as stream:
            texts = {"made_from": np.array(fingerprint), "checksum": np.array(_checksum(fingerprint, block))}
            np.savez(stream, scores=block.scores, **texts, **weights)
    except OSError as error:
        raise AttackError(f"{file} cannot be written ({error}); free space or name another folder.") from error


# What is refused -------------------------------------------------------------------------------------------------


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _check_records(table: Tensor, labels: Tensor, member: Members) -> None:
    """Refuse a record that would be member and non-member of one model, and halves that cannot be trained on."""
    content = np.column_stack([table.numpy(), labels.numpy()])
    distinct, first = np.unique(content, axis=0, return_index=True)
    if len(distinct) < len(content):
        twice = int(np.setdiff1d(np.arange(len(content)), first)[0])
        raise AttackError(
            f"Record {twice} occurs twice; a copy would make it a member and a non-member of one model: drop copies."
        )
    events = member @ labels.numpy()
    if events.min() == 0 or events.max() == member.shape[1] // 2:
        raise AttackError("A shadow model's half holds a single label; give more records, with both labels among them.")
