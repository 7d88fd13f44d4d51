"""How the server combines the hospitals' models: Flower's strategies, made repeatable and strict.

Flower averages whatever answers arrive, in the order in which they arrive, and skips what failed. Here every hospital
has to answer in every round, each answer is checked before it is used, and answers are sorted by hospital, because
sums of floating-point numbers depend on their order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAdam, FedAvg, FedMedian, FedProx, Krum

from .client_app import REFUSED
from .settings import Settings
from .task import RunError

POLL_SECONDS = 0.3


class EveryHospital:
    """What all strategies here share; stands before one of Flower's classes."""

    settings: Settings
    trained: list[dict[str, float]]  # metrics of the last round's answers, by hospital; under masks one entry for all
    evaluated: list[dict[str, float]]

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Send the model to every hospital."""
        nodes = wait_for_hospitals(grid, self.settings)
        self.current_shape = arrays["weights"].numpy().shape
        self.current_arrays = {key: array.numpy() for key, array in arrays.items()}  # FedAdam's point of departure
        config["server-round"] = server_round
        if isinstance(self, FedProx):
            config["proximal-mu"] = self.settings.proximal_mu
        return _to_all(nodes, RecordDict({"arrays": arrays, "config": config}), MessageType.TRAIN)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Check the hospitals' models, sort them and combine them."""
        replies = list(replies)
        if self.settings.is_masked:
            metrics = [_checked_model(server_round, _the_sum(server_round, replies), self.current_shape)]
        else:
            replies = _all_answers(server_round, replies, self.settings.num_hospitals)
            metrics = [_checked_model(server_round, reply, self.current_shape) for reply in replies]
        self.trained = metrics
        return super().aggregate_train(server_round, replies)

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Let every hospital measure the new model, if this round is one to be measured."""
        self.evaluated = []
        if not self._is_measured(server_round):
            return []
        config["server-round"] = server_round
        nodes = wait_for_hospitals(grid, self.settings)
        return _to_all(nodes, RecordDict({"arrays": arrays, "config": config}), MessageType.EVALUATE)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Check and keep what each hospital measured."""
        if not self._is_measured(server_round):
            return None
        if self.settings.is_masked:
            good = [_the_sum(server_round, list(replies))]
        else:
            good = _all_answers(server_round, list(replies), self.settings.num_hospitals)
        self.evaluated = [_checked_evaluation(server_round, reply) for reply in good]
        return super().aggregate_evaluate(server_round, good)

    def _is_measured(self, server_round: int) -> bool:
        return not server_round % self.settings.evaluate_every or server_round == self.settings.num_server_rounds


class OrderedFedAvg(EveryHospital, FedAvg):
    """Average, weighted by the number of patients (McMahan et al. 2017)."""


class OrderedFedProx(EveryHospital, FedProx):
    """The same average; the hospitals are held near the server's model (Li et al. 2020)."""


class OrderedFedAdam(EveryHospital, FedAdam):
    """The average is taken as a direction, along which the server walks with Adam (Reddi et al. 2021)."""


class OrderedFedMedian(EveryHospital, FedMedian):
    """The median of each weight: a minority of poisoned hospitals moves it little (Yin et al. 2018)."""


class OrderedKrum(EveryHospital, Krum):
    """The one model that lies closest to its neighbours (Blanchard et al. 2017)."""


def strategy_for(settings: Settings) -> FedAvg:
    """Return the strategy that the settings name."""
    makers: dict[str, Callable[..., FedAvg]] = {
        "fedavg": OrderedFedAvg,
        "fedprox": lambda **common: OrderedFedProx(proximal_mu=settings.proximal_mu, **common),
        "fedadam": lambda **common: OrderedFedAdam(eta=settings.server_learning_rate, **common),
        "fedmedian": OrderedFedMedian,
        "krum": lambda **common: OrderedKrum(num_malicious_nodes=settings.num_malicious, **common),
    }
    n = settings.num_hospitals
    strategy = makers[settings.strategy](min_train_nodes=n, min_evaluate_nodes=n, min_available_nodes=n)
    strategy.settings, strategy.trained, strategy.evaluated = settings, [], []
    return strategy


def wait_for_hospitals(grid: Grid, settings: Settings) -> list[int]:
    """Return the node ids of all hospitals, as soon as exactly so many are connected."""
    until = time.monotonic() + settings.wait_seconds
    while len(nodes := sorted(grid.get_node_ids())) != settings.num_hospitals:
        if time.monotonic() >= until:
            raise RunError(
                f"{len(nodes)} hospitals are connected after {settings.wait_seconds:g} s and num-hospitals is "
                f"{settings.num_hospitals}: start or stop nodes, or set num-hospitals to the number that takes part."
            )
        time.sleep(POLL_SECONDS)
    return nodes


