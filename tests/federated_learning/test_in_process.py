"""The hospitals' app in this process: every message seen, every fault in a sentence.

Tests `in_process`, `results`, and what runs in the app: `server_app`, `client_app`, `strategies` and `passing_grid`.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.supercore.task_identity import TaskIdentity

from ppml_helpers import accounting
from ppml_helpers.errors import FederationError
from ppml_helpers.federated_learning import hospitals, in_process, results
from ppml_helpers.federated_learning.app.federated_hospitals import client_app, strategies, task
from ppml_helpers.federated_learning.run_config import APP, complete

SMALL = {"num-server-rounds": 3, "local-epochs": 1, "batch-size": 50, "learning-rate": 0.3}


def made_up(n: int = 3, patients: int = 300) -> list[hospitals.Hospital]:
    """Hospitals of different sizes with patients of one kind."""
    made = []
    for number in range(n):
        rng = np.random.default_rng(number)
        size = patients + 60 * number
        X = rng.uniform(-1, 1, (size, 4))
        y = (rng.random(size) < 1 / (1 + np.exp(-4 * X[:, 0] + 1))).astype(float)
        made.append(hospitals.Hospital(f"H{number}", X[:-100], y[:-100], X[-100:], y[-100:]))
    return made


def by_hand(given: list[hospitals.Hospital], rounds: int, mu: float = 0.0) -> np.ndarray:
    """Return the weighted federated average, worked out without Flower."""
    weights = np.zeros(5)
    for number in range(1, rounds + 1):
        models = [
            task.train(weights, h.X_train, h.y_train, 1, 50, 0.3, task.rng_for(0, number, i), mu)
            for i, h in enumerate(given)
        ]
        weights = np.average(models, axis=0, weights=[h.patients for h in given])
    return weights


# ------------------------------------------------------------------------------------------------------- what it does


@pytest.mark.parametrize("strategy", ["fedavg", "fedprox"])
def test_the_run_is_the_weighted_average_round_by_round(strategy):
    given = made_up()
    found = in_process.run(given, {**SMALL, "strategy": strategy, "proximal-mu": 0.2})
    expected = by_hand(given, 3, mu=0.2 if strategy == "fedprox" else 0.0)
    np.testing.assert_allclose(found.weights, expected, rtol=1e-12)
    assert found.patients == tuple(h.patients for h in given)
    for i, h in enumerate(given):
        assert found.auc[i] == task.evaluate(found.weights, h.X_test, h.y_test).auc


def test_the_order_of_the_answers_changes_no_bit():
    given = made_up()
    models = [
        task.train(np.zeros(5), h.X_train, h.y_train, 1, 50, 0.3, task.rng_for(0, 1, i)) for i, h in enumerate(given)
    ]

    def answer(hospital: int) -> Message:
        with in_process._identity(0):
            sent = Message(RecordDict(), dst_node_id=hospital + 1, message_type="train")
        said = {"arrays": model(*models[hospital]), "metrics": metrics(hospital, given[hospital].patients)}
        return Message(RecordDict(said), reply_to=sent)

    found = set()
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        strategy = strategies.strategy_for(strategies.Settings.of(complete(given, SMALL)))
        strategy.current_shape = (5,)
        arrays, _ = strategy.aggregate_train(1, [answer(number) for number in order])
        found.add(arrays["weights"].numpy().tobytes())
    assert len(found) == 1


def test_a_table_of_another_type_trains_to_the_same_bits_and_what_a_mask_hides_is_not_trained_on():
    given = made_up(2)
    expected, X = in_process.run(given, {"num-server-rounds": 1}).sha256, given[0].X_train
    for other in (X.astype(object), np.asfortranarray(X), np.ma.array(X), X.tolist()):
        odd = dataclasses.replace(given[0], X_train=other)
        assert in_process.run([odd, given[1]], {"num-server-rounds": 1}).sha256 == expected
    hidden = np.ma.array(X, mask=np.arange(X.size).reshape(X.shape) == 7)
    with pytest.raises(FederationError, match="a value that is no finite number"):
        in_process.run([given[1], dataclasses.replace(given[0], X_train=hidden)])
    with pytest.raises(FederationError, match="X_train holds something that is no number: prepare it"):
        dataclasses.replace(given[0], X_train=np.full(X.shape, "many"))


@pytest.mark.parametrize("protection", ["none", "masks", "dp"])
def test_the_same_seed_gives_the_same_model_and_another_seed_another(protection):
    given = made_up()
    first, second, other = (
        in_process.run(given, {**SMALL, "protection": protection, "seed": seed}).sha256 for seed in (0, 0, 1)
    )
    assert first == second != other
    assert len(first) == 64


def test_two_runs_of_one_seed_do_not_share_their_noise():
    """Noise of one stream in two sizes could be taken off by whoever holds both models."""
    given = made_up()
    once = {**SMALL, "protection": "dp", "num-server-rounds": 1, "sample-rate": 1.0}
    low, high = 50.0, 100.0
    weights = [in_process.run(given, {**once, "noise-multiplier": noise}).weights[-1] for noise in (low, high, 1e-9)]
    extrapolated = (high * weights[0] - low * weights[1]) / (high - low)
    assert np.abs(extrapolated - weights[2]).max() > 0.1 * np.abs(weights[0] - weights[2]).max()


def test_every_strategy_learns_and_names_its_own_model():
    given = made_up(5)
    models = {
        name: in_process.run(given, {**SMALL, "num-server-rounds": 8, "strategy": name})
        for name in ("fedavg", "fedprox", "fedadam", "fedmedian", "krum")
    }
    assert len({run.sha256 for run in models.values()}) == 5
    assert all(min(run.auc) > 0.75 for run in models.values())


def test_median_and_krum_withstand_a_poisoned_hospital_and_the_average_does_not():
    given = made_up(5)

    def poison(crossing: in_process.Crossing) -> None:
        if crossing.hospital == 3 and crossing.kind == "train":
            weights = crossing.reply.content["arrays"]["weights"].numpy()
            crossing.reply.content["arrays"] = ArrayRecord({"weights": Array(-20 * weights)})

    auc = {
        name: np.mean(in_process.run(given, {**SMALL, "strategy": name}, on_message=poison).auc)
        for name in ("fedavg", "fedmedian", "krum")
    }
    assert auc["fedavg"] < 0.5 < 0.8 < min(auc["fedmedian"], auc["krum"])


# --------------------------------------------------------------------------------------------------------------- DP


def test_the_ledger_of_every_hospital_gives_its_epsilon_and_no_restart_makes_it_too_small():
    settings = {**SMALL, "protection": "dp", "noise-multiplier": 1.5, "sample-rate": 0.1}
    found = in_process.run(made_up(), settings)
    assert [entry.steps for entry in found.rounds] == [(10,) * 3, (20,) * 3, (30,) * 3]
    assert found.ledgers == ((1.5, 0.1, 30),) * 3
    assert 0 < accounting.epsilon(*found.ledgers[0]) < 10
    assert in_process.run(made_up(), SMALL).ledgers == ()
    config = complete(made_up(), settings)
    state = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config=config)
    parsed = strategies.Settings.of(config)
    assert [client_app._count_steps(state, number, parsed) for number in (1, 2)] == [10, 20]
    state.state = RecordDict()  # the node was started anew
    assert client_app._count_steps(state, 3, parsed) == 30


def test_without_a_secret_of_its_own_a_hospitals_noise_cannot_be_repeated():
    config = strategies.Settings.of(complete(made_up(), {**SMALL, "protection": "dp"}))

    def drawn(secret: str) -> float:
        context = in_process._context(1, {}, {"partition-id": 0, "noise-secret": secret})
        return client_app._private_rng(config, 1, context).random()

    assert drawn("a") == drawn("a") != drawn("b")
    assert drawn("") != drawn("")
    assert drawn("a") != task.rng_for(config.seed, 1, 0).random()


# ------------------------------------------------------------------------------------------- what crosses the wire


@pytest.mark.parametrize("protection", ["none", "masks"])
def test_the_hook_sees_every_message_and_its_bytes(protection):
    seen = []
    found = in_process.run(made_up(), {**SMALL, "evaluate-every": 2, "protection": protection}, on_message=seen.append)
    if protection == "none":
        kinds = [(1, "train"), (2, "train"), (2, "evaluate"), (3, "train"), (3, "evaluate")]
        assert [(m.round, m.kind, m.hospital) for m in seen] == [(*kind, h) for kind in kinds for h in range(3)]
    for entry in found.rounds:
        messages = [m for m in seen if m.round == entry.number]
        assert len(messages) == 3 * (4 if protection == "masks" else 1) * (1 + (entry.number > 1))
        assert sum(m.bytes_up for m in messages) == entry.bytes_up
        assert sum(m.bytes_down for m in messages) == entry.bytes_down
    assert (sum(m.bytes_up for m in seen), sum(m.bytes_down for m in seen)) == (found.bytes_up, found.bytes_down)
    assert seen[0].bytes_up > 5 * 8
    assert [bool(entry.auc) for entry in found.rounds] == [False, True, True]
    assert all("X" not in key for m in seen for key in m.reply.content)


def test_server_and_hospitals_share_no_memory():
    held = []

    def keep(crossing: in_process.Crossing) -> None:
        held.append(crossing.reply.content["arrays"]["weights"].numpy() if crossing.kind == "train" else None)
        if crossing.kind == "train":
            crossing.message.content["arrays"]["weights"] = Array(np.full(5, np.nan))  # too late to matter

    found = in_process.run(made_up(), {**SMALL, "num-server-rounds": 1}, on_message=keep)
    np.testing.assert_allclose(found.weights, by_hand(made_up(), 1), rtol=1e-12)
    seen = []
    in_process.run(made_up(), {**SMALL, "strategy": "fedmedian"}, on_message=seen.append)
    # Flower's median takes the arrays out of the replies that it gets: those are not the ones that the hook saw.
    assert all(m.reply.content["arrays"]["weights"].numpy().shape == (5,) for m in seen if m.kind == "train")


# ------------------------------------------------------------------------------------------------------------- faults


def change(round_: int, hospital: int, kind: str = "train", **content: object):
    """Return a hook that alters one hospital's answer from one round on."""

    def hook(crossing: in_process.Crossing) -> None:
        if (crossing.kind, crossing.hospital) == (kind, hospital) and crossing.round >= round_:
            for key, value in content.items():
                crossing.reply.content[key] = value

    return hook


