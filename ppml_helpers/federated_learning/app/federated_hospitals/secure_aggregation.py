"""Masked sums as Flower messages: `register` for the hospitals' side, `MaskedGrid` for the server's.

A round of training becomes four exchanges instead of one: keys, shares, masked vectors, unmasking (see `masking`). A
hospital's vector is its number of patients times its model, and that number: the server learns the sum of these
vectors, hence the weighted average of the models and how many patients there are in all, and nothing of one hospital.
A strategy that needs more than the average, such as a median, cannot work on it. A round of evaluation does the same
with the number of test patients and the AUC.

Two sums from one model, with other hospitals in them, would give the difference away. So a hospital keeps a book
beside its table, over all runs: with whom it helped to unmask a sum from which model. More than half of the hospitals
must help, and any two such groups have a member in common, so a second sum with others does not come about. A model
that differs by little is another model to this book: see the lesson for what that leaves open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from . import task
from .masking import (
    Masked,
    MaskingError,
    MaskingHospital,
    PublicKeys,
    check_enough,
    decode,
    encode,
    unmasked_sum,
)
from .passing_grid import PassingGrid

KEYS, SHARES, UNMASK = "query.keys", "query.shares", "query.unmask"
"""The types of messages; the third of the four is "train.masked" or "evaluate.masked"."""

_KEYS = PublicKeys._fields

Handler = Callable[[Message, Context], Message]

_WEIGHT, _OPEN = "num-examples", ("hospital", "steps")  # what a vector is weighted by, and what may stand beside it


# At the hospital -------------------------------------------------------------------------------------------------


def register(app: ClientApp, handlers: dict[str, Handler], in_words: Callable[[Handler], Handler]) -> None:
    """Teach an app the four exchanges, for each of the handlers "train" and "evaluate".

    What a hospital must remember from one to the next lives in ``context.state``, which stays at the hospital. A
    handler answers with a metric "num-examples" and with one record of arrays or a metric "auc"; `in_words` makes of a
    refusal an answer in words.
    """

    @app.query("keys")
    @in_words
    def keys(message: Message, context: Context) -> Message:
        if missing := {"partition-id", "num-partitions"} - context.node_config.keys():
            raise MaskingError(f"its node was started without `{min(missing)}`: give it in the node config.")
        numbers = (int(context.node_config[name]) for name in ("partition-id", "num-partitions"))
        identity, *known = str(context.node_config.get("identities", "")).split(" ")
        hospital = MaskingHospital(*numbers, bytes.fromhex(identity), [bytes.fromhex(key) for key in known])
        _keep(hospital, context)
        named = {"hospital": hospital.number, **hospital.public_keys._asdict()}
        return Message(RecordDict({"keys": ConfigRecord(named)}), reply_to=message)

    @app.query("shares")
    @in_words
    def shares(message: Message, context: Context) -> Message:
        hospital = _kept(context)
        given = message.content["public"]
        public = {i: PublicKeys(*keys) for i, *keys in zip(*(given[part] for part in ("of", *_KEYS)), strict=True)}
        letters = hospital.share(public)
        _keep(hospital, context)
        return Message(RecordDict({"letters": _table("to", letters)}), reply_to=message)

    def masking(handler: Handler) -> Handler:
        @in_words
        def masked(message: Message, context: Context) -> Message:
            hospital = _kept(context)
            answer = handler(message, context)
            if answer.has_error():
                return answer
            vector = encode(_vector(answer.content), hospital.hospitals)
            record = Array(hospital.mask(vector, _mapping("from", message.content["letters"])))
            _keep(hospital, context, start=_start(message))
            metrics = {k: v for k, v in _metrics(answer.content).items() if k in _OPEN}
            content = {"masked": ArrayRecord({"masked": record}), "metrics": MetricRecord(metrics)}
            return Message(RecordDict(content), reply_to=message)

        return masked

    app.train("masked")(masking(handlers["train"]))
    app.evaluate("masked")(masking(handlers["evaluate"]))

    @app.query("unmask")
    @in_words
    def unmask(message: Message, context: Context) -> Message:
        hospital, arrived = _kept(context), sorted(set(message.content["arrived"]["of"]))
        answer = hospital.unmask(arrived)
        _write_down(context, arrived)
        del context.state["masking"]  # it has answered, and keeps no key of this sum
        return Message(RecordDict({"shares": _table("about", answer)}), reply_to=message)


def _keep(hospital: MaskingHospital, context: Context, start: str = "") -> None:
    context.state["masking"] = ConfigRecord({"hospital": hospital.dump(), "start": start})


def _kept(context: Context) -> MaskingHospital:
    if "masking" not in context.state:
        raise MaskingError("This hospital has no keys for this sum (it was started anew, or has answered already).")
    return MaskingHospital.load(context.state["masking"]["hospital"])


def _start(message: Message) -> str:
    """Name the model that a sum starts from, and what is done with it."""
    model = np.ascontiguousarray(message.content["arrays"]["weights"].numpy(), dtype="<f8") + 0.0  # no -0.0
    return f"{message.metadata.message_type.split('.')[0]}-{hashlib.sha256(model.tobytes()).hexdigest()}"


def _write_down(context: Context, arrived: list[int]) -> None:
    """Note with whom a sum is unmasked, before it is; refuse a second one from the same start with others."""
    members = " ".join(map(str, arrived))
    entry = task.book(context.node_config["table"]) / str(context.state["masking"]["start"])
    try:
        entry.parent.mkdir(mode=0o700, exist_ok=True)
        with entry.open("x", encoding="ascii") as file:  # whoever comes second finds it there, also at the same time
            file.write(members)
    except FileExistsError:
        if (before := entry.read_text("ascii")) != members:
            raise MaskingError(
                f"it has helped to unmask a sum of hospitals {before} from this very model, and with {members} in a "
                "second one the difference would be somebody's update: take the same hospitals, or another model."
            ) from None
    except OSError as error:
        raise MaskingError(
            f"it cannot keep its book of sums ({error.strerror}), and unmasks none without: let it write beside its "
            "table."
        ) from None


def _vector(content: RecordDict) -> np.ndarray:
    """Put patients times model (or times AUC), and patients, into one row."""
    metrics = _metrics(content)
    values = content["arrays"]["weights"].numpy() if "arrays" in content else [metrics["auc"]]
    return float(metrics[_WEIGHT]) * np.append(values, 1.0)


def _metrics(content: RecordDict) -> MetricRecord:
    (metrics,) = content.metric_records.values()
    return metrics


# At the server ---------------------------------------------------------------------------------------------------


class MaskedGrid(PassingGrid):
    """A grid that works under masks: a strategy sends its messages and gets one reply, the average of all hospitals.

    That reply has the model's weights as float64 (or the AUC), and the metrics "num-examples" (patients of all
    hospitals in the sum), "hospitals" (how many they are) and "hospital" (-1).
    """

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Send messages and wait for the replies, in four exchanges."""
        messages = list(messages)
        if not messages:
            return []
        return [_Sum(self._grid, messages, timeout).run()]