def _to_all(nodes: list[int], record: RecordDict, message_type: str) -> list[Message]:
    return [Message(content=record, message_type=message_type, dst_node_id=node) for node in nodes]


def _sorted(replies: list[Message]) -> list[Message]:
    return sorted(replies, key=_hospital)


def _hospital(reply: Message) -> int:
    metrics = next(iter(reply.content.metric_records.values()), {})
    hospital = metrics.get("hospital")
    if not isinstance(hospital, int):
        raise RunError(
            f"Node {reply.metadata.src_node_id} answered without saying which hospital it is: check its app."
        )
    return hospital


def _all_answers(server_round: int, replies: list[Message], hospitals: int) -> list[Message]:
    """Return the answers sorted by hospital, if there is exactly one from each."""
    good = _sorted([reply for reply in replies if not reply.has_error()])
    numbers = [_hospital(reply) for reply in good]
    for number in numbers:
        if numbers.count(number) > 1 or not 0 <= number < hospitals:
            raise RunError(
                f"Hospital {number} answered {numbers.count(number)} times in round {server_round}, each hospital from "
                f"0 to {hospitals - 1} must answer once: give every node its own partition-id. {_kept(server_round)}"
            )
    missing = [number for number in range(hospitals) if number not in numbers]
    if not missing:
        return good
    errors = [reply.error for reply in replies if reply.has_error()]
    said = [str(error.reason) for error in errors if error.code == REFUSED]
    if said:
        raise RunError(f"Round {server_round} stopped. {' '.join(sorted(said))} {_kept(server_round)}")
    reasons = sorted({str(error.reason) for error in errors}) or ["no answer in time"]
    raise RunError(
        f"Round {server_round} stopped: {_listed(missing)} did not answer ({'; '.join(reasons)}), and all {hospitals} "
        f"must: mend or leave out what failed and run again. {_kept(server_round)}"
    )


def _the_sum(server_round: int, replies: list[Message]) -> Message:
    """Return the only answer under masks, which stands for all hospitals."""
    if len(replies) != 1 or replies[0].has_error():
        reason = replies[0].error.reason if replies else "no masked sum came back"
        raise RunError(f"Round {server_round} brought no sum: {reason}. {_kept(server_round)}")
    return replies[0]


def _listed(hospitals: list[int]) -> str:
    numbers = ", ".join(map(str, hospitals))
    return f"hospital{'s' if len(hospitals) > 1 else ''} {numbers}"


def _kept(server_round: int) -> str:
    return f"The model of round {server_round - 1} is kept." if server_round > 1 else "No round was complete."


def _checked_model(server_round: int, reply: Message, shape: tuple[int, ...]) -> dict[str, float]:
    """Return the metrics of a hospital's answer, if its model can be averaged."""
    metrics = dict(next(iter(reply.content.metric_records.values())))
    who = f"Hospital {metrics.get('hospital')}" if metrics.get("hospital", -1) >= 0 else "The masked sum"
    arrays = next(iter(reply.content.array_records.values()), None)
    if arrays is None or list(arrays) != ["weights"]:
        raise RunError(f"{who} sent no model in round {server_round}: check its app. {_kept(server_round)}")
    weights = arrays["weights"].numpy()
    if weights.shape != shape:
        raise RunError(
            f"{who} sent a model of shape {weights.shape} in round {server_round}, the server's has {shape}: "
            f"check its app and its features. {_kept(server_round)}"
        )
    if not np.issubdtype(weights.dtype, np.floating) or not np.isfinite(weights).all():
        raise RunError(
            f"{who} sent a model with a weight that is no finite number in round {server_round}: "
            f"check its training, then run again. {_kept(server_round)}"
        )
    patients = metrics.get("num-examples", 0)
    if not patients > 0 or not np.isfinite(patients):
        raise RunError(
            f"{who} says that it trained on {patients} patients in round {server_round}: leave it out. "
            f"{_kept(server_round)}"
        )
    return metrics


def _checked_evaluation(server_round: int, reply: Message) -> dict[str, float]:
    metrics = dict(next(iter(reply.content.metric_records.values())))
    if not (0 <= metrics.get("auc", -1) <= 1 and metrics.get("num-examples", 0) > 0):
        raise RunError(
            f"Hospital {metrics.get('hospital')} reports the AUC {metrics.get('auc')} in round {server_round}, it must "
            f"lie between 0 and 1: check its app. {_kept(server_round)}"
        )
    return metrics
