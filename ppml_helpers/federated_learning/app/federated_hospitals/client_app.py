"""A hospital's side of the run: answer the server's messages from the hospital's own table.

The hospital's node is started with the node config `table` (path of its file), `partition-id` (its number) and
`num-partitions`. With `noise-secret`, a text, its noise can be repeated, for lessons and tests; without it the noise
comes from the operating system's randomness. With `identities` (in hexadecimal, separated by blanks: its own private
Ed25519 key, then the public ones of all hospitals in their order) it takes masks from no puppet of the server's. With
`protection` it takes part in runs that have just this one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from . import secure_aggregation, task
from .masking import least_threshold
from .settings import Settings

REFUSED = 1000  # the code of an error that a hospital words itself; Flower's own codes are small numbers

app = ClientApp()


def train(message: Message, context: Context) -> Message:
    """Train the server's model on this hospital's patients and send the result back."""
    settings, weights, table = _opened(message, context)
    config = message.content["config"]
    server_round = int(config["server-round"])
    size = task.rounded_size(len(table.y_train)) if settings.is_noisy else len(table.y_train)
    metrics = {"num-examples": size, "hospital": _hospital(context)}
    patients = {"X": table.X_train, "y": table.y_train}
    how = {"learning_rate": settings.learning_rate, "proximal_mu": float(config.get("proximal-mu", 0.0))}
    if settings.is_noisy:
        how |= {name: getattr(settings, name) for name in ("sample_rate", "clipping_norm")}
        how |= {"noise_multiplier": own_noise(settings), "steps": settings.steps_a_round, "size": size}
        weights = task.train_privately(weights, **patients, **how, rng=_private_rng(settings, server_round, context))
        metrics["steps"] = _count_steps(context, server_round, settings)
    else:
        rng = task.rng_for(settings.seed, server_round, _hospital(context))
        how |= {"epochs": settings.local_epochs, "batch_size": settings.batch_size}
        weights = task.train(weights, **patients, **how, rng=rng)
    if not np.isfinite(weights).all():
        raise task.RunError(f"its training ran to infinity in round {server_round}: lower learning-rate.")
    arrays = ArrayRecord({"weights": Array(weights)})
    return Message(RecordDict({"arrays": arrays, "metrics": MetricRecord(metrics)}), reply_to=message)


def own_noise(settings: Settings) -> float:
    """Return the noise multiplier of one hospital.

    Under "masks+dp" it is a share of the stated one, such that the sum of as few hospitals as can be unmasked has all
    of it: variances add up.
    """
    shares = least_threshold(settings.num_hospitals) if settings.is_masked else 1
    return settings.noise_multiplier / math.sqrt(shares)


def evaluate(message: Message, context: Context) -> Message:
    """Measure the server's model on this hospital's test patients.

    An AUC in all its digits beside the number of patients gives away how many of them died. So under masks both leave
    in a sum only, and beside noise the number stays at home (every hospital counts as 1) and the AUC has two digits.
    """
    settings, weights, table = _opened(message, context)
    found = task.evaluate(weights, table.X_test, table.y_test)
    metrics = {"num-examples": found.patients, "hospital": _hospital(context), "auc": found.auc}
    if settings.is_masked:
        metrics["auc"] = round(found.auc, 3)
    elif settings.is_noisy:
        metrics |= {"num-examples": 1, "auc": round(found.auc, 2)}
    return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)


def in_words(handler: Callable[[Message, Context], Message]) -> Callable[[Message, Context], Message]:
    """Let a handler's refusal reach the server as a sentence that begins with the hospital's number."""

    def answer(message: Message, context: Context) -> Message:
        try:
            return handler(message, context)
        except task.RunError as error:
            reason = f"Hospital {context.node_config.get('partition-id', '?')}: {error}"
            return Message(Error(code=REFUSED, reason=reason), reply_to=message)

    return answer


app.train()(in_words(train))
app.evaluate()(in_words(evaluate))
secure_aggregation.register(app, {"train": train, "evaluate": evaluate}, in_words)


def _opened(message: Message, context: Context) -> tuple[Settings, np.ndarray, task.Table]:
    """Return the settings, the server's model and this hospital's table, checked against each other."""
    settings = Settings.of(context.run_config)
    demanded = context.node_config.get("protection", settings.protection)
    if demanded != settings.protection:
        raise task.RunError(f"it answers under protection {demanded!r} alone, and the run has {settings.protection!r}.")
    if settings.is_masked and not message.metadata.message_type.endswith(".masked"):
        raise task.RunError("it was asked for an answer of its own, and under masks it takes part in sums alone.")
    if "table" not in context.node_config:
        raise task.RunError("its node was started without a `table`: name the file of its patients in the node config.")
    table = task.load(str(context.node_config["table"]))
    weights = message.content["arrays"]["weights"].numpy()
    if len(weights) != table.X_train.shape[1] + 1:
        raise task.RunError(
            f"its table has {table.X_train.shape[1]} features and the server's model {len(weights) - 1}: "
            f"set num-features, or prepare the table like the other hospitals."
        )
    return settings, weights, table


def _hospital(context: Context) -> int:
    if "partition-id" not in context.node_config:
        raise task.RunError("its node was started without a `partition-id`: number the hospitals from 0.")
    return int(context.node_config["partition-id"])


def _private_rng(settings: Settings, server_round: int, context: Context) -> np.random.Generator:
    secret = str(context.node_config.get("noise-secret", ""))
    if not secret:
        return np.random.default_rng()
    # Two runs that share noise can be extrapolated to none: one that differs in what it trains draws other numbers.
    numbers = (settings.noise_multiplier, settings.clipping_norm, settings.sample_rate, settings.learning_rate)
    run = "/".join([settings.strategy, *(f"{float(number):.9g}" for number in numbers)])
    return task.rng_for(settings.seed, server_round, _hospital(context), f"{secret}/{run}")


def _count_steps(context: Context, server_round: int, settings: Settings) -> int:
    """Add this round's noisy steps to the ledger that the node keeps over the rounds, and return their number.

    A node that was restarted has lost its ledger. Every hospital trains in every round, so at least the steps of
    the rounds before are counted again: the ledger may say too much, never too little.
    """
    before = int(context.state["ledger"]["steps"]) if "ledger" in context.state else 0
    steps = max(before, (server_round - 1) * settings.steps_a_round) + settings.steps_a_round
    context.state["ledger"] = ConfigRecord({"steps": steps})
    return steps
