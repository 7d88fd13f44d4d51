"""Masked sums as Flower messages: `register` for the hospitals' side, `MaskedGrid` for the server's.

A round of training becomes four exchanges instead of one: keys, shares, masked vectors, unmasking (see `masking`). A
hospital's vector is its number of patients times its model, and that number: the server learns the sum of these
vectors, hence the weighted average of the models and how many patients there are in all, and nothing of one hospital.
A strategy that needs more than the average, such as a median, cannot work on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from .masking import Masked, MaskingError, MaskingHospital, PublicKeys, check_enough, decode, encode, unmasked_sum
from .passing_grid import PassingGrid

KEYS, SHARES, MASKED, UNMASK = "query.keys", "query.shares", "train.masked", "query.unmask"
"""The four types of messages, in order."""

Handler = Callable[[Message, Context], Message]

_WEIGHT = "num-examples"


# At the hospital -------------------------------------------------------------------------------------------------


def register(app: ClientApp, train: Handler, in_words: Callable[[Handler], Handler]) -> None:
    """Teach an app the four exchanges.

    What a hospital must remember from one to the next lives in ``context.state``, which stays at the hospital. `train`
    answers with one record of arrays and a metric "num-examples"; `in_words` makes of a refusal an answer in words.
    """

    @app.query("keys")
    @in_words
    def keys(message: Message, context: Context) -> Message:
        if missing := {"partition-id", "num-partitions"} - context.node_config.keys():
            raise MaskingError(f"its node was started without `{min(missing)}`: give it in the node config.")
        hospital = MaskingHospital(*(int(context.node_config[name]) for name in ("partition-id", "num-partitions")))
        _keep(hospital, context)
        named = {"hospital": hospital.number, **hospital.public_keys._asdict()}
        return Message(RecordDict({"keys": ConfigRecord(named)}), reply_to=message)

    @app.query("shares")
    @in_words
    def shares(message: Message, context: Context) -> Message:
        hospital = _kept(context)
        given = message.content["public"]
        public = {i: PublicKeys(*two) for i, *two in zip(given["of"], given["mask"], given["seal"], strict=True)}
        letters = hospital.share(public)
        _keep(hospital, context)
        return Message(RecordDict({"letters": _table("to", letters)}), reply_to=message)

    @app.train("masked")
    @in_words
    def masked(message: Message, context: Context) -> Message:
        hospital = _kept(context)
        trained = train(message, context)
        if trained.has_error():
            return trained
        vector = encode(_vector(trained.content), hospital.hospitals)
        record = Array(hospital.mask(vector, _mapping("from", message.content["letters"])))
        _keep(hospital, context)
        metrics = {k: v for k, v in _metrics(trained.content).items() if k != _WEIGHT}
        content = {"masked": ArrayRecord({"masked": record}), "metrics": MetricRecord(metrics)}
        return Message(RecordDict(content), reply_to=message)

    @app.query("unmask")
    @in_words
    def unmask(message: Message, context: Context) -> Message:
        answer = _kept(context).unmask(message.content["arrived"]["of"])
        del context.state["masking"]  # it has answered, and keeps no key of this sum
        return Message(RecordDict({"shares": _table("about", answer)}), reply_to=message)


def _keep(hospital: MaskingHospital, context: Context) -> None:
    context.state["masking"] = ConfigRecord({"hospital": hospital.dump()})


def _kept(context: Context) -> MaskingHospital:
    if "masking" not in context.state:
        raise MaskingError("This hospital has no keys for this sum (it was started anew, or has answered already).")
    return MaskingHospital.load(context.state["masking"]["hospital"])


def _vector(content: RecordDict) -> np.ndarray:
    """Put patients times model, and patients, into one row."""
    patients = float(_metrics(content)[_WEIGHT])
    return np.append(patients * content["arrays"]["weights"].numpy(), patients)


def _metrics(content: RecordDict) -> MetricRecord:
    (metrics,) = content.metric_records.values()
    return metrics


# At the server ---------------------------------------------------------------------------------------------------


class MaskedGrid(PassingGrid):
    """A grid that trains under masks: a strategy sends its messages and gets one reply, the average of all hospitals.

    That reply has the model's weights as float64, and the metrics "num-examples" (patients of all hospitals in the
    sum), "hospitals" (how many they are) and "hospital" (-1). Messages other than for training pass unchanged.
    """

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Send messages and wait for the replies; training goes through the four exchanges."""
        messages = list(messages)
        if not messages or messages[0].metadata.message_type != MessageType.TRAIN:
            return self._grid.send_and_receive(messages, timeout=timeout)
        return [_Sum(self._grid, messages, timeout).run()]