def model(*weights: float) -> ArrayRecord:
    return ArrayRecord({"weights": Array(np.array(weights))})


def metrics(hospital: int, patients: float, **more: float) -> MetricRecord:
    return MetricRecord({"num-examples": patients, "hospital": hospital, **more})


NAN = float("nan")
BAD_ANSWERS = {
    "Hospital 1 sent a model with a weight that is no finite number in round 2": {"arrays": model(0, 0, NAN, 0, 0)},
    r"Hospital 1 sent a model of shape \(4,\) in round 2, the server's has \(5,\)": {"arrays": model(0, 0, 0, 0)},
    "Hospital 1 sent no model in round 2": {"arrays": ArrayRecord({"other": Array(np.zeros(5))})},
    "Hospital 1 says that it trained on 0 patients": {"metrics": metrics(1, 0)},
    "Hospital 1 says that it trained on nan patients": {"metrics": metrics(1, NAN)},
    "Hospital 2 answered 2 times": {"metrics": metrics(2, 10)},
    "Hospital 7 answered 1 times": {"metrics": metrics(7, 10)},
    "Hospital 1 reports the AUC nan in round 2": {"kind": "evaluate", "metrics": metrics(1, 10, auc=NAN)},
    "without saying which hospital": {"metrics": MetricRecord({"num-examples": 10})},
}