class _Sum:
    """One round: who takes part, and the reasons of those who left."""

    def __init__(self, grid: Grid, messages: list[Message], timeout: float | None) -> None:
        self._grid, self._timeout = grid, timeout
        self._model, self._kind = messages[0].content, messages[0].metadata.message_type
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
        parts = {part: [getattr(keys, part) for keys in public.values()] for part in _KEYS}
        book = RecordDict({"public": ConfigRecord({"of": list(public), **parts})})
        shared = self._ask(SHARES, dict.fromkeys(public, book))
        letters = {i: _mapping("to", reply.content["letters"]) for i, reply in shared.items()}
        check_enough(len(letters), self._hospitals, "shared their secrets")
        post = {i: {j: letters[j][i] for j in letters if i in letters[j]} for i in letters}
        tasks = {i: RecordDict({**self._model, "letters": _table("from", post[i])}) for i in letters}
        replies = self._ask(f"{self._kind}.masked", tasks)
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
        left = []
        for reply in self._grid.send_and_receive(messages, timeout=self._timeout):
            if reply.has_error():
                left.append(" ".join(reply.error.reason.split()))
            else:
                replies[names[reply.metadata.src_node_id]] = reply
        self._left = left or self._left
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
            public[number], nodes[number] = PublicKeys(*(keys[part] for part in _KEYS)), node
        self._nodes = nodes
        return dict(sorted(public.items()))

    def _average(self, total: Masked, hospitals: int, reply: Message) -> Message:
        """Write the average where a strategy looks for a hospital's reply."""
        *summed, patients = decode(total)
        average = np.array(summed) / patients
        metrics = dict(_metrics(reply.content)) | {_WEIGHT: round(patients), "hospitals": hospitals, "hospital": -1}
        content: dict[str, ArrayRecord | MetricRecord] = {}
        if self._kind == MessageType.EVALUATE:
            metrics["auc"] = float(average[0])
        else:
            content["arrays"] = ArrayRecord({"weights": Array(average)})
        reply.content = RecordDict(content | {"metrics": MetricRecord(metrics)})
        return reply


def _table(key: str, entries: dict[int, bytes]) -> ConfigRecord:
    return ConfigRecord({key: list(entries), "bytes": list(entries.values())})


def _mapping(key: str, table: ConfigRecord) -> dict[int, bytes]:
    return dict(zip(table[key], table["bytes"], strict=True))