class _Sum:
    """One round: who takes part, and the reasons of those who left."""

    def __init__(self, grid: Grid, messages: list[Message], timeout: float | None) -> None:
        self._grid, self._timeout = grid, timeout
        self._model = messages[0].content
        self._nodes = {message.metadata.dst_node_id: message.metadata.dst_node_id for message in messages}
        self._hospitals = len(messages)
        self._left: list[str] = []

    def run(self) -> Message:
        try:
            return self._run()
        except MaskingError as error:
            reason = f" First reason given: {self._left[0]}" if self._left else ""
            raise MaskingError(f"{error}{reason}") from None

    def _run(self) -> Message:
        first = self._ask(KEYS, {node: RecordDict() for node in self._nodes})
        public = self._register(first)
        check_enough(len(public), self._hospitals, "sent keys")
        masks, seals = ([keys[part] for keys in public.values()] for part in (0, 1))
        book = RecordDict({"public": ConfigRecord({"of": list(public), "mask": masks, "seal": seals})})
        shared = self._ask(SHARES, dict.fromkeys(public, book))
        letters = {i: _mapping("to", reply.content["letters"]) for i, reply in shared.items()}
        check_enough(len(letters), self._hospitals, "shared their secrets")
        post = {i: {j: letters[j][i] for j in letters if i in letters[j]} for i in letters}
        tasks = {i: RecordDict({**self._model, "letters": _table("from", post[i])}) for i in letters}
        replies = self._ask(MASKED, tasks)
        masked: dict[int, Masked] = {i: r.content["masked"]["masked"].numpy() for i, r in replies.items()}
        check_enough(len(masked), self._hospitals, "sent their vectors")
        arrived = RecordDict({"arrived": ConfigRecord({"of": list(masked)})})
        unmasked = self._ask(UNMASK, dict.fromkeys(masked, arrived))
        answers = {i: _mapping("about", reply.content["shares"]) for i, reply in unmasked.items()}
        return self._average(unmasked_sum(masked, public, answers, self._hospitals), len(masked), replies[min(masked)])

    def _ask(self, kind: str, contents: dict[int, RecordDict]) -> dict[int, Message]:
        """Send each hospital its message; return the replies without errors, sorted by hospital."""
        names = {self._nodes[i]: i for i in contents}
        configs = self._model.config_records  # they say which round it is
        messages = [Message(RecordDict({**configs, **c}), self._nodes[i], kind) for i, c in contents.items()]
        replies: dict[int, Message] = {}
        for reply in self._grid.send_and_receive(messages, timeout=self._timeout):
            if reply.has_error():
                self._left.append(" ".join(reply.error.reason.split()))
            else:
                replies[names[reply.metadata.src_node_id]] = reply
        return dict(sorted(replies.items()))

    def _register(self, replies: dict[int, Message]) -> dict[int, PublicKeys]:
        """Know the hospitals by their own numbers from here on: a node's number is drawn anew in every run."""
        public: dict[int, PublicKeys] = {}
        nodes = {}
        for node, reply in replies.items():
            keys = reply.content["keys"]
            number = keys["hospital"]
            if number in public:
                raise MaskingError(f"Two nodes are hospital {number}: give each node a partition-id of its own.")
            public[number], nodes[number] = PublicKeys(keys["mask"], keys["seal"]), node
        self._nodes = nodes
        return dict(sorted(public.items()))

    def _average(self, total: Masked, hospitals: int, reply: Message) -> Message:
        """Write the average where a strategy looks for a hospital's reply."""
        *summed, patients = decode(total)
        arrays = ArrayRecord({"weights": Array(np.array(summed) / patients)})
        metrics = {_WEIGHT: round(patients), "hospitals": hospitals, "hospital": -1}
        reply.content = RecordDict({"arrays": arrays, "metrics": MetricRecord(metrics)})
        return reply


def _table(key: str, entries: dict[int, bytes]) -> ConfigRecord:
    return ConfigRecord({key: list(entries), "bytes": list(entries.values())})


def _mapping(key: str, table: ConfigRecord) -> dict[int, bytes]:
    return dict(zip(table[key], table["bytes"], strict=True))