@pytest.mark.parametrize("said", BAD_ANSWERS)
def test_an_answer_that_cannot_be_used_stops_the_run_and_keeps_the_round_before(said):
    with pytest.raises(in_process.RunStopped, match=said) as stopped:
        in_process.run(made_up(), SMALL, on_message=change(2, 1, **BAD_ANSWERS[said]))
    assert isinstance(stopped.value, FederationError)
    assert len(stopped.value.kept.rounds) == 1
    np.testing.assert_allclose(stopped.value.kept.weights, by_hand(made_up(), 1), rtol=1e-12)


@pytest.mark.parametrize("kind", ["train", "evaluate"])
def test_a_lost_answer_stops_the_run_before_the_round_is_kept(kind):
    def stall(crossing: in_process.Crossing) -> str | None:
        return in_process.LOST if (crossing.hospital, crossing.kind, crossing.round) == (1, kind, 2) else None

    said = r"hospital 1 did not answer \(no answer in time.*round 1 is k"
    with pytest.raises(in_process.RunStopped, match=said) as at:
        in_process.run(made_up(), SMALL, on_message=stall)
    assert len(at.value.kept.rounds) == 1


def test_an_offline_hospital_stops_the_run_in_its_round():
    with pytest.raises(in_process.RunStopped, match=r"Round 1 stopped: hospital 2 did not answer \(it is off") as at:
        in_process.run(made_up(), SMALL, fail=[2])
    assert at.value.kept is None
    assert "No round was complete" in str(at.value)
    with pytest.raises(in_process.RunStopped, match="Round 3 stopped: hospitals 0, 2 did not answer") as at:
        in_process.run(made_up(), SMALL, fail={0: 3, 2: 2 + 1})
    assert [entry.number for entry in at.value.kept.rounds] == [1, 2]
    for fail, said in (([3], "= 3 must be a whole number from 0 to 2"), (2, "fail = 2 must list")):
        with pytest.raises(FederationError, match=said):
            in_process.run(made_up(), SMALL, fail=fail)


def test_an_interrupted_run_keeps_its_complete_rounds_and_no_table(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def press(crossing: in_process.Crossing) -> None:
        assert list(tmp_path.glob("ppml-hospitals-*/hospital-2.npz"))
        if crossing.round == 3:
            raise KeyboardInterrupt

    with pytest.raises(in_process.RunStopped, match=r"interrupted .* The model of round 2 is kept") as at:
        in_process.run(made_up(), SMALL, on_message=press)
    np.testing.assert_allclose(at.value.kept.weights, by_hand(made_up(), 2), rtol=1e-12)
    assert not list(tmp_path.iterdir())


KILLED = """
import os, signal, sys, tempfile
import numpy as np
from ppml_helpers.federated_learning import hospitals, in_process
tempfile.tempdir = sys.argv[1]
X, y = np.ones((4, 2)), np.array([0.0, 1.0, 0.0, 1.0])
two = [hospitals.Hospital(name, X, y, X, y) for name in "AB"]
in_process.run(two, on_message=lambda crossing: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.mark.skipif(os.name == "nt", reason="signals as on Linux and macOS")
def test_the_tables_of_a_killed_program_go_with_the_next_run(tmp_path, monkeypatch):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=APP.parents[2], check=False)
    assert len(list(tmp_path.glob("ppml-hospitals-*/hospital-*.npz"))) == 2
    mine = tmp_path / f"ppml-hospitals-{os.getpid()}-abcdefgh"
    others = tmp_path / "ppml-hospitals-2024-final"
    mine.mkdir()
    others.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    in_process.run(made_up(), {**SMALL, "num-server-rounds": 1})
    assert set(tmp_path.iterdir()) == {mine, others}, "a run that goes on and somebody else's folder stay"


OWN_TABLES = {
    "all its patients to train on have the label 1": {"y_train": np.ones(260)},
    "its table has 3 features and the server's model 4": {"X_train": np.ones((260, 3)), "X_test": np.ones((100, 3))},
    "its training ran to infinity in round 1": {"X_train": np.full((260, 4), 1e308)},
    "its table cannot be read": None,
}


def spoil(monkeypatch: pytest.MonkeyPatch, changes: dict[str, np.ndarray] | None) -> None:
    """Change the table of hospital 1 behind everybody's back, as on a network, where nobody else has seen it."""
    real = hospitals.write

    def write(given: list[hospitals.Hospital], folder: str) -> list[Path]:
        paths = real(given, folder)
        if changes is None:
            paths[1].unlink()
        else:
            np.savez(paths[1], **{part: getattr(given[1], part) for part in task.PARTS} | changes)
        return paths

    monkeypatch.setattr(hospitals, "write", write)


@pytest.mark.parametrize("said", OWN_TABLES)
def test_a_hospital_that_finds_its_own_table_unusable_says_so(said, monkeypatch):
    spoil(monkeypatch, OWN_TABLES[said])
    with np.errstate(all="ignore"), pytest.raises(in_process.RunStopped, match=f"Hospital 1: {said}"):
        in_process.run(made_up(), {**SMALL, "learning-rate": 100.0})


def test_under_masks_the_others_go_on_without_it_and_it_says_so_all_the_same(monkeypatch):
    spoil(monkeypatch, None)
    told = []
    found = in_process.run(made_up(), {**SMALL, "protection": "masks"}, on_message=told.append)
    assert {entry.hospitals for entry in found.rounds} == {2}
    assert len(found.auc) == 1
    said = [m.reply.error.reason for m in told if m.reply.has_error()]
    assert any("Hospital 1: its table cannot be read" in reason for reason in said)


@pytest.mark.parametrize("missing", ["table", "partition-id"])
def test_a_node_without_its_settings_says_so(missing, monkeypatch):
    knows = in_process.node_configs
    monkeypatch.setattr(
        in_process,
        "node_configs",
        lambda tables: [{key: about[key] for key in about.keys() - {missing}} for about in knows(tables)],
    )
    with pytest.raises(in_process.RunStopped, match=f"its node was started without a `{missing}`"):
        in_process.run(made_up(), SMALL)


def test_too_few_or_too_many_nodes_are_told_after_the_stated_wait(monkeypatch):
    monkeypatch.setattr(in_process.InProcessGrid, "get_node_ids", lambda self: [1, 2])
    with pytest.raises(in_process.RunStopped, match=r"2 hospitals are connected after 0\.01 s and num-hospitals is 3"):
        in_process.run(made_up(), {**SMALL, "wait-seconds": 0.01})


def test_a_hooks_other_answers_are_delivered_or_refused():
    def forge(crossing: in_process.Crossing) -> Message:
        return Message(Error(code=1000, reason="Hospital 0: forged."), reply_to=crossing.message)

    with pytest.raises(in_process.RunStopped, match="Hospital 0: forged"):
        in_process.run(made_up(), SMALL, on_message=forge)
    with pytest.raises(FederationError, match="on_message returned 5"):
        in_process.run(made_up(), SMALL, on_message=lambda crossing: 5)


# ------------------------------------------------------------------------------------------------------ result files


def test_a_stopped_run_leaves_its_reason_and_a_complete_one_a_file_that_says_the_same(tmp_path):
    out = tmp_path / "run.npz"
    settings = {**SMALL, "out": str(out)}
    out.write_bytes(b"of an earlier run")
    with pytest.raises(in_process.RunStopped) as at:
        in_process.run(made_up(), settings, fail={0: 2})
    assert not out.exists()
    told = results.stopped(out)
    assert str(told) == str(at.value)
    assert told.kept.sha256 == at.value.kept.sha256
    assert str(results.stopped(out, "The server was killed.")) == "The server was killed."
    found, again = in_process.run(made_up(), settings), results.read(out)
    for part in ("sha256", "rounds", "settings", "patients"):
        assert getattr(again, part) == getattr(found, part)
    assert str(tmp_path) not in repr(again.settings)
    assert list(tmp_path.iterdir()) == [out]


def test_a_place_where_no_file_can_be_written_is_refused_before_anything_is_sent(tmp_path):
    seen = []
    with pytest.raises(FederationError, match=r"out = .* cannot be written \(No such file"):
        in_process.run(made_up(), {**SMALL, "out": str(tmp_path / "none" / "run.npz")}, on_message=seen.append)
    assert seen == []


def test_a_damaged_or_missing_file_is_refused(tmp_path):
    with pytest.raises(FederationError, match="left no result file"):
        results.read(tmp_path / "none.npz")
    for content in (b"PK", b"PK\x03\x04 and no more"):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(FederationError, match="cannot be read"):
            results.read(tmp_path / "bad.npz")
    assert results.stopped(tmp_path / "none.npz").kept is None


# ------------------------------------------------------------------------------------------------------ apps of a cell


def test_apps_written_in_a_cell_run_as_well_and_one_that_raises_becomes_an_error_message():
    client, server = ClientApp(), ServerApp()

    @client.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        raise ZeroDivisionError("nobody")

    @client.train()
    def train(message: Message, context: Context) -> Message:
        table = task.load(context.node_config["table"])
        arrays = ArrayRecord({"sum": Array(table.y_train.sum(keepdims=True))})
        record = MetricRecord({"num-examples": len(table.y_train)})
        return Message(RecordDict({"arrays": arrays, "metrics": record}), reply_to=message)

    @server.main()
    def main(grid, context: Context) -> None:
        strategy = FedAvg(fraction_evaluate=0.0)
        found = strategy.start(grid=grid, initial_arrays=ArrayRecord({"sum": Array(np.zeros(1))}), num_rounds=1)
        context.state["found"] = found.arrays
        (reply,) = grid.send_and_receive([Message(RecordDict(), dst_node_id=1, message_type="evaluate")])
        assert reply.error.reason == "its app failed: ZeroDivisionError: nobody"

    given = made_up()
    state = in_process.serve(server, client, given, {"any": "setting"}).state
    expected = np.average([h.y_train.sum() for h in given], weights=[h.patients for h in given])
    assert state["found"]["sum"].numpy()[0] == pytest.approx(expected)


# --------------------------------------------------------------------------------------------------- what stays behind


def test_a_run_says_nothing_leaves_nothing_and_tells_flower_to_stay_silent(tmp_path):
    code = (
        "import sys; sys.path.insert(0, 'tests/federated_learning');"
        "import ppml_helpers.federated_learning.in_process; from flwr.supercore import telemetry;"
        "from test_in_process import *;"
        "in_process.run(made_up(), SMALL); in_process.run(made_up(), {**SMALL, 'protection': 'masks'});"
        "print(len(threading.enumerate()), telemetry.FLWR_TELEMETRY_ENABLED)"
    )
    (tmp_path / "home").mkdir()
    (tmp_path / "tmp").mkdir()
    env = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp"), "PATH": os.environ["PATH"]}
    env["FLWR_TELEMETRY_ENABLED"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=APP.parents[2], env=env, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("1 0\n", "")
    assert not list((tmp_path / "home").iterdir())
    assert not list((tmp_path / "tmp").iterdir())


def test_logging_and_identity_are_as_before_also_after_a_fault():
    log = logging.getLogger("flwr")
    log.setLevel(logging.DEBUG)  # as Flower leaves it
    before = log.level, TaskIdentity._task_id, TaskIdentity._run_id, TaskIdentity._node_id
    with pytest.raises(FederationError):
        in_process.run(made_up(), SMALL, fail=[0])
    assert before == (log.level, TaskIdentity._task_id, TaskIdentity._run_id, TaskIdentity._node_id)


def test_a_second_run_waits_until_the_first_has_ended():
    expected = [in_process.run(made_up(), {**SMALL, "seed": seed}).sha256 for seed in (0, 1)]
    second, found = [], []

    def other() -> None:
        found.append(in_process.run(made_up(), {**SMALL, "seed": 1}, on_message=second.append).sha256)

    thread = threading.Thread(target=other)

    def start_other(crossing: in_process.Crossing) -> None:
        if not thread.ident:
            thread.start()
            time.sleep(0.5)
        assert second == []

    assert in_process.run(made_up(), {**SMALL, "seed": 0}, on_message=start_other).sha256 == expected[0]
    thread.join(300)
    assert found == expected[1:]
    assert len(second) == 18
